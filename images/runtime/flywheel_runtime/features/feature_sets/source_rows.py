"""The rows of a source in SQL: key, time and values as every side of a feature has them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flywheel_runtime.datasets.preparation.query import read_table
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import prefix_columns, quote_column, quote_literal
from flywheel_runtime.datasets.types import SQL_TYPE, TIMESTAMP
from flywheel_runtime.features.feature_sets.definition import ColumnType, Source

MICROSECONDS = 1_000_000
MAX_EXACT_MICROSECONDS = 2**53  # what a request can bring as FP64
_KNOWN = {
    # -0.0 and 0.0 are one value, and what is not finite is no value.
    "Float": "CASE WHEN isfinite({0}) THEN {0} + 0.0::DOUBLE END",
    "String": "nullif({0}, '')",
    "Integer": "{0}",
    "Boolean": "{0}",
}


def value_sql(column: str, column_type: ColumnType) -> str:
    """SQL for a value as it counts, NULL where there is none; a time is whole microseconds since 1970 (UTC)."""
    if column_type == TIMESTAMP:
        return microseconds_sql(column)
    return _KNOWN[column_type].format(f"({column})::{SQL_TYPE[column_type]}")


def microseconds_sql(column: str) -> str:
    """SQL for a time in microseconds since 1970 (UTC), NULL for one that a request could not bring exactly."""
    time = f"TRY_CAST({column} AS TIMESTAMP)"
    within = f"epoch_us({time}) BETWEEN -{MAX_EXACT_MICROSECONDS} AND {MAX_EXACT_MICROSECONDS}"
    return f"CASE WHEN isfinite({time}) AND {within} THEN epoch_us({time}) END"


def bucket_sql(microseconds: str, every_seconds: int) -> str:
    """SQL for the number of the bucket that a time is in: a division that rounds down, also before 1970."""
    every = every_seconds * MICROSECONDS
    return f"(({microseconds}) - ((({microseconds}) % {every}) + {every}) % {every}) // {every}"


@dataclass(frozen=True)
class SourceTable:
    """The artifact of a Dataset's version in `folder`, and the types of its columns."""

    folder: Path
    types: Mapping[str, ColumnType]

    @classmethod
    def read(cls, dataset: str, folder: Path) -> Self:
        """The artifact of a Dataset. Raises Failure InputInvalid where it is none."""
        table = read_table(dataset, folder)
        return cls(table.folder, {str(each["name"]): each["type"] for each in table.schema["columns"]})

    @property
    def files(self) -> list[Path]:
        """The rows of all splits."""
        return [self.folder / f"{split}.parquet" for split in SPLITS]

    def rows_sql(self, source: Source, key: Iterable[str], values: Sequence[str]) -> str:
        """SQL for rows with a key and a time: `k0`, `k1`, …, `micros` and `stored` in microseconds, and the values `v0`, `v1`, ….

        `stored` is NULL without ingestionTime. The order of the rows means nothing.
        """
        keys = list(key)
        columns = [f"{value_sql(quote_column(name), self.types[name])} AS k{place}" for place, name in enumerate(keys)]
        columns += [
            f"{value_sql(quote_column(name), self.types[name])} AS v{place}" for place, name in enumerate(values)
        ]
        stored = microseconds_sql(quote_column(source.ingestion_time)) if source.ingestion_time else "NULL::BIGINT"
        columns += [f"{microseconds_sql(quote_column(source.time))} AS micros", f"{stored} AS stored"]
        files = ", ".join(quote_literal(str(file)) for file in self.files)
        read = prefix_columns(f"read_parquet([{files}])")
        known = " AND ".join(["micros IS NOT NULL", *(f"k{place} IS NOT NULL" for place in range(len(keys)))])
        return f"(SELECT * FROM (SELECT {', '.join(columns)} FROM {read}) AS named WHERE {known})"
