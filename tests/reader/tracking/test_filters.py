"""MLflow's filter language: what it finds, and what it refuses with a sentence."""

import re
from typing import Any

import pytest

from flywheel_reader.errors import BadFilter
from flywheel_reader.tracking.columns import extract_value
from flywheel_reader.tracking.filters import parse_filter, parse_order

RECORD: dict[str, Any] = {
    "id": "uid.trial-7", "kind": "Experiment", "name": "delay", "trial": 7, "state": "Succeeded", "estimator": "Forest",
    "parameters": {"depth": 3, "rate": 0.1, "warm": True, "criterion": "gini"}, "loggedParameters": {"extra": "it's"},
    "metrics": {"roc_auc": 0.8, "broken": "NaN", "huge": "Infinity", "val loss": 2.0}, "tags": {"team": "Growth", "a.b": "x"},
    "dataset": "flights", "datasetDigest": "sha256:1", "code": {"revision": "abc"}, "startedAt": "2026-11-02T00:00:00Z",
}  # fmt: skip


def is_found(text: str, record: dict[str, Any] = RECORD) -> bool:
    return all(each.holds(extract_value(record, each.column)) for each in parse_filter(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "metrics.roc_auc > 0.7",
        "metric.roc_auc >= 8e-1 AND metrics.roc_auc<1",
        "metrics.huge > 1e300",
        'metrics."val loss" = 2',
        "metrics.`val loss` != 3",
        "params.estimator = 'Forest'",
        "params.depth = '3'",
        "params.depth > 2 and params.rate < .2",
        "params.warm = 'true'",
        "params.extra = 'it''s'",
        "params.criterion in ('gini', 'entropy')",
        "params.criterion NOT IN ('entropy')",
        "tags.team ILIKE '%row%' and tags.team LIKE 'G%h'",
        "tags.team like '_rowth'",
        "tags.a.b = 'x'",
        "attributes.state = 'Succeeded' and status = 'Succeeded'",
        "attributes.start_time >= '2026-11-01' and attributes.start_time < '2026-11-02T00:00:01Z'",
        "attributes.start_time > 1700000000000",
        "attributes.trial = 7",
        "experiment = 'delay' and attributes.revision = 'abc'",
        "dataset.digest = 'sha256:1' and dataset.name != 'other'",
        "metrics.absent IS NULL and tags.team is not null",
        "metrics.broken IS NULL",
    ],
)
def test_is_found(text: str) -> None:
    assert is_found(text)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.roc_auc > 0.8",
        "metrics.absent != 1",
        "metrics.broken < 1",
        "params.absent != 'x'",
        "params.absent NOT IN ('x')",
        "tags.team LIKE '%row'",
        "tags.team like 'growth'",
        "params.criterion > 5",
        "dataset.version = '1'",
        "metrics.roc_auc > 0.7 and attributes.state = 'Failed'",
    ],
)
def test_is_not_found(text: str) -> None:
    assert not is_found(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics.a > 1 or metrics.b > 1", "AND alone"),
        ("metrics.a > 'x'", "a number"),
        ("tags.a > 1", "a text in quotes"),
        ("metrics.a LIKE '%'", "a text"),
        ("metrics.a >", "a value"),
        ("metrics.a", "a comparison"),
        ("metrics.a > 1 metrics.b > 1", "AND"),
        ("metrics.a > 1 and", "a column"),
        ("secrets.a = 'x'", "no columns 'secrets'"),
        ("attributes.password = 'x'", "no attribute 'password'"),
        ("dataset.rows = '1'", "a dataset has no 'rows'"),
        ("params.a = 'x", "character 12"),
        ("params.a = 'x'; drop table runs", "cannot be read"),
        ("attributes.start_time > 'yesterday'", "a time"),
        ("params.a in ()", "a number or a text"),
        ("params.a in ('a' 'b')", "a comma"),
        ("params.a NOT LIKE 'a'", "NOT IN"),
        ("metrics.a IS 1", "NULL"),
        ("a" * 5000, "5,000 characters"),
        (" and ".join(["metrics.a > 1"] * 33), "more than 32"),
        ("( metrics.a > 1 )", "a column"),
        ("\x00", "cannot be read"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadFilter, match=re.escape(said)):
        parse_filter(text)


def test_an_order_has_directions() -> None:
    keys = parse_order("metrics.roc_auc DESC, attributes.start_time, params.`a,b` asc")

    assert [(key.column.group, key.column.key, key.descending) for key in keys] == [
        ("metrics", "roc_auc", True),
        ("attributes", "start_time", False),
        ("params", "a,b", False),
    ]


@pytest.mark.parametrize("text", ["metrics.a UP", "metrics.a,", ", metrics.a", "metrics.a DESC DESC", "1"])
def test_a_wrong_order_is_refused(text: str) -> None:
    with pytest.raises(BadFilter):
        parse_order(text)
