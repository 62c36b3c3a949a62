"""The files of the contract that a step's runs become (images/README.md, "Outputs").

The runs that are no child of another are the step's own: their names are written as they are, and where two of them have the same name, the
later run counts. A nested run's names begin with its prefix.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from flywheel_runtime.contract.step import replace_file
from flywheel_runtime.mlflow_plugin.run_state import DEFAULT_EXPERIMENT, PARENT_TAG, Run, State

MAX_FILE_BYTES = 1 << 20  # of tags.json, parameters.json and metrics.json each: collect reads no more
MAX_NESTED_METRICS = 100  # in metrics.json; all of them are in metrics.jsonl
# Who ran it is the pod, and parents are in the names.
_OMITTED_TAGS = frozenset({"mlflow.user", PARENT_TAG, "mlflow.rootRunId"})


@dataclass(frozen=True)
class Point:
    """One value of a metric, as a run has it; `time` is milliseconds since 1970."""

    run: str
    name: str
    value: float
    step: int
    time: int


class Curves:
    """The file `metrics.jsonl`: each line is a point of the contract, with the id of its run beside it. Other lines are of other writers."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"
        self._read_bytes = 0
        self._last: dict[tuple[str, str], Point] = {}
        self._seen: set[int] = set()  # hashes of points, once somebody asked for new ones
        self._seen_bytes = 0
        self._lock = Lock()  # MLflow logs from threads of its own, too

    def append(self, run: Run, points: list[Point]) -> None:
        """Append points of one run. A value that is not finite is written as null."""
        lines = [json.dumps(_line(run, point)) + "\n" for point in points]
        # One write to a file opened for appending: lines of several processes never mix.
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))

    def new_points(self, run: Run, points: Iterable[Point]) -> list[Point]:
        """Those points that the file does not have. MLflow repeats points that a run has already, to link them to a logged model."""
        with self._lock:
            found, self._seen_bytes = self._read(self._seen_bytes)
            self._seen.update(hash((point.run, point.name, point.step, point.time)) for point in found)
            return [
                point
                for point in points
                if hash((run.id, run.prefix + point.name, point.step, point.time)) not in self._seen
            ]

    def points(self, run: Run, name: str) -> list[Point]:
        """All points of one metric of a run, in the order in which they were logged."""
        return [point for point in self._read(0)[0] if point.run == run.id and point.name == run.prefix + name]

    def last(self) -> Mapping[tuple[str, str], Point]:
        """The last point by (run, name in the file), in the order of the first ones: that of the greatest step, and of these the latest."""
        with self._lock:
            points, self._read_bytes = self._read(self._read_bytes)
            for point in points:
                before = self._last.get((point.run, point.name))
                if before is None or (before.step, before.time) <= (point.step, point.time):
                    self._last[point.run, point.name] = point
            return dict(self._last)

    def _read(self, start: int) -> tuple[list[Point], int]:
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                text = file.read()
        except FileNotFoundError:
            return [], start
        whole, end, _ = text.rpartition(b"\n")
        return list(_parse(whole)), start + len(whole) + len(end)


def _line(run: Run, point: Point) -> dict[str, Any]:
    time = datetime.fromtimestamp(point.time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    value = point.value if math.isfinite(point.value) else None
    return {"step": point.step, "name": run.prefix + point.name, "value": value, "time": time, "run": run.id}


def _parse(text: bytes) -> Iterator[Point]:
    for line in text.splitlines():
        # Lines of other writers, such as flywheel_runtime.run, have no run.
        with suppress(ValueError, KeyError, TypeError):
            document = json.loads(line)
            time = int(datetime.fromisoformat(document["time"]).timestamp() * 1000)
            value = math.nan if document["value"] is None else document["value"]
            yield Point(document["run"], document["name"], value, document["step"], time)


def parameters_text(state: State) -> bytes:
    """The content of parameters.json."""
    return _encode(merge(run.params, run.prefix) for run in state.runs.values())


def tags_text(state: State) -> bytes:
    """The content of tags.json."""
    return _encode(merge(_tags(state, run), run.prefix) for run in state.runs.values())


def merge(values: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The values with their names in the file."""
    return {prefix + name: value for name, value in values.items()}


def _tags(state: State, run: Run) -> dict[str, str]:
    tags = {name: value for name, value in run.tags.items() if name not in _OMITTED_TAGS}
    if run.experiment != DEFAULT_EXPERIMENT:
        tags["mlflow.experimentName"] = state.experiments[run.experiment].name
    for each in run.datasets:
        context = each["tags"].get("mlflow.data.context", "unknown")
        tags[f"mlflow.dataset.{context}"] = f"{each['dataset']['name']}@{each['dataset']['digest']}"
    return tags


def _encode(parts: Iterator[dict[str, str]]) -> bytes:
    document: dict[str, str] = {}
    for part in parts:
        document |= part
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()


def write_if_other(path: Path, content: bytes) -> None:
    """Replace a file, unless it has this content, or would be new and empty."""
    before = path.read_bytes() if path.exists() else b"{}"
    if content != before:
        replace_file(path, content)


def write_metrics(state: State, curves: Curves, folder: Path) -> tuple[str, list[str]]:
    """Write metrics.json, which says that the outputs are whole.

    The metrics of the step's own runs come first, then those of nested runs. What `run.finish` has written meanwhile is left as it is.

    Returns its digest, and what was left out: metrics whose last value is not finite, and nested ones above the limit.
    """
    own, nested = _last_values(state, curves)
    left_out = [name for name, value in {**own, **nested}.items() if not math.isfinite(value)]
    own = {name: value for name, value in own.items() if math.isfinite(value)}
    nested = {name: value for name, value in nested.items() if math.isfinite(value) and name not in own}
    left_out += list(nested)[MAX_NESTED_METRICS:]
    metrics = own | dict(list(nested.items())[:MAX_NESTED_METRICS])
    path = folder / "metrics.json"
    if path.exists() and _digest(path.read_bytes()) != state.metrics_digest:
        metrics |= json.loads(path.read_bytes())
    content = json.dumps(metrics).encode()
    replace_file(path, content)
    return _digest(content), left_out


def _last_values(state: State, curves: Curves) -> tuple[dict[str, float], dict[str, float]]:
    own: dict[str, float] = {}
    nested: dict[str, float] = {}
    places = {run: place for place, run in enumerate(state.runs)}
    for point in sorted(curves.last().values(), key=lambda point: places.get(point.run, -1)):
        run = state.runs.get(point.run)
        if run is not None:
            (nested if run.prefix else own)[point.name] = point.value
    return own, nested


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
