"""Models in ONNX: exported, quantised, and run on rows whose predictions are known."""
