"""Flywheel: one Kubernetes operator for the whole life of a machine-learning model.

core     pure ideas: schemas, plans, conditions, names, workloads (standard library and pydantic only)
kinds    one folder for each resource kind: what a user writes, what is seen, what is decided
cluster  the only importer of the Kubernetes client
client   the Python client, `import flywheel as fw`: the names below, each imported when it is first used
engine   watches, queues, applies; knows no kind
cli      the `flywheel` command
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flywheel.client import aio as aio
    from flywheel.client.errors import FlywheelError as FlywheelError
    from flywheel.client.objects.resources import BatchInference as BatchInference
    from flywheel.client.objects.resources import Dataset as Dataset
    from flywheel.client.objects.resources import Experiment as Experiment
    from flywheel.client.objects.resources import FeatureSet as FeatureSet
    from flywheel.client.objects.resources import InferenceService as InferenceService
    from flywheel.client.objects.resources import Model as Model
    from flywheel.client.objects.resources import ModelVersion as ModelVersion
    from flywheel.client.objects.resources import TrainingPipeline as TrainingPipeline
    from flywheel.client.objects.resources import TrainingRun as TrainingRun
    from flywheel.client.shortcuts import apply as apply
    from flywheel.client.shortcuts import connect as connect
    from flywheel.client.shortcuts import dataset as dataset
    from flywheel.client.shortcuts import experiments as experiments
    from flywheel.client.shortcuts import model as model
    from flywheel.client.shortcuts import run as run
    from flywheel.client.shortcuts import service as service
    from flywheel.client.shortcuts import train as train
    from flywheel.client.shortcuts import trial as trial
    from flywheel.client.shortcuts import trials as trials
    from flywheel.client.shortcuts import why as why

__version__ = "0.1.0"

# The operator and the command import this package too, and need none of the client.
_EXPORTS = {
    "flywheel.client.errors": ("FlywheelError",),
    "flywheel.client.shortcuts": (
        "apply",
        "connect",
        "dataset",
        "experiments",
        "model",
        "run",
        "service",
        "train",
        "trial",
        "trials",
        "why",
    ),
    "flywheel.client.objects.resources": (
        "BatchInference",
        "Dataset",
        "Experiment",
        "FeatureSet",
        "InferenceService",
        "Model",
        "ModelMonitor",
        "ModelVersion",
        "TrainingPipeline",
        "TrainingRun",
    ),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "aio":
        return import_module("flywheel.client.aio")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'flywheel' has no attribute '{name}'")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF, "aio"])
