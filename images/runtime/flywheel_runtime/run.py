"""The helper for training code; the standard library is all it needs.

    from flywheel_runtime import run

    rate = run.params.get("learning_rate", 0.1)
    for step in range(100):
        run.log(step=step, loss=loss)
    model.save(run.output("model") / "model.onnx")
    run.finish({"roc_auc": 0.74})

With the first log it also begins to log the use of GPUs, where there are any.

It reads and writes the files of the contract (images/README.md), so every other language can do the same. Outside of a
pod it uses the folder of `FLYWHEEL_ROOT`, else `./flywheel`.
"""

import functools
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, SupportsFloat

from flywheel_runtime.contract import gpu_usage
from flywheel_runtime.contract.step import MAX_FACTS_BYTES, replace_file

params: Mapping[str, Any]
"""The run's parameters, from `params.json`; empty where there is none. Read when first asked for."""


def root() -> Path:
    """The folder of the contract: `FLYWHEEL_ROOT`, else `/flywheel` where it exists, else `./flywheel`."""
    if chosen := os.environ.get("FLYWHEEL_ROOT"):
        return Path(chosen)
    in_pod = Path("/flywheel")
    return in_pod if in_pod.is_dir() else Path("flywheel")


def input(name: str) -> Path:
    """The folder of an input, read-only."""
    return root() / "inputs" / name


def output(name: str) -> Path:
    """The folder of an output, made if it is not there. What is in it when the run has finished is kept."""
    folder = root() / "outputs" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def checkpoint() -> Path | None:
    """The folder of the newest checkpoint that an earlier attempt of this step left, or None: begin anew."""
    folder = root() / "inputs" / "checkpoint"
    return folder if folder.is_dir() else None


@contextmanager
def new_checkpoint(name: str) -> Iterator[Path]:
    """A folder to write a checkpoint into; it counts when the block ends without an error. Give every one a name of its own.

    with run.new_checkpoint(f"step-{step}") as folder:
        torch.save(state, folder / "state.pt")

    Where nobody keeps checkpoints it is thrown away, so that the same code runs everywhere.
    """
    if not os.environ.get("FLYWHEEL_CHECKPOINT"):
        with tempfile.TemporaryDirectory() as thrown_away:
            yield Path(thrown_away)
        return
    folder = root() / "checkpoints" / name
    part = folder.with_name(f".{name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    part.rename(folder)


def log(step: int | None = None, **values: SupportsFloat) -> None:
    """Append one point of each named curve. What is not finite is written as null: curves may show how it diverged."""
    _watch_gpus()
    append_points(step, values)


def append_points(step: int | None, values: Mapping[str, SupportsFloat]) -> None:
    """Append one point of each named curve, and no use of GPUs."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    lines = []
    for name, value in values.items():
        number = float(value)
        line = {"step": step, "name": name, "value": number if math.isfinite(number) else None, "time": time}
        lines.append(json.dumps(line) + "\n")
    # One write to a file opened for appending: lines of several processes never mix.
    with _outputs().joinpath("metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write("".join(lines))


@functools.cache
def _watch_gpus() -> None:
    gpu_usage.start_sampling(lambda use: append_points(None, use))


def finish(metrics: Mapping[str, SupportsFloat], facts: Mapping[str, Any] | None = None) -> None:
    """Say that the outputs are whole, with the final metrics: the last thing that a run does.

    ValueError names a metric that is no finite number, or facts over 2,000 bytes.
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise ValueError(f"metric {name!r} is {number}; every metric must be a finite number")
    if facts is not None:
        text = json.dumps(facts, allow_nan=False)
        if (size := len(text.encode())) > MAX_FACTS_BYTES:
            raise ValueError(f"facts have {size} bytes and may have {MAX_FACTS_BYTES}; write them into an output")
        replace_file(_outputs() / "facts.json", text.encode())
    replace_file(_outputs() / "metrics.json", json.dumps(numbers).encode())


def _outputs() -> Path:
    folder = root() / "outputs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def __getattr__(name: str) -> Any:
    if name != "params":
        raise AttributeError(f"module 'flywheel_runtime.run' has no attribute {name!r}")
    file = root() / "params.json"
    globals()["params"] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return globals()["params"]
