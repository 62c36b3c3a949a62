"""What runs logged, as the files that collect reads."""

import json
import math
from pathlib import Path

import pytest

from flywheel_runtime.commands.collect.outputs import read_metrics
from flywheel_runtime.commands.collect.prune.curve import Curve
from flywheel_runtime.mlflow_plugin.recorded_files import (
    MAX_NESTED_METRICS,
    Curves,
    Point,
    parameters_text,
    tags_text,
    write_metrics,
)
from flywheel_runtime.mlflow_plugin.run_state import Run, State

NOON = 1_800_000_000_000  # milliseconds since 1970


def state_of(*runs: Run) -> State:
    return State(runs={run.id: run for run in runs})


def a_run(run_id: str, prefix: str = "", **fields: object) -> Run:
    return Run(run_id, run_id, "0", "", NOON, prefix, **fields)  # type: ignore[arg-type]


def log(curves: Curves, run: Run, name: str, *values: float) -> None:
    curves.append(run, [Point(run.id, name, value, step, NOON + step) for step, value in enumerate(values)])


def test_a_curve_is_what_pruning_follows(tmp_path: Path) -> None:
    log(Curves(tmp_path), a_run("a"), "loss", 0.5, 0.25)

    assert Curve(tmp_path / "metrics.jsonl", "loss").look() == [(0, 0.5), (1, 0.25)]
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0]) == {
        "step": 0,
        "name": "loss",
        "value": 0.5,
        "time": "2027-01-15T08:00:00.000Z",
        "run": "a",
    }


def test_the_last_value_is_that_of_the_greatest_step(tmp_path: Path) -> None:
    run, curves = a_run("a"), Curves(tmp_path)
    curves.append(run, [Point("a", "loss", 0.1, 9, NOON), Point("a", "loss", 0.5, 2, NOON + 1)])

    write_metrics(state_of(run), curves, tmp_path)

    assert read_metrics(tmp_path / "metrics.json") == {"loss": 0.1}


def test_metrics_of_the_steps_own_runs_come_first(tmp_path: Path) -> None:
    own, nested, curves = a_run("a"), a_run("b", "fold/"), Curves(tmp_path)
    log(curves, nested, "loss", 1)
    log(curves, own, "loss", 0.5)

    write_metrics(state_of(own, nested), curves, tmp_path)

    assert list(read_metrics(tmp_path / "metrics.json").items()) == [("loss", 0.5), ("fold/loss", 1)]


def test_metrics_of_many_nested_runs_stay_in_the_curves(tmp_path: Path) -> None:
    own, curves = a_run("a"), Curves(tmp_path)
    nested = [a_run(f"n{number}", f"n{number}/") for number in range(MAX_NESTED_METRICS + 5)]
    for each in nested:
        log(curves, each, "loss", 1)

    _, left_out = write_metrics(state_of(own, *nested), curves, tmp_path)

    assert len(read_metrics(tmp_path / "metrics.json")) == MAX_NESTED_METRICS
    assert left_out == [f"n{number}/loss" for number in range(MAX_NESTED_METRICS, MAX_NESTED_METRICS + 5)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_last_value_that_is_not_finite_is_left_out_and_named(tmp_path: Path, value: float) -> None:
    run, curves = a_run("a"), Curves(tmp_path)
    log(curves, run, "loss", 0.5, value)
    log(curves, run, "roc_auc", 0.9)

    _, left_out = write_metrics(state_of(run), curves, tmp_path)

    assert (read_metrics(tmp_path / "metrics.json"), left_out) == ({"roc_auc": 0.9}, ["loss"])


def test_a_second_end_replaces_the_metrics_of_the_first(tmp_path: Path) -> None:
    run, curves = a_run("a"), Curves(tmp_path)
    state = state_of(run)
    log(curves, run, "loss", 0.5)
    state.metrics_digest, _ = write_metrics(state, curves, tmp_path)
    log(curves, run, "loss", 0.5, 0.25)

    write_metrics(state, curves, tmp_path)

    assert read_metrics(tmp_path / "metrics.json") == {"loss": 0.25}


def test_lines_of_other_writers_are_no_points_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 0, "name": "gpu0_memory_bytes", "value": 1, "time": "…"}\nno JSON\n[]\n'
    )
    run, curves = a_run("a"), Curves(tmp_path)

    log(curves, run, "loss", 0.5)

    assert [point.name for point in curves.last().values()] == ["loss"]
    assert [point.value for point in curves.points(run, "loss")] == [0.5]


def test_a_point_that_is_there_already_is_not_new(tmp_path: Path) -> None:
    run, curves = a_run("a", "fold/"), Curves(tmp_path)
    log(curves, run, "loss", 0.5, 0.25)
    again, later = Point("a", "loss", 0.25, 1, NOON + 1), Point("a", "loss", 0.25, 1, NOON + 2)

    assert curves.new_points(run, [again, later]) == [later]
    curves.append(run, [later])
    assert curves.new_points(run, [later]) == []


def test_texts_have_the_names_of_nested_runs_and_no_tags_of_the_machine() -> None:
    own = a_run("a", params={"rate": "0.1"}, tags={"mlflow.user": "root", "mlflow.runName": "first"})
    nested = a_run("b", "fold/", params={"rate": "0.2"}, tags={"mlflow.parentRunId": "a"})
    state = state_of(own, nested)

    assert json.loads(parameters_text(state)) == {"rate": "0.1", "fold/rate": "0.2"}
    assert json.loads(tags_text(state)) == {"mlflow.runName": "first"}
