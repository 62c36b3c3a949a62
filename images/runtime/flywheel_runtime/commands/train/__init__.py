"""One trial of trainer `sklearn`: fit, which reads aloud, on estimators, features, pipeline, folds, scoring, onnx_model, artifact."""
