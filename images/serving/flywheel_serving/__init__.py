"""One ONNX model behind the Open Inference Protocol v2, over REST and gRPC.

    server ── wires what follows; `settings` has its flags
      rest, rpc                             transports: protocol messages from and to infer's types
        auth, http, route, prediction_log   features, independent of one another
          infer                             admission, batching, the data plane; knows no transport
            model, metrics                  the ONNX model; Prometheus series

`verify` is the step that admits a ModelVersion; it needs `model` alone.
"""

VERSION = "0.1.0"
