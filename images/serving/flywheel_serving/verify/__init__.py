"""`python3 -m flywheel_serving.verify`: the step that admits a ModelVersion, in the image that will serve it.

In: `params.json` `{"format": "ONNX", "path": "model.onnx", "brought": false}` and the artifact in `inputs/model`.
Out: `facts.json`, `outputs/model` for a brought model, and `metrics.json` last. Exit 0, or 2 with `{"reason",
"message"}` in the termination message: a model that is refused here can never be served. FLYWHEEL_ROOT and
FLYWHEEL_TERMINATION_LOG move `/flywheel` and `/dev/termination-log`.
"""
