import random
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.features.feature_sets.binding import bind
from flywheel_runtime.features.feature_sets.definition import ColumnType, Definition, FeatureSetSpec
from tests.examples import examples
from tests.runtime.features.feature_sets.joined_rows import joined_features, write_source
from tests.runtime.features.feature_sets.past_features import Row, compute_features

START = datetime(1969, 12, 31, 22, tzinfo=UTC)  # so that times are on both sides of 1970
TYPES: Mapping[str, ColumnType] = {
    "origin": "String",
    "gate": "Integer",
    "seen": "Timestamp",
    "stored": "Timestamp",
    "whole": "Integer",
    "real": "Float",
    "text": "String",
    "flag": "Boolean",
}
times = st.integers(0, 4 * 3600 * 2).map(lambda halves: START + timedelta(seconds=halves / 2))
late_times = st.integers(0, 40).map(lambda steps: START + timedelta(minutes=6 * steps))
reals = st.one_of(st.floats(width=64), st.sampled_from([0.1, 0.1, 0.1, -0.0, 1e300, -1e300]))
source_rows = st.fixed_dictionaries(
    {
        "origin": st.sampled_from(["EWR", "JFK", "", None]),
        "gate": st.sampled_from([1, 2, None]),
        "seen": st.one_of(times, late_times, st.none()),
        "stored": st.one_of(late_times, st.none()),
        "whole": st.one_of(st.integers(-(2**62), 2**62), st.integers(-3, 3), st.none()),
        "real": st.one_of(reals, st.none()),
        "text": st.sampled_from(["a", "b", "ä", "", None]),
        "flag": st.sampled_from([True, False, None]),
    }
)
asking_rows = st.fixed_dictionaries(
    {
        "sched": st.one_of(times, late_times, st.none()),
        "from": st.sampled_from(["EWR", "JFK", "LGA", "", None]),
        "number": st.sampled_from([1, 2, 3, None]),
    }
)
FUNCTIONS = [
    ("count", None), ("count", "text"), ("sum", "whole"), ("sum", "real"), ("avg", "whole"), ("avg", "real"),
    ("min", "real"), ("max", "whole"), ("max", "seen"), ("last", "real"), ("last", "text"), ("last", "flag"),
    ("countDistinct", "text"), ("countDistinct", "whole"),
]  # fmt: skip
KEYS = [{"origin": "from"}, {"gate": "number"}, {"origin": "from", "gate": "number"}]


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """A FeatureSet with three aggregates and a lookup."""
    aggregates = []
    for number in range(3):
        function, column = draw(st.sampled_from(FUNCTIONS))
        every = draw(st.sampled_from([1, 60, 300, 3600]))
        window = every * draw(st.integers(1, 12))
        aggregate = {
            "name": f"value_{number}",
            "from": _source(draw),
            "key": draw(st.sampled_from(KEYS)),
            "function": function,
            "column": column,
            "windowSeconds": window,
            "everySeconds": every,
            "ttlSeconds": window * draw(st.integers(1, 3)),
        }
        may_be_zero = function != "last" and column != "seen"
        aggregates.append(aggregate | ({"missing": "Zero"} if may_be_zero and draw(st.booleans()) else {}))
    columns = draw(
        st.lists(st.sampled_from(["whole", "real", "text", "flag", "seen"]), min_size=1, max_size=3, unique=True)
    )
    lookup = {"name": "last", "from": _source(draw), "key": draw(st.sampled_from(KEYS)), "columns": columns}
    return _bind(aggregates, [lookup | {"maxAgeSeconds": draw(st.sampled_from([1, 1800, 7200]))}])


def _source(draw: st.DrawFn) -> dict[str, Any]:
    source = {"dataset": "flights", "time": "seen", "availableAfterSeconds": draw(st.sampled_from([0, 1, 600]))}
    return source | ({"ingestionTime": "stored"} if draw(st.booleans()) else {})


def _bind(
    aggregates: Sequence[Mapping[str, Any]], lookups: Sequence[Mapping[str, Any]] = (), number: str = "number"
) -> Definition:
    inputs = [("sched", "Timestamp"), ("from", "String"), (number, "Integer")]
    document = {
        "name": "context",
        "inputs": [{"name": name, "type": kind} for name, kind in inputs],
        "eventTime": "sched",
        "aggregates": aggregates,
        "lookups": lookups,
    }
    return bind(FeatureSetSpec.model_validate(document), {"flights": TYPES})


def _join(definition: Definition, rows: Sequence[Row], source: Sequence[Row]) -> list[dict[str, Any]]:
    """The features, with times as they were given."""
    with tempfile.TemporaryDirectory() as folder:
        tables = {"flights": write_source(Path(folder), source, TYPES)}
        found = joined_features(definition, rows, tables)
    return [
        {name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in found
    ]


def _bits(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Values as text that tells every bit but the sign of zero; a sum that no BIGINT holds is missing."""
    return [{name: repr(_plain(value)) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    return value + 0.0


@pytest.mark.integration
@settings(max_examples=examples(200, ci=60), deadline=None)
@given(
    definition=definitions(),
    rows=st.lists(asking_rows, min_size=1, max_size=8),
    source=st.lists(source_rows, max_size=25),
)
def test_features_are_those_of_plain_python_bit_for_bit(
    definition: Definition, rows: list[Row], source: list[Row]
) -> None:
    assert _bits(_join(definition, rows, source)) == _bits(compute_features(definition, rows, {"flights": source}))


@pytest.mark.integration
@settings(max_examples=examples(60, ci=20), deadline=None)
@given(
    definition=definitions(),
    rows=st.lists(asking_rows, min_size=1, max_size=8),
    source=st.lists(source_rows, max_size=25),
    now=late_times,
)
def test_rows_that_come_later_change_no_feature_of_earlier_rows(
    definition: Definition, rows: list[Row], source: list[Row], now: datetime
) -> None:
    wait = max(each.from_.available_after_seconds for each in (*definition.aggregates, *definition.lookups))
    same = {each.from_.available_after_seconds for each in (*definition.aggregates, *definition.lookups)} == {wait}
    known = now - timedelta(seconds=wait if same else 0)
    before = [row for row in source if row["seen"] is None or row["seen"] <= known]
    earlier = [row for row in rows if row["sched"] is not None and row["sched"] <= now]

    if earlier:
        assert _join(definition, earlier, before) == _join(definition, earlier, source)


@pytest.mark.integration
@settings(max_examples=examples(60, ci=20), deadline=None)
@given(
    definition=definitions(),
    rows=st.lists(asking_rows, min_size=1, max_size=8),
    source=st.lists(source_rows, max_size=25),
    seed=st.integers(0, 9),
)
def test_the_order_of_rows_and_their_splits_change_no_bit(
    definition: Definition, rows: list[Row], source: list[Row], seed: int
) -> None:
    shuffled = random.Random(seed).sample(source, len(source))

    assert _bits(_join(definition, rows, shuffled)) == _bits(_join(definition, rows, source))


def _aggregate(**changes: Any) -> dict[str, Any]:
    source = {"dataset": "flights", "time": "seen", "availableAfterSeconds": 600}
    usual = {"name": "value", "from": source, "key": {"origin": "from"}, "function": "count"}
    return usual | {"windowSeconds": 3600, "everySeconds": 300, "ttlSeconds": 3600} | changes


def _row(minutes: float, **values: Any) -> Row:
    return dict.fromkeys(TYPES) | {"origin": "EWR", "seen": START + timedelta(minutes=minutes)} | values


def _ask(minutes: float) -> Row:
    return {"sched": START + timedelta(minutes=minutes), "from": "EWR", "number": None}


@pytest.mark.parametrize(
    ("minutes", "count"),
    [
        pytest.param(14.99, None, id="a bucket counts once all of it is available"),
        pytest.param(15, 1, id="from the bucket's end and availableAfter on"),
        pytest.param(74.99, 1, id="as long as it is in the window"),
        pytest.param(75, None, id="and no longer"),
    ],
)
def test_a_window_is_whole_buckets_that_were_available(minutes: float, count: int | None) -> None:
    found = _join(_bind([_aggregate()]), [_ask(minutes)], [_row(2)])

    assert found == [{"value": count}]


@pytest.mark.parametrize(
    ("missing", "minutes", "values"),
    [
        pytest.param("Null", 80, [(0, None)], id="a known key without rows in the window has the count 0"),
        pytest.param("Null", 200, [(None, None)], id="a key without a row within the ttl is unknown"),
        pytest.param("Zero", 200, [(0, 0)], id="zero where a value is missing"),
        pytest.param("Refuse", 200, [], id="rows that serving would refuse are left out"),
    ],
)
def test_what_is_missing_has_a_rule(missing: str, minutes: float, values: list[Any]) -> None:
    rule = {"missing": missing, "ttlSeconds": 7200}
    both = [_aggregate(**rule), _aggregate(name="added", function="sum", column="whole", **rule)]
    found = _join(_bind(both), [_ask(minutes)], [_row(2, whole=7)])

    assert [(row["value"], row["added"]) for row in found] == values


def test_of_rows_at_one_time_the_one_that_was_stored_last_counts_then_the_greatest() -> None:
    source = {"dataset": "flights", "time": "seen", "ingestionTime": "stored"}
    lookup = {"name": "last", "from": source, "key": {"origin": "from"}, "columns": ["whole", "text"]}
    rows = [
        _row(0, whole=9, text="first", stored=START),
        _row(0, whole=1, text="a", stored=START + timedelta(hours=1)),
        _row(0, whole=1, text="b", stored=START + timedelta(hours=1)),
        _row(0, whole=99, text="never stored"),
    ]

    found = _join(_bind([], [lookup | {"maxAgeSeconds": 60}]), [_ask(1)], rows)

    assert found == [{"last_whole": 1, "last_text": "b"}]


def test_a_row_of_the_same_instant_is_no_past() -> None:
    source = {"dataset": "flights", "time": "seen"}
    lookup = {"name": "last", "from": source, "key": {"origin": "from"}, "columns": ["whole"], "maxAgeSeconds": 600}

    found = _join(_bind([], [lookup]), [_ask(5)], [_row(1, whole=1), _row(5, whole=2)])

    assert found == [{"last_whole": 1}]


@pytest.mark.parametrize("function", ["count", "countDistinct"])
def test_rows_without_a_value_count_as_none(function: str) -> None:
    found = _join(_bind([_aggregate(function=function, column="text")]), [_ask(80)], [_row(40), _row(42, text="")])

    assert found == [{"value": 0}]


def test_a_column_may_have_the_name_by_which_duckdb_numbers_rows() -> None:
    rows = [{**_ask(minutes), "RowID": number} for minutes, number in ((15, 1), (75, 0), (16, 0), (17, None))]

    found = _join(_bind([_aggregate()], number="RowID"), rows, [_row(2)])

    assert found == [{"value": 1}, {"value": None}, {"value": 1}, {"value": 1}]


def test_many_rows_of_a_key_at_one_time_are_looked_up_once() -> None:
    source = {"dataset": "flights", "time": "seen"}
    lookup = {"name": "last", "from": source, "key": {"origin": "from"}, "columns": ["whole"], "maxAgeSeconds": 60}

    found = _join(_bind([], [lookup]), [_ask(1)] * 50, [_row(0, whole=number) for number in range(300)])

    assert found == [{"last_whole": 299}] * 50
