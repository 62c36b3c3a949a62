"""Which model is served, and the bounds on inference."""

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flywheel_serving.flag_types import field_values, non_negative_seconds, positive_int, positive_seconds
from flywheel_serving.memory import MEBIBYTE, memory_limit

MAX_OUTPUT_BYTES = 128 * MEBIBYTE
OUTPUT_MEMORY_FRACTION = 1 / 8  # of the container's memory


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from harming the others."""

    rows: int = 10_000  # in one request
    batch_rows: int = 64  # in one call of the model
    batch_wait_seconds: float = 0.0  # a request waits so long for others to share its call
    in_flight: int = 256
    queue_seconds: float = 5.0  # a request waits so long for the model
    run_seconds: float = 60.0  # the model computes so long for a request, then the computation is ended
    workers: int = 2  # processes of a model that is computed apart
    output_bytes: int | None = None  # of one call of the model; None: by the memory of the container
    memory_bytes: int | None = None  # of the container; None: by its cgroup

    @cached_property
    def memory(self) -> int:
        """The memory of the container."""
        return self.memory_bytes or memory_limit()

    @cached_property
    def max_output_bytes(self) -> int:
        """The outputs of one call of the model are not larger. Two are in memory at once: as arrays, and as the response."""
        return self.output_bytes or min(MAX_OUTPUT_BYTES, int(self.memory * OUTPUT_MEMORY_FRACTION))


@dataclass(frozen=True)
class InferConfig:
    """`folder` holds model.onnx; `threads` of one call are the CPU limit if None."""

    folder: Path
    name: str
    version: str
    threads: int | None = None
    limits: Limits = Limits()

    @classmethod
    def from_flags(cls, flags: argparse.Namespace) -> "InferConfig":
        values = field_values(cls, flags)
        name = flags.name or flags.folder.resolve().name
        return cls(**{**values, "name": name}, limits=Limits(**field_values(Limits, flags)))


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `InferConfig`."""
    add = parser.add_argument_group("model").add_argument
    folder = "folder with model.onnx, and signature.json and golden.json if it has them"
    add("--model", dest="folder", type=Path, required=True, metavar="DIR", help=folder)
    add("--name", default="", help="the model's name in URLs (default: the folder's name)")
    add("--version", default="1", help="the model's version in URLs")
    add("--threads", type=positive_int, help="threads of one inference (default: the CPU limit)")

    group, limits = parser.add_argument_group("inference"), Limits()
    for flag, field, kind, text in (
        ("--max-rows", "rows", positive_int, "most rows in one request"),
        ("--max-batch-rows", "batch_rows", positive_int, "most rows in one call of the model; 1 turns batching off"),
        (
            "--max-batch-wait-seconds",
            "batch_wait_seconds",
            non_negative_seconds,
            "time to wait for others to share a call",
        ),
        ("--max-in-flight", "in_flight", positive_int, "most inferences in flight; further requests are answered 429"),
        ("--max-queue-seconds", "queue_seconds", non_negative_seconds, "time to wait for the model, then 503"),
        ("--max-run-seconds", "run_seconds", positive_seconds, "time of the model for one request, then 504"),
        ("--workers", "workers", positive_int, "most processes of a model that is not computed in the server's own"),
        (
            "--max-output-bytes",
            "output_bytes",
            positive_int,
            "largest outputs (default: 128 MiB, or memory / 8 if less)",
        ),
        ("--memory-bytes", "memory_bytes", positive_int, "memory of the container (default: the limit of its cgroup)"),
    ):
        group.add_argument(flag, dest=field, type=kind, default=getattr(limits, field), help=text)
