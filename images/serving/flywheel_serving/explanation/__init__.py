"""Contributions of columns to single predictions, exactly: path-dependent TreeSHAP for trees, and LinearSHAP for linear models.

model.onnx, with the covers of its trees ──▶ tree_paths.py ──▶ tree_shap.py ──┐
explanation.json: method, columns, means ─────────────────▶ linear_shap.py ──┴─▶ explainer.py, which checks additivity on each row

`python3 -I -m flywheel_serving.explanation --model DIR` explains rows without Kubernetes.
"""
