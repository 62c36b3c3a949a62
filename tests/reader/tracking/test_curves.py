"""Curves: complete up to the bound, beyond it the extremes of equal ranges, whatever is in the file."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_reader.tracking.curves import MAX_CURVES, MAX_LINE_BYTES, MAX_POINTS, CurveReader
from tests.examples import examples


def read(text: bytes, *names: str, max_points: int = 100, chunk: int = 64) -> dict[str, Any]:
    reader = CurveReader(frozenset(names), max_points)
    for start in range(0, len(text), chunk):
        reader.feed(text[start : start + chunk])
    reader.close()
    return reader.result()


def lines(values: list[Any], name: str = "loss") -> bytes:
    return b"".join(
        json.dumps({"step": step, "name": name, "value": value, "time": None}).encode() + b"\n"
        for step, value in enumerate(values)
    )


def test_a_short_curve_is_complete_with_the_names_of_what_json_lacks() -> None:
    found = read(lines([0.5, float("nan"), float("inf"), float("-inf"), None, 1]))

    assert [point[1] for point in found["curves"]["loss"]] == [0.5, "NaN", "Infinity", "-Infinity", None, 1]
    assert found["downsampled"] == {}


@settings(max_examples=examples(60, ci=10), deadline=None)
@given(st.integers(101, 3000), st.integers(10, 100), st.randoms(use_true_random=False))
def test_a_long_curve_keeps_its_extremes_and_its_order(count: int, max_points: int, chance: Any) -> None:
    values = [chance.random() for _ in range(count)]
    spike = chance.randrange(count)
    values[spike] = 100.0

    found = read(lines(values), max_points=max_points, chunk=4096)

    points = found["curves"]["loss"]
    steps = [step for step, _, _ in points]
    assert steps == sorted(set(steps))
    assert all(values[step] == value for step, value, _ in points)
    assert [spike, 100.0, None] in points
    assert min(values) == min(value for _, value, _ in points)
    said = found["downsampled"]["loss"]
    assert (said["points"], said["shown"]) == (count, len(points))
    assert len(points) <= max_points
    assert said["method"].startswith("min and max of each of")


def test_nan_is_seen_in_a_long_curve() -> None:
    values = [1.0] * 500
    values[250] = float("nan")

    assert [250, "NaN", None] in read(lines(values), max_points=20)["curves"]["loss"]


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"null",
        b'{"step": 1, "value": 1}',
        b'{"step": "1", "name": "a", "value": 1}',
        b'{"step": true, "name": "a", "value": 1}',
        b'{"step": NaN, "name": "a", "value": 1}',
        b'{"step": 1, "name": ["a"], "value": 1}',
        b'{"step": 1, "name": "a", "value": {}}',
        b'{"step": 1, "name": "a", "value": "high"}',
        b"\xff\xfe",
        b"[" * 10_000,
        b"x" * (3 * MAX_LINE_BYTES),
    ],
    ids=lambda line: str(line[:20]),
)
def test_a_line_that_is_no_point_is_counted(line: bytes) -> None:
    found = read(lines([1.0]) + line + b"\n" + lines([2.0]), chunk=1 << 14)

    assert [point[1] for point in found["curves"]["loss"]] == [1.0, 2.0]
    assert found["unreadableLines"] == 1


def test_a_last_line_that_is_being_written_is_read_when_it_is_complete() -> None:
    assert len(read(lines([1.0, 2.0])[:-1])["curves"]["loss"]) == 2
    assert read(lines([1.0, 2.0])[:-8])["unreadableLines"] == 1


def test_many_metrics_are_bounded_and_the_others_are_named() -> None:
    text = b"".join(lines([1.0], f"m{number:04d}") for number in range(MAX_CURVES + 10))

    found = read(text, chunk=1 << 16)

    assert len(found["curves"]) == MAX_CURVES
    assert found["leftOut"] == [f"m{number:04d}" for number in range(MAX_CURVES, MAX_CURVES + 10)]
    assert list(read(text, "m0300", chunk=1 << 16)["curves"]) == []
    assert list(read(text, "m0260", chunk=1 << 16)["curves"]) == ["m0260"]


def test_many_curves_have_a_bounded_number_of_points_together() -> None:
    text = b"".join(lines([float(step) for step in range(2000)], f"metric-{number}") for number in range(100))

    found = read(text, max_points=2000, chunk=1 << 16)

    assert len(found["curves"]) == 100
    assert sum(map(len, found["curves"].values())) <= MAX_POINTS
    assert all(shown["points"] == 2000 for shown in found["downsampled"].values())
    assert all(max(value for _, value, _ in points) == 1999 for points in found["curves"].values())


@pytest.mark.parametrize(
    "line",
    [
        b'{"step": 1%s, "name": "a", "value": NaN}' % (b"0" * 400),
        b'{"step": 1, "name": "%s", "value": 1}' % (b"a" * 2000),
    ],
    ids=["a huge step", "a long name"],
)
def test_a_line_that_no_curve_has_is_unreadable(line: bytes) -> None:
    assert read(line + b"\n") == {"curves": {}, "downsampled": {}, "unreadableLines": 1}


def test_a_long_time_is_left_out() -> None:
    line = json.dumps({"step": 0, "name": "a", "value": 1, "time": "x" * 1000}).encode()

    assert read(line)["curves"] == {"a": [[0, 1.0, None]]}
