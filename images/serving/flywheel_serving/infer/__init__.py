"""Inference on one loaded model: admission, dynamic batching, threads. Knows no transport and no feature above it.

    REST / gRPC -> DataPlane.submit -> (route, where one is active) -> Batcher -> Runner -> OnnxModel
                        |                                                 `- the batch is counted by the recorder
                        `- admission, signature check, metrics

`extensions` states what a route and a recorder of predictions must offer; `server` hands them in.
"""
