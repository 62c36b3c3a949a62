"""Rows in Parquet as an artifact of a Dataset has them, and their features by DuckDB."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.features.feature_sets.definition import ColumnType, Definition
from flywheel_runtime.features.feature_sets.point_in_time import FeatureSource, join_features
from flywheel_runtime.features.feature_sets.source_rows import SourceTable
from tests.runtime.features.feature_sets.past_features import Row

Types = Mapping[str, ColumnType]


def write_source(folder: Path, rows: Sequence[Row], types: Types) -> SourceTable:
    """Write rows as the splits of an artifact, a third to each."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": 1}) as connection:
        for place, split in enumerate(SPLITS):
            _create(connection, split, rows[place::3], types)
            connection.execute(f"COPY {split} TO '{folder / f'{split}.parquet'}' (FORMAT parquet)")
    return SourceTable(folder, dict(types))


def joined_features(
    definition: Definition, rows: Sequence[Row], tables: Mapping[str, SourceTable]
) -> list[dict[str, Any]]:
    """The looked-up features of each row, in the order of the rows."""
    given = [{**row, "place": place} for place, row in enumerate(rows)]
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _create(connection, '"#result"', given, {**definition.input_types, "place": "Integer"})
        join_features(connection, '"#result"', FeatureSource(definition, tables))
        names = list(definition.looked_up)
        listed = ", ".join(f'"{name}"' for name in names)
        found = connection.execute(f'SELECT {listed} FROM "#result" ORDER BY place').fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def _create(connection: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Row], types: Types) -> None:
    """A table with these rows; times are stored without a zone, as UTC."""
    declared = ", ".join(f'"{column}" {SQL_TYPE[kind]}' for column, kind in types.items())
    connection.execute(f"CREATE TABLE {name} ({declared})")
    if rows:
        marks = ", ".join("?" for _ in types)
        values = [[_plain(row[column]) for column in types] for row in rows]
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", values)


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
