"""A plugin of MLflow: what code logs with MLflow's own functions becomes the outputs of the step, without a server.

entry_points          what MLflow loads, by the entry points of pyproject.toml
tracking_store        runs, their metrics, parameters and tags; experiment_store and logged_model_store are its base classes
artifact_repository   their files
model_registry        refuses to register, since versions are registered by Flywheel's gates
onnx_output           the output `model`, from a logged ONNX model
recorded_files        metrics.jsonl, metrics.json, tags.json and parameters.json
journal, run_state    what MLflow needs to know about runs, across processes

docs/mlflow.md has what is mapped to what. Only this package imports mlflow, and nothing else of flywheel_runtime imports this package.
"""
