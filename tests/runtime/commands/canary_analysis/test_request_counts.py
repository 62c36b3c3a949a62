"""What the judge reads off two pages of /metrics, and off many pods."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flywheel_runtime.commands.canary_analysis.pod_metrics import Series, parse
from flywheel_runtime.commands.canary_analysis.request_counts import Counts, quantile, slower
from flywheel_serving.metrics.server_metrics import ServerMetrics
from tests.examples import examples
from tests.runtime.commands.canary_analysis.metrics_page import Page

BUCKETS = [(0.1, 50.0), (0.2, 90.0), (float("inf"), 100.0)]


def page(value: float) -> dict[Series, float]:
    return {Series("answered_total"): value}


def test_a_page_of_our_server_reads_as_prometheus_reads_it() -> None:
    metrics = ServerMetrics("delay", "delay-1")
    metrics.infer_success = 3
    metrics.infer_seconds.observe(0.003)
    text = metrics.exposition().decode()
    theirs = {
        Series(sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert parse(text) == theirs


@settings(max_examples=examples(100), deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False), max_size=5))
def test_labels_of_every_sort_come_through(values: dict[str, float]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "…", ["label"], registry=registry)
    for label, value in values.items():
        gauge.labels(label).set(value)

    assert {
        series.label("label"): value for series, value in parse(generate_latest(registry).decode()).items()
    } == values


@pytest.mark.parametrize("line", ["", "# HELP x", "no number", "x{a=", "x{} one", "x 1 2 3", "{} 1", "x NaN", "\x00"])
def test_a_line_that_is_no_sample_hides_no_other(line: str) -> None:
    assert parse(f"{line}\ngood 1\n") == {Series("good"): 1.0}


def test_only_what_grew_since_the_first_page_counts() -> None:
    counts = Counts()
    for value in (100.0, 103.0, 110.0):
        counts.add("pod", page(value))

    assert counts.increase("answered_total") == 10


def test_a_server_that_was_started_anew_counts_from_nothing() -> None:
    counts = Counts()
    for value in (100.0, 103.0, 2.0, 5.0):
        counts.add("pod", page(value))

    assert counts.increase("answered_total") == 8


def test_pods_are_added_up_and_one_that_comes_late_brings_nothing_from_before() -> None:
    counts = Counts()
    counts.add("old", page(10))
    counts.add("old", page(11))
    counts.add("new", page(500))
    counts.add("new", page(502))

    assert (counts.increase("answered_total"), counts.pods) == (3, 2)


def test_labels_choose() -> None:
    before, after = Page(), Page()
    before.forwards(Answered=0, Late=0)
    after.forwards(Answered=7, Late=2)
    counts = Counts()
    counts.add("pod", parse(before.text))
    counts.add("pod", parse(after.text))

    assert counts.increase("flywheel_route_forwarded_total", challenger="delay-2", outcome="Late") == 2
    assert counts.increase("flywheel_route_forwarded_total", challenger="delay-3") == 0


@pytest.mark.parametrize(
    ("q", "found"),
    [
        pytest.param(0.25, 0.05, id="linear from nothing in the first bucket"),
        pytest.param(0.7, 0.15, id="linear within a bucket"),
        pytest.param(0.9, 0.2, id="at a bound"),
        pytest.param(0.99, 0.2, id="beyond all bounds it is the greatest of them"),
    ],
)
def test_quantile(q: float, found: float) -> None:
    assert quantile(q, BUCKETS) == pytest.approx(found)


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile(0.99, []) is None
    assert quantile(0.99, [(0.1, 0.0), (float("inf"), 0.0)]) is None


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.floats(0.0001, 0.99), min_size=1, max_size=200))
def test_the_quantile_lies_in_the_bucket_of_the_true_one(seconds: list[float]) -> None:
    bounds = (0.001, 0.01, 0.1, 1.0)
    buckets = [(bound, float(sum(each <= bound for each in seconds))) for bound in (*bounds, float("inf"))]
    true = float(np.quantile(seconds, 0.99, method="inverted_cdf"))
    bucket = next(bound for bound in bounds if true <= bound)
    found = quantile(0.99, buckets)

    assert found is not None
    assert bucket / 10 - 0.001 <= found <= bucket


@pytest.mark.parametrize(("than", "count"), [(0.05, 50), (0.1, 50), (0.15, 10), (0.2, 10), (9.0, 0)])
def test_slower_counts_only_what_is_slower_for_certain(than: float, count: float) -> None:
    assert slower(than, BUCKETS) == count
