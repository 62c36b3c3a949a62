"""The features of a row are a function of the row: not of its chunk, its place, or the rows that are joined with it."""

import random
from collections.abc import Sequence
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.commands.batch.features import looked_up
from flywheel_runtime.commands.batch.features.looked_up import FeatureJoin, divide
from flywheel_runtime.commands.batch.features.pinned_sets import PinnedSet, PinnedSets
from flywheel_runtime.commands.batch.inference.cells import Cell
from flywheel_runtime.commands.batch.reading import Chunk
from flywheel_runtime.datasets.sql import quote_column
from flywheel_runtime.features.feature_sets.point_in_time import FeatureSource
from tests.examples import examples
from tests.runtime.commands.batch.departures import DEFINITION, FEATURES, TYPES, asking, departures
from tests.runtime.features.feature_sets.joined_rows import joined_features, write_source

ROWS = asking(40)
INPUTS = ("sched", "origin", "gate")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> FeatureSource:
    folder = tmp_path_factory.mktemp("departures")
    return FeatureSource(DEFINITION, {"departures": write_source(folder, departures(80), TYPES)})


@pytest.fixture(scope="module")
def wanted(source: FeatureSource) -> dict[str, list[str]]:
    """What the join of a training gives each row."""
    found = joined_features(DEFINITION, ROWS, source.tables)
    return {row["id"]: [repr(each[name]) for name in FEATURES] for row, each in zip(ROWS, found, strict=True)}


@pytest.mark.integration
@settings(max_examples=examples(60, ci=10), deadline=None)
@given(seed=st.integers(0, 99), sizes=st.lists(st.integers(0, 20), max_size=5), max_rows=st.integers(1, 70))
def test_the_order_of_rows_and_what_is_joined_at_once_change_no_bit(
    source: FeatureSource, wanted: dict[str, list[str]], seed: int, sizes: list[int], max_rows: int
) -> None:
    rows = random.Random(seed).sample(ROWS, len(ROWS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looked_up, "MAX_ROWS", max_rows)
        found = join_chunks(source, rows, sizes)

    assert found == wanted


def join_chunks(source: FeatureSource, rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> dict[str, list[str]]:
    """The features of each row by its id, of rows in chunks of these sizes and one with the rest."""
    sets = PinnedSets((PinnedSet(source.definition, source.definition.looked_up),), {})
    cells = {name: Cell(quote_column(name)) for name in INPUTS}
    found: dict[str, list[str]] = {}
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        chunks: list[Any] = [(None, each) for each in _chunks(connection, rows, sizes)]
        for _, chunk in FeatureJoin(connection, sets, [source], lambda _piece: cells).add_to(chunks):
            if len(chunk):
                named = ", ".join(map(quote_column, FEATURES))
                values = connection.execute(f"SELECT {named} FROM {chunk.table} ORDER BY rowid").fetchall()
                assert not chunk.refused
                found |= {
                    rows[number]["id"]: list(map(repr, row)) for number, row in zip(chunk.numbers, values, strict=True)
                }
    return found


def _chunks(connection: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> list[Chunk]:
    """Tables of text, as of a CSV file."""
    found, start = [], 0
    for place, size in enumerate([*sizes, len(rows)]):
        part = rows[start : start + size]
        if part:
            columns = ", ".join(f"{quote_column(name)} VARCHAR" for name in INPUTS)
            connection.execute(f"CREATE TABLE given{place} ({columns})")
            texts = [[None if row[name] is None else str(row[name]) for name in INPUTS] for row in part]
            connection.executemany(f"INSERT INTO given{place} VALUES (?, ?, ?)", texts)
        found.append(Chunk(f"given{place}", range(start, start + len(part))))
        start += len(part)
    return found


def test_chunks_are_joined_together_up_to_a_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked_up, "MAX_ROWS", 10)
    chunks: list[Any] = [(None, Chunk("", range(size))) for size in (4, 5, 1, 0, 12, 3)]

    found = [[len(chunk) for _, chunk in group] for group in divide(chunks)]

    assert found == [[4, 5, 1], [0, 12], [3]]
