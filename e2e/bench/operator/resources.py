"""What is applied: whole loops, from the data to the servers, each with children that stay.

Dataset (schedule: a CronJob) ── Experiment (a failed trial's Job stays) ── Model, ModelVersion ── InferenceService (its servers)
"""

from collections.abc import Iterator

from e2e.bench.operator.api import Object
from flywheel.core.resource.api import DATASET, EXPERIMENT, INFERENCE_SERVICE, MODEL, MODEL_VERSION, Api

NAMESPACE = "bench"
SHARED = "shared"  # the Model of services that have no loop of their own
ZEROS = "0" * 64


def dataset(number: int) -> Object:
    """Its schedule gives it a CronJob that stays."""
    source = {"s3": {"uri": f"s3://flywheel/bench/{number}/"}}
    return _resource(DATASET, f"loop-{number}", {"source": source, "target": "late", "schedule": {"cron": "0 2 * * *"}})


def experiment(number: int) -> Object:
    """Two trials, one after the other: the first fails, and its Job stays for its logs."""
    spec = {"dataset": f"loop-{number}", "trainer": {"sklearn": {}}, "parallelism": 1, "budget": {"maxTrials": 2}}
    return _resource(EXPERIMENT, f"loop-{number}", {**spec, "register": f"loop-{number}"})


def service(name: str, model: str) -> Object:
    """One server of a Model's champion."""
    spec = {"model": model, "replicas": 1, "auth": {"none": {}}, "resources": {"limits": {"memory": "512Mi"}}}
    return _resource(INFERENCE_SERVICE, name, spec)


def loop_service(number: int) -> Object:
    """The service at the end of a loop."""
    return service(f"loop-{number}", f"loop-{number}")


def shared_model() -> Iterator[tuple[Api, Object]]:
    """A Model and its only version, brought along."""
    yield MODEL, _resource(MODEL, SHARED, {})
    source = {"s3": {"uri": "s3://flywheel/shared.onnx"}, "sha256": ZEROS}
    yield MODEL_VERSION, _resource(MODEL_VERSION, f"{SHARED}-1", {"model": SHARED, "source": source})


def _resource(api: Api, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": api.api_version, "kind": api.kind, "metadata": metadata, "spec": spec}
