"""Splits: nothing that belongs together is parted, shares are kept, and neither order nor machine matters."""

import random
from collections import Counter
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.datasets import split
from flywheel_runtime.datasets.schema import Column, Schema, Split
from flywheel_runtime.datasets.sql import quote_column
from tests.examples import examples

Row = tuple[int, int, int, int]  # key, group, time, label


def assigned(rows: list[Row], how: Split, keys: tuple[str, ...] = ("key",)) -> list[str]:
    """The split of each row, in the order of `rows`."""
    columns = tuple(Column(name=name, type="Integer") for name in ("key", "grp", "moment", "label"))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE data ({', '.join(f'{quote_column(c.name)} BIGINT' for c in columns)})")
        values = ", ".join(str(row) for row in rows)
        connection.execute(f"INSERT INTO data VALUES {values}")
        split.assign_splits(connection, Schema(columns, "label", keys, "moment", how))
        return [row[0] for row in connection.execute("SELECT split FROM splits ORDER BY row").fetchall()]


def share(found: list[str], name: str) -> float:
    return found.count(name) / len(found)


def table(seed: int, size: int, groups: int, times: int) -> list[Row]:
    """Rows with distinct keys; few groups or times make many ties."""
    chance = random.Random(seed)
    keys = chance.sample(range(10**6), size)
    return [(key, chance.randrange(groups), chance.randrange(times), chance.randrange(2)) for key in keys]


TABLES = st.builds(table, st.integers(0, 10**6), st.integers(60, 300), st.integers(10, 40), st.integers(20, 500))


@settings(max_examples=examples(15, ci=4), deadline=None)
@given(TABLES, st.integers(0, 5))
def test_random_takes_the_same_rows_in_any_order(rows: list[Row], seed: int) -> None:
    how = Split(seed=seed)

    there = dict(zip(rows, assigned(rows, how), strict=True))
    back = dict(zip(reversed(rows), assigned(rows[::-1], how), strict=True))

    assert there == back
    counts = Counter(there.values())
    assert [counts["test"], counts["validation"]] == pytest.approx([0.15 * len(rows)] * 2, abs=1)


@settings(max_examples=examples(15, ci=4), deadline=None)
@given(TABLES)
def test_equal_rows_without_keys_are_never_parted(rows: list[Row]) -> None:
    found = assigned(rows + rows, Split(), keys=())

    assert found[: len(rows)] == found[len(rows) :]


@settings(max_examples=examples(15, ci=4), deadline=None)
@given(TABLES)
def test_stratified_keeps_the_share_of_each_class(rows: list[Row]) -> None:
    found = assigned(rows, Split(stratify="label"))

    for label in (0, 1):
        of_class = [name for row, name in zip(rows, found, strict=True) if row[3] == label]
        assert of_class.count("test") == pytest.approx(0.15 * len(of_class), abs=0.51)


@settings(max_examples=examples(15, ci=4), deadline=None)
@given(TABLES)
def test_by_time_train_is_before_validation_is_before_test(rows: list[Row]) -> None:
    found = assigned(rows, Split(by="Time", validation=0.2, test=0.2))

    times = {name: [row[2] for row, at in zip(rows, found, strict=True) if at == name] for name in split.SPLITS}
    assert max(times["train"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])


@settings(max_examples=examples(15, ci=4), deadline=None)
@given(TABLES)
def test_by_group_no_group_is_in_two_splits(rows: list[Row]) -> None:
    found = assigned(rows, Split(by="Group", group="grp", validation=0.3, test=0.3))

    homes = {row[1]: {name for other, name in zip(rows, found, strict=True) if other[1] == row[1]} for row in rows}
    largest = max(Counter(row[1] for row in rows).values()) / len(rows)
    assert all(len(names) == 1 for names in homes.values())
    assert share(found, "test") == pytest.approx(0.3, abs=largest)


def test_a_few_distinct_rows_still_leave_rows_to_train_on() -> None:
    found = assigned([(0, 0, 0, i % 2) for i in range(100)], Split(stratify="label", validation=0.0, test=0.0), keys=())

    assert found.count("train") == 100


def test_another_seed_takes_other_rows() -> None:
    rows = [(i, 0, i, i % 2) for i in range(200)]

    assert assigned(rows, Split(seed=1)) != assigned(rows, Split(seed=2))


def test_new_rows_move_few_old_ones() -> None:
    rows = [(i, 0, i, i % 2) for i in range(1100)]

    before, after = assigned(rows[:1000], Split(stratify="label")), assigned(rows, Split(stratify="label"))

    moved = sum(old != new for old, new in zip(before, after, strict=False))
    assert moved < 50


@pytest.mark.parametrize("part", ["validation", "test"])
def test_nought_percent_is_an_empty_split(part: str) -> None:
    shares: dict[str, Any] = {part: 0.0}

    found = assigned([(i, 0, i, i % 2) for i in range(100)], Split(**shares))

    assert found.count(part) == 0
    assert found.count("train") == 85
