"""Checkpoints of a step's pod: a folder that main writes and `collect` uploads, and the newest of them, which `fetch` brings back."""

from typing import Any

from flywheel.core.pods.distributed import Checkpoint

FOLDER = "/flywheel/checkpoints"
RESTORED_FOLDER = "/flywheel/inputs/checkpoint"
VOLUME = "checkpoints"


def environment(checkpoint: Checkpoint | None) -> dict[str, str]:
    """Returns the variable that says where the last checkpoint is, if there is one. Without it `fetch` brings none."""
    return {"FLYWHEEL_CHECKPOINT": RESTORED_FOLDER} if checkpoint else {}


def collect_config(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Returns the fields of collect's configuration."""
    return {"checkpoint": {"everySeconds": checkpoint.every.seconds}} if checkpoint else {}


def volumes(checkpoint: Checkpoint | None) -> list[dict[str, Any]]:
    """Returns the volumes of the pod."""
    return [{"name": VOLUME, "emptyDir": {}}] if checkpoint else []


def mounts(checkpoint: Checkpoint | None) -> list[dict[str, Any]]:
    """Returns the mounts of main and collect."""
    return [{"name": VOLUME, "mountPath": FOLDER}] if checkpoint else []
