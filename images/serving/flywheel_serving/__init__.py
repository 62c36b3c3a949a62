"""One ONNX model behind the Open Inference Protocol v2, over REST and gRPC.

Reading order: `settings` (flags) > `server` (start, serve, drain) > `dataplane` (answers requests, knows no transport)
> `model` (onnxruntime). `rest` and `rpc` translate the two transports into `dataplane`'s types; `http` is HTTP/1.1 and
knows no protocol above it. `verify` is the step that admits a ModelVersion.
"""

VERSION = "0.1.0"
