"""What MLflow loads while it is imported itself, so that nothing here imports MLflow before it is asked for a store.

In a step of Flywheel, this plugin is MLflow's default: `MLFLOW_TRACKING_URI` is `flywheel:` unless the image, the manifest or the code says
otherwise, and MLflow's telemetry is off, since a pod should send nothing that its user did not write.
"""

import os
from typing import Any

TRACKING_URI = "flywheel:"

if os.environ.get("FLYWHEEL_STEP"):
    os.environ.setdefault("MLFLOW_TRACKING_URI", TRACKING_URI)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """The tracking store of `flywheel:`."""
    from flywheel_runtime.mlflow_plugin.tracking_store import FlywheelTrackingStore

    return FlywheelTrackingStore()


def artifact_repository(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    """The files of a run, whose URI is `flywheel:/artifacts/…`."""
    from flywheel_runtime.mlflow_plugin.artifact_repository import FlywheelArtifactRepository

    return FlywheelArtifactRepository(artifact_uri, tracking_uri, registry_uri)


def model_registry_store(store_uri: str, tracking_uri: str | None = None) -> Any:
    """The model registry of `flywheel:`."""
    from flywheel_runtime.mlflow_plugin.model_registry import FlywheelModelRegistry

    return FlywheelModelRegistry(store_uri, tracking_uri)
