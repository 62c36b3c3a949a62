"""Which model is served, and the bounds on inference."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from flywheel_serving.flag_types import non_negative_seconds, positive_int


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from harming the others."""

    rows: int = 10_000  # in one request
    batch_rows: int = 64  # in one call of the model
    batch_wait_seconds: float = 0.0  # a request waits so long for others to share its call
    in_flight: int = 256
    queue_seconds: float = 5.0  # a request waits so long for the model


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
        limits = Limits(
            rows=flags.max_rows,
            batch_rows=flags.max_batch_rows,
            batch_wait_seconds=flags.max_batch_wait_seconds,
            in_flight=flags.max_in_flight,
            queue_seconds=flags.max_queue_seconds,
        )
        return cls(flags.model, flags.name or flags.model.resolve().name, flags.version, flags.threads, limits)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `InferConfig`."""
    add = parser.add_argument_group("model").add_argument
    folder = "folder with model.onnx, and signature.json and golden.json if it has them"
    add("--model", type=Path, required=True, help=folder)
    add("--name", default="", help="the model's name in URLs (default: the folder's name)")
    add("--version", default="1", help="the model's version in URLs")
    add("--threads", type=positive_int, help="threads of one inference (default: the CPU limit)")

    add, limits = parser.add_argument_group("inference").add_argument, Limits()
    batch_rows = "most rows of several requests in one call of the model; 1 turns batching off"
    batch_wait = "how long a request waits for others to share its call"
    in_flight = "most inferences in flight; further requests are answered 429"
    queue = "how long a request waits for the model before it is answered 503"
    seconds = non_negative_seconds
    add("--max-rows", type=positive_int, default=limits.rows, help="most rows in one request")
    add("--max-batch-rows", type=positive_int, default=limits.batch_rows, help=batch_rows)
    add("--max-batch-wait-seconds", type=seconds, default=limits.batch_wait_seconds, help=batch_wait)
    add("--max-in-flight", type=positive_int, default=limits.in_flight, help=in_flight)
    add("--max-queue-seconds", type=seconds, default=limits.queue_seconds, help=queue)
