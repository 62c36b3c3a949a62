"""The protocol's gRPC form: messages, the inference service and health checking."""
