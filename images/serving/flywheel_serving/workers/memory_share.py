"""How the memory of the container is divided among the workers of a model, so that a call may end its worker and not the server."""

from dataclasses import dataclass

from flywheel_serving.memory import MEBIBYTE

MIN_CALL_BYTES = 64 * MEBIBYTE


@dataclass(frozen=True)
class MemoryShare:
    """`workers` have room at once. Each may allocate `call_bytes` more than it has once it has loaded the model."""

    workers: int
    call_bytes: int


def share_memory(total_bytes: int, max_workers: int, loaded_bytes: int) -> MemoryShare:
    """The share of workers of which each has `loaded_bytes` before its first call: as many as have room, at least one."""
    workers = max(1, min(max_workers, total_bytes // (loaded_bytes + MIN_CALL_BYTES)))
    return MemoryShare(workers, max(MIN_CALL_BYTES, total_bytes // workers - loaded_bytes))
