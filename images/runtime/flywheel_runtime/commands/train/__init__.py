"""The step `train`: one trial of trainer `sklearn`.

main ──▶ fit: folds, pipeline, staged (curves while it learns), metrics ──▶ export to ONNX ──▶ artifact
"""
