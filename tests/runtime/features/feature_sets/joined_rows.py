"""Rows in Parquet as an artifact of a Dataset has them, and their features by DuckDB."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.features.feature_sets.definition import ColumnType, Definition
from flywheel_runtime.features.feature_sets.point_in_time import FeatureSource, join_features
from flywheel_runtime.features.feature_sets.source_rows import SourceTable
from tests.runtime.features.feature_sets.past_features import Row

ARROW_TYPES = {
    "Integer": pa.int64(),
    "Float": pa.float64(),
    "String": pa.string(),
    "Boolean": pa.bool_(),
    "Timestamp": pa.timestamp("us"),
}
Types = Mapping[str, ColumnType]


def write_source(folder: Path, rows: Sequence[Row], types: Types) -> SourceTable:
    """Write rows as the splits of an artifact, a third to each."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, split in enumerate(SPLITS):
        pq.write_table(arrow_table(rows[place::3], types), folder / f"{split}.parquet")
    return SourceTable(folder, dict(types))


def arrow_table(rows: Sequence[Row], types: Types) -> pa.Table:
    """Rows with their types; times are written without a zone, as UTC."""
    columns = {name: [None if row[name] is None else _plain(row[name]) for row in rows] for name in types}
    return pa.table({name: pa.array(values, ARROW_TYPES[types[name]]) for name, values in columns.items()})


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value


def joined_features(
    definition: Definition, rows: Sequence[Row], tables: Mapping[str, SourceTable]
) -> list[dict[str, Any]]:
    """The looked-up features of each row, in the order of the rows."""
    given = arrow_table(rows, definition.input_types).append_column("place", pa.array(range(len(rows)), pa.int64()))
    with connect(threads=2) as connection:
        connection.register("given", given)
        connection.execute('CREATE TABLE "#result" AS SELECT * FROM given')
        join_features(connection, '"#result"', FeatureSource(definition, tables))
        names = list(definition.looked_up)
        listed = ", ".join(f'"{name}"' for name in names)
        found = connection.execute(f'SELECT {listed} FROM "#result" ORDER BY place').fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]
