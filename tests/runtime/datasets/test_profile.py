"""Bins of a profile are those of DuckDB's exact quantiles, and each value is in one of them."""

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.datasets import profile
from flywheel_runtime.datasets.schema import Column, Schema, Split
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import quote_column
from flywheel_runtime.datasets.types import MAX_FLOAT
from tests.examples import examples

pytestmark = pytest.mark.integration

NUMBERS = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(allow_nan=False))
POINTS = ", ".join(f"{place / profile.BINS}" for place in range(profile.BINS + 1))
VALUE = quote_column("value")
SCHEMA = Schema((Column(name="value", type="Float"),), None, (), None, Split(), ())


@settings(max_examples=examples(100, ci=15), deadline=None)
@given(st.lists(st.tuples(NUMBERS, st.sampled_from(SPLITS)), min_size=1, max_size=300))
def test_bins_are_between_exact_quantiles_of_the_train_split(rows: list[tuple[float | None, str]]) -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"CREATE TABLE data ({VALUE} DOUBLE); CREATE TABLE splits (row BIGINT, split VARCHAR)")
        connection.executemany("INSERT INTO data VALUES (?)", [(value,) for value, _ in rows])
        connection.executemany("INSERT INTO splits VALUES (?, ?)", [(at, split) for at, (_, split) in enumerate(rows)])
        counted = {split: sum(each == split for _, each in rows) for split in SPLITS}
        found = profile.profile_columns(connection, SCHEMA, None, counted)["columns"]["value"]
        narrow = f"greatest(least({VALUE}, {MAX_FLOAT!r}), -{MAX_FLOAT!r})::FLOAT"
        [[expected]] = connection.execute(
            f"SELECT quantile_disc({narrow}, [{POINTS}]) FROM joined WHERE \"#split\" = 'train' AND isfinite({VALUE})"
        ).fetchall()

    edges = sorted(set(expected or []))
    assert found["edges"] == (edges if len(edges) != 1 else edges * 2)
    for split, part in found["splits"].items():
        values = [value for value, of in rows if of == split]
        finite = [value for value in values if value is not None and np.isfinite(value)]
        assert part["missing"] == sum(value is None for value in values)
        assert part["invalid"] == len(values) - part["missing"] - len(finite)
        if edges:
            assert part["under"] + part["over"] + sum(part["bins"]) == len(finite)


def test_bins_are_closed_below_and_the_last_one_above_too() -> None:
    edges = [0.0, 1.0, 2.0]
    values = np.array([-1, 0, 0.5, 1, 2, 2.5], np.float32)

    assert profile.count_bins(values, edges) == {"under": 1, "over": 1, "bins": [2, 2]}
    assert [profile.count_bins(np.array([each], np.float32), edges)["bins"] for each in edges] == [
        [1, 0],
        [0, 1],
        [0, 1],
    ]


def test_many_columns_are_counted_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = tuple(Column(name=f"c{number}", type="Integer") for number in range(7))
    schema = Schema(columns, None, (), None, Split(), ())
    with duckdb.connect(config={"threads": 1}) as connection:
        values = ", ".join(f"range * {number} % 5 AS {quote_column(each.name)}" for number, each in enumerate(columns))
        connection.execute(f"CREATE TABLE data AS SELECT {values} FROM range(100)")
        connection.execute("CREATE TABLE splits AS SELECT range AS row, 'train' AS split FROM range(100)")
        rows = dict(zip(SPLITS, (100, 0, 0), strict=True))
        whole = profile.profile_columns(connection, schema, None, rows)
        monkeypatch.setattr(profile, "COLUMNS_OF_A_QUERY", 2)
        monkeypatch.setattr(profile, "READ_VALUES", 200)
        in_parts = profile.profile_columns(connection, schema, None, rows)

    assert in_parts == whole
    assert all(sum(each["splits"]["train"]["bins"]) == 100 for each in whole["columns"].values())
