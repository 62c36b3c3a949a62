"""How a step's pod keeps checkpoints: a folder that main writes and `collect` uploads, and the newest of them, which `fetch` brings back."""

from typing import Any

from flywheel.core.pods.distributed import Checkpoint

FOLDER = "/flywheel/checkpoints"
BROUGHT = "/flywheel/inputs/checkpoint"
VOLUME = "checkpoints"


def environment(checkpoint: Checkpoint | None) -> dict[str, str]:
    """Where the last checkpoint lies, if there is one; `fetch` brings none without this."""
    return {"FLYWHEEL_CHECKPOINT": BROUGHT} if checkpoint else {}


def collect_config(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """What `collect` is told."""
    return {"checkpoint": {"everySeconds": checkpoint.every.seconds}} if checkpoint else {}


def volumes(checkpoint: Checkpoint | None) -> list[dict[str, Any]]:
    """The pod's part."""
    return [{"name": VOLUME, "emptyDir": {}}] if checkpoint else []


def mounts(checkpoint: Checkpoint | None) -> list[dict[str, Any]]:
    """Main's and collect's part."""
    return [{"name": VOLUME, "mountPath": FOLDER}] if checkpoint else []
