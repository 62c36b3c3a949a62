"""A curve is read while others write it, whatever they write."""

import math
import os
from pathlib import Path

import pytest

from flywheel_runtime.commands.collect.prune.curve import Curve


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def point(step: object, value: object, name: str = "loss") -> str:
    import json

    return json.dumps({"step": step, "name": name, "value": value}) + "\n"


def test_points_come_as_they_are_written(file: Path) -> None:
    curve = Curve(file, "loss")
    assert curve.look() == []

    file.write_text(point(0, 0.9) + point(0, 0.5, name="accuracy"))
    assert curve.look() == [(0, 0.9)]
    with file.open("a") as more:
        more.write(point(1, 0.8) + point(2, 0.7)[:9])
    assert curve.look() == [(1, 0.8)]
    with file.open("a") as more:
        more.write(point(2, 0.7)[9:])

    assert curve.look() == [(2, 0.7)]
    assert curve.points == {0: 0.9, 1: 0.8, 2: 0.7}


def test_the_first_value_of_a_step_counts(file: Path) -> None:
    file.write_text(point(4, 0.9) + point(4, 0.1))

    assert Curve(file, "loss").look() == [(4, 0.9)]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("not JSON\n", id="no JSON"),
        pytest.param("[1, 2]\n", id="a list"),
        pytest.param("[" * 100_000 + "\n", id="too deep"),
        pytest.param(point(None, 0.5), id="no step"),
        pytest.param(point(True, 0.5), id="a Boolean step"),
        pytest.param(point(-1, 0.5), id="a step before the first"),
        pytest.param(point(1.5, 0.5), id="half a step"),
        pytest.param("\xff\x00\n", id="bytes"),
    ],
)
def test_lines_that_are_no_points_are_passed_over(file: Path, line: str) -> None:
    file.write_bytes(line.encode("latin-1") + point(7, 0.3).encode())

    assert Curve(file, "loss").look() == [(7, 0.3)]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "null", '"low"', "true", "1" + "0" * 400])
def test_what_is_no_finite_number_is_nan(file: Path, value: str) -> None:
    file.write_text(f'{{"step": 1, "name": "loss", "value": {value}}}\n')
    curve = Curve(file, "loss")
    curve.look()

    assert math.isnan(curve.points[1])


def test_a_curve_without_an_end_is_cut(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel_runtime.commands.collect.prune.curve.MOST_POINTS", 3)
    file.write_text("".join(point(step, 0.5) for step in range(9)))
    curve = Curve(file, "loss")
    curve.look()

    assert list(curve.points) == [0, 1, 2]


def test_a_line_longer_than_a_look_is_passed_over(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel_runtime.commands.collect.prune.curve.MOST_BYTES", 100)
    file.write_text("x" * 250 + "\n" + point(1, 0.5))
    curve = Curve(file, "loss")

    assert [curve.look() for _ in range(4)][-1] or curve.points == {1: 0.5}
    assert curve.points == {1: 0.5}


@pytest.mark.parametrize("make", [pytest.param(os.mkfifo, id="a pipe"), pytest.param(Path.mkdir, id="a folder")])
def test_what_is_no_file_has_no_points(file: Path, make: "os.PathLike[str]") -> None:
    make(file)  # type: ignore[operator]

    assert Curve(file, "loss").look() == []
