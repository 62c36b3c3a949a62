"""metrics.jsonl has three writers that share no code: every reader takes their lines for the same points."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flywheel.client.training import prelude
from flywheel_reader.tracking.curves import CurveReader
from flywheel_runtime import run
from flywheel_runtime.commands.collect.logged_files import last_values
from flywheel_runtime.commands.collect.prune.curve import Curve
from flywheel_runtime.mlflow_plugin.recorded_files import Curves, Point
from flywheel_runtime.mlflow_plugin.run_state import Run

Writer = Callable[[Path, int, Mapping[str, float]], None]
LOGGED: list[tuple[int, dict[str, float]]] = [
    (0, {"loss": 0.5, "acc": 1}),
    (1, {"loss": math.nan}),
    (2, {"loss": 0.25}),
]


def write_by_helper(folder: Path, step: int, values: Mapping[str, float]) -> None:
    run.append_points(step, values)


def write_by_function(folder: Path, step: int, values: Mapping[str, float]) -> None:
    prelude.Run(folder).log(step, **values)


def write_by_mlflow(folder: Path, step: int, values: Mapping[str, float]) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    own = Run("r", "r", "0", "", now, "")
    Curves(folder / "outputs").append(own, [Point("r", name, value, step, now) for name, value in values.items()])


@pytest.mark.parametrize("write", [write_by_helper, write_by_function, write_by_mlflow])
def test_lines_of_each_writer_are_the_same_points_to_every_reader(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_ROOT", str(tmp_path))
    file = tmp_path / "outputs" / "metrics.jsonl"
    file.parent.mkdir()

    for step, values in LOGGED:
        write(tmp_path, step, values)

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [{key: line[key] for key in ("step", "name", "value")} for line in lines] == [
        {"step": 0, "name": "loss", "value": 0.5},
        {"step": 0, "name": "acc", "value": 1.0},
        {"step": 1, "name": "loss", "value": None},
        {"step": 2, "name": "loss", "value": 0.25},
    ]
    assert {frozenset(line) - {"run"} for line in lines} == {frozenset({"step", "name", "value", "time"})}
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert all(abs(datetime.now(UTC) - time) < timedelta(minutes=1) for time in times)
    assert last_values(file) == {"loss": 0.25, "acc": 1.0}
    points = Curve(file, "loss").look()
    assert (points[0], points[2]) == ((0, 0.5), (2, 0.25))
    assert math.isnan(points[1][1])
    reader = CurveReader(frozenset(), 100)
    reader.feed(file.read_bytes())
    found = reader.result()
    assert "unreadableLines" not in found
    assert [point[:2] for point in found["curves"]["loss"]] == [[0, 0.5], [1, None], [2, 0.25]]
