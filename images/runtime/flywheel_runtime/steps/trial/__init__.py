"""One trial of trainer `sklearn`, in reading order: estimators, features, pipeline, folds, scoring, onnx_model, artifact."""
