"""One ONNX model: its file, signature, tensors and golden rows. The server and `verify` share this package."""
