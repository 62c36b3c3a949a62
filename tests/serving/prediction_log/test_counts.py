"""Counts are exact, use the training's bins, and add up however the traffic was split."""

import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.datasets import profile
from flywheel_serving.infer.requests import InputLayout
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.prediction_log import baseline
from flywheel_serving.prediction_log.baseline import Baseline, BaselineInvalid
from flywheel_serving.prediction_log.counts import Counts
from tests.examples import examples
from tests.serving.prediction_log.log_store import add_counts

EDGES = {"month": [1.0, 4.0, 7.0, 12.0], "wind": [-2.5, 0.0, 0.1], "constant": [3.0, 3.0]}
CATEGORIES = ["UA", "DL"]
BASELINE = Baseline(
    digest="sha256:1",
    numbers={**EDGES},
    texts={"carrier": CATEGORIES},
    flags={"night": ["true"]},
    predictions=[0.0, 0.25, 0.5, 1.0],
    score=("probabilities", True),
    dtype=np.dtype("<f4"),
)
FLOATS = st.one_of(
    st.sampled_from([1.0, 12.0, 7.0, 3.0, 0.1, -2.5, float("nan"), float("inf"), float("-inf"), -0.0]),
    st.floats(-20, 20, width=32),
)
ROWS = st.tuples(FLOATS, FLOATS, FLOATS, st.sampled_from(["UA", "DL", "AA", ""]), st.sampled_from([0.0, 1.0, float("nan")]), st.floats(0, 1, width=32))  # fmt: skip
REQUESTS = st.lists(st.lists(ROWS, min_size=1, max_size=4), min_size=1, max_size=12)


def request(rows: list[tuple[Any, ...]]) -> tuple[dict[str, Array], list[str], list[Array], int]:
    """A request in the data plane: one array [rows, 1] for each input, names of outputs, outputs, rows."""
    columns = list(zip(*rows, strict=True))
    feeds: dict[str, Array] = {
        name: np.array(values, np.float32).reshape(-1, 1)
        for name, values in zip((*EDGES, "night"), (*columns[:3], columns[4]), strict=True)
    }
    feeds["carrier"] = np.array(columns[3], object).reshape(-1, 1)
    score = np.array(columns[5], np.float32)
    return feeds, ["probabilities"], [np.stack([1 - score, score], axis=1)], len(rows)


def counted(requests: list[list[tuple[Any, ...]]]) -> Any:
    counts = Counts(BASELINE)
    for rows in requests:
        counts.observe(*request(rows))
    return counts.pop_document()


def count_one_by_one(values: list[float], edges: list[float]) -> dict[str, Any]:
    """Counts one value after the other, by the rules in images/README.md."""
    found: dict[str, Any] = {"missing": 0, "invalid": 0, "under": 0, "over": 0, "bins": [0] * (len(edges) - 1)}
    narrow = [float(np.float32(edge)) for edge in edges]
    for value in (float(np.float32(value)) for value in values):
        inside = [low <= value < high for low, high in pairwise(narrow)]
        inside[-1] = narrow[-2] <= value <= narrow[-1]
        if value != value:
            found["missing"] += 1
        elif value in (float("inf"), float("-inf")):
            found["invalid"] += 1
        elif value < narrow[0]:
            found["under"] += 1
        elif value > narrow[-1]:
            found["over"] += 1
        else:
            found["bins"][inside.index(True)] += 1
    return found


@settings(max_examples=examples(60, ci=15), deadline=None)
@given(REQUESTS)
def test_every_value_is_counted_in_its_bin(requests: list[list[tuple[Any, ...]]]) -> None:
    rows = [row for each in requests for row in each]

    found = counted(requests)

    assert (found["requests"], found["rows"]) == (len(requests), len(rows))
    for index, (name, edges) in enumerate(EDGES.items()):
        assert found["features"][name] == count_one_by_one([row[index] for row in rows], edges)
    texts = [row[3] for row in rows]
    assert found["features"]["carrier"] == {"missing": texts.count(""), "counts": [texts.count("UA"), texts.count("DL")], "other": texts.count("AA")}  # fmt: skip
    flags = [row[4] for row in rows]
    nights = {"counts": [flags.count(1.0)], "other": flags.count(0.0), "missing": sum(flag != flag for flag in flags)}
    assert found["features"]["night"] == nights
    assert found["predictions"] == {
        "rows": len(rows),
        **count_one_by_one([row[5] for row in rows], [0.0, 0.25, 0.5, 1.0]),
    }


@settings(max_examples=examples(25, ci=15), deadline=None)
@given(REQUESTS, st.integers(0, 12))
def test_windows_and_pods_are_merged_by_addition(requests: list[list[tuple[Any, ...]]], cut: int) -> None:
    left, right = (
        counted(requests[:cut]) if requests[:cut] else None,
        counted(requests[cut:]) if requests[cut:] else None,
    )

    parts = [part for part in (left, right) if part is not None]

    assert (add_counts(*parts) if len(parts) == 2 else parts[0]) == counted(requests)


@pytest.mark.parametrize("rows", [1, 15, 17, 2_040, 4_080, 4_081, 9_000])
def test_counts_are_exact_for_any_number_of_rows(rows: int) -> None:
    numeric = Baseline("sha256:1", {**EDGES}, {}, {}, [], None, np.dtype("<f4"))
    counts = Counts(numeric)
    winds = np.resize(np.array([-3, -2.5, 0, 0.05, 0.1, 0.2, np.nan, np.inf, -np.inf], np.float32), rows)
    columns = {"month": np.full(rows, 12, np.float32), "wind": winds, "constant": np.full(rows, 2, np.float32)}
    counts.observe({name: values.reshape(-1, 1) for name, values in columns.items()}, [], [], rows)

    found = counts.pop_document()["features"]

    assert found["month"] == {"missing": 0, "invalid": 0, "under": 0, "over": 0, "bins": [0, 0, rows]}
    assert found["wind"] == count_one_by_one(winds.tolist(), EDGES["wind"])
    assert found["constant"] == {"missing": 0, "invalid": 0, "under": rows, "over": 0, "bins": [0]}


def test_counts_are_zero_after_they_were_read() -> None:
    counts = Counts(BASELINE)
    counts.observe(*request([(1, 2, 3, "UA", 1.0, 0.5)]))

    first, second = counts.pop_document(), counts.pop_document()

    assert (first["rows"], second["rows"]) == (1, 0)
    assert not any(sum(each.get("bins", each.get("counts"))) for each in second["features"].values())


@settings(max_examples=examples(25, ci=15), deadline=None)
@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=50))
def test_training_counts_the_same_values_into_the_same_bins(values: list[float]) -> None:
    trained = profile.count_bins(np.sort(np.array(values, np.float32)), EDGES["month"])

    found = counted([[(value, 0.0, 3.0, "UA", 0.0, 0.5)] for value in values])["features"]["month"]

    assert trained == {name: found[name] for name in ("under", "over", "bins")}


def test_no_text_of_a_client_is_kept() -> None:
    class Text(str):
        """A text to which a weak reference is possible."""

    counts = Counts(BASELINE)
    feeds, names, outputs, rows = request([(1, 2, 3, text, 1.0, 0.5) for text in ("UA", "elsewhere", "")])
    feeds["carrier"] = np.array([Text(each) for (each,) in feeds["carrier"]], object).reshape(-1, 1)
    sent = [weakref.ref(each) for (each,) in feeds["carrier"]]
    counts.observe(feeds, names, outputs, rows)
    del feeds

    assert [text() for text in sent] == [None, None, None]
    assert counts.pop_document()["features"]["carrier"] == {"missing": 1, "counts": [1, 0], "other": 1}


def test_responses_of_other_versions_are_not_counted_as_predictions() -> None:
    counts = Counts(BASELINE)
    feeds, names, _, rows = request([(1, 2, 3, "UA", 1.0, 0.5)])
    counts.observe(feeds, names, None, rows)

    found = counts.pop_document()

    assert (found["rows"], found["predictions"]["rows"]) == (1, 0)


def test_outputs_need_not_be_contiguous_and_a_request_without_rows_counts_as_one() -> None:
    counts = Counts(BASELINE)
    feeds, names, [found], rows = request([(1, 2, 3, "UA", 1.0, 0.5), (1, 2, 3, "UA", 1.0, 0.75)])
    counts.observe(feeds, names, [np.asfortranarray(found)], rows)
    nothing = {name: each[:0] for name, each in feeds.items()}
    counts.observe(nothing, names, [found[:0]], 0)

    document = counts.pop_document()

    assert (document["requests"], document["rows"]) == (2, 2)
    assert document["predictions"] == {"rows": 2, **count_one_by_one([0.5, 0.75], [0.0, 0.25, 0.5, 1.0])}


def test_numbers_of_several_types_get_the_same_counts() -> None:
    mixed = Baseline("sha256:1", {"a": [0.0, 5.0, 10.0], "b": [0.0, 5.0, 10.0]}, {}, {}, [], None, None)
    counts = Counts(mixed)
    counts.observe({"a": np.array([[7]], np.int64), "b": np.array([[1e300]], np.float64)}, [], [], 1)

    found = counts.pop_document()["features"]

    assert (found["a"]["bins"], found["b"]["over"]) == ([0, 1], 1)


SIGNATURE = Signature((TensorSpec("x", "FP32", (-1, 30)), TensorSpec("month", "FP32", (-1, 1))), (TensorSpec("label", "INT64", (-1,)),))  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="another document"),
        pytest.param("{}", id="no features"),
        pytest.param('{"features": {"month": {"edges": ["a"]}}}', id="edges that are no numbers"),
        pytest.param('{"features": {"month": {"edges": null}}}', id="no edges"),
    ],
)
def test_an_invalid_baseline_is_reported(content: str, tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text(content)

    with pytest.raises(BaselineInvalid, match=r"baseline\.json cannot be used"):
        baseline.read_baseline(tmp_path / "baseline.json", SIGNATURE)


def test_a_model_without_one_has_no_counts(tmp_path: Path) -> None:
    assert baseline.read_baseline(tmp_path / "baseline.json", SIGNATURE) is None


def test_only_inputs_of_one_value_have_bins(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text('{"features": {"month": {"edges": [1, 2]}, "x": {"edges": [1, 2]}}}')

    found = baseline.read_baseline(tmp_path / "baseline.json", SIGNATURE)

    assert found is not None
    assert list(found.numbers) == ["month"]


@settings(max_examples=examples(25, ci=15), deadline=None)
@given(REQUESTS)
def test_a_request_of_a_known_layout_gets_the_same_counts(requests: list[list[tuple[Any, ...]]]) -> None:
    numeric = Baseline("sha256:1", {**EDGES}, {}, {}, [0.0, 0.5, 1.0], ("probabilities", True), np.dtype("<f4"))
    plain, blocks = Counts(numeric), Counts(numeric)
    layouts: dict[int, InputLayout] = {}
    for rows in requests:
        feeds, names, found, count = request(rows)
        feeds = {name: feeds[name] for name in EDGES}
        layout = layouts.setdefault(count, InputLayout())
        plain.observe(feeds, names, found, count)
        blocks.observe(feeds, names, found, count, layout, np.stack([*feeds.values()]))

    assert blocks.pop_document() == plain.pop_document()


@settings(max_examples=examples(25, ci=15), deadline=None)
@given(REQUESTS)
def test_requests_of_one_batch_get_the_counts_of_single_requests(requests: list[list[tuple[Any, ...]]]) -> None:
    together = Counts(BASELINE)
    feeds, names, found, rows = request([row for each in requests for row in each])
    together.observe(feeds, names, found, rows, requests=len(requests))

    assert together.pop_document() == counted(requests)
