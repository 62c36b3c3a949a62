"""DuckDB's own values of rowwise features: beside the columns of a Dataset, for training, and of rows as requests bring them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import (
    connect,
    prefix_columns,
    quote_column,
    quote_identifier,
    quote_literal,
    translate_resource_errors,
)
from flywheel_runtime.features.bound_plan import TABLE
from flywheel_runtime.features.compiler import CompiledExpression, CompiledFeatures
from flywheel_runtime.features.input_columns import MAX_EXACT_FP64

Array = NDArray[Any]
Tensors = Mapping[str, Array]
# What a request cannot bring is missing in training, too: infinite numbers, empty texts, whole numbers that FP64 rounds.
_SENDABLE = {
    "DOUBLE": "CASE WHEN isfinite({0}) THEN {0} END",
    "VARCHAR": "nullif({0}, '')",
    "BIGINT": f"CASE WHEN {{0}} BETWEEN -{MAX_EXACT_FP64} AND {MAX_EXACT_FP64} THEN {{0}} END",
    "TIMESTAMP": f"CASE WHEN isfinite({{0}}) AND epoch_us({{0}}) BETWEEN -{MAX_EXACT_FP64} AND {MAX_EXACT_FP64} THEN {{0}} END",
    "BOOLEAN": "{0}",
}
# The value of the column's type that a request brings as FP64, or as text.
_RECEIVED = {
    "DOUBLE": _SENDABLE["DOUBLE"],
    "VARCHAR": _SENDABLE["VARCHAR"],
    "BIGINT": f"CASE WHEN {{0}} BETWEEN -{MAX_EXACT_FP64} AND {MAX_EXACT_FP64} THEN {{0}}::BIGINT END",
    "TIMESTAMP": f"CASE WHEN {{0}} BETWEEN -{MAX_EXACT_FP64} AND {MAX_EXACT_FP64} THEN make_timestamp({{0}}::BIGINT) END",
    "BOOLEAN": "CASE WHEN {0} BETWEEN 0 AND 1 THEN {0}::BIGINT::BOOLEAN END",
}


def write_computed_rows(
    source: Path, folder: Path, columns: Sequence[str], types: Mapping[str, str], compiled: CompiledFeatures
) -> None:
    """Write the splits of the Dataset in `source` to `folder`: its `columns`, and a FLOAT for each feature.

    A feature is TRY(CAST(expression AS FLOAT)) of the columns as requests can bring them. The optimizer is off: it would compute what
    expressions share outside of their TRY(), where an error ends the query.
    """
    read = sorted({name for feature in compiled.features.values() for name in feature.columns})
    sendable = [
        f"{_SENDABLE[types[name]].format(_typed(name, types[name]))} AS {quote_identifier(name)}" for name in read
    ]
    kept = [f"{quote_column(name)} AS {quote_identifier(name)}" for name in columns]
    features = [f"{_as_float(feature.sql)} AS {quote_identifier(name)}" for name, feature in compiled.features.items()]
    paths = [base / f"{split}.parquet" for base in (source, folder) for split in SPLITS]
    with translate_resource_errors(), connect(threads=1) as connection:
        _restrict_access(connection, paths)
        for split in SPLITS:
            raw = prefix_columns(f"read_parquet({quote_literal(str(source / f'{split}.parquet'))})")
            rows = f"SELECT *, {', '.join(sendable)} FROM {raw}"
            query = f"SELECT {', '.join([*kept, *features])} FROM ({rows}) AS {TABLE}"
            connection.execute(f"COPY ({query}) TO {quote_literal(str(folder / f'{split}.parquet'))} (FORMAT parquet)")


def _typed(name: str, column_type: str) -> str:
    """A column of the Dataset, whose dates are times."""
    column = quote_column(name)
    return f"TRY_CAST({column} AS TIMESTAMP)" if column_type == "TIMESTAMP" else column


def _as_float(sql: str) -> str:
    # The ends of the lines end comments.
    return f"TRY(CAST((\n{sql}\n) AS FLOAT))"


def _restrict_access(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> None:
    """Allow these files alone, and no change of settings."""
    files = ", ".join(quote_literal(str(path)) for path in paths)
    connection.execute("PRAGMA disable_optimizer")
    connection.execute(f"SET python_enable_replacements = false; SET allowed_paths = [{files}]")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


class RequestRows:
    """Rows as requests bring them, as a table of DuckDB's: `requests` maps each column to an array (rows, 1) of FP64 or text."""

    def __init__(self, requests: Tensors, types: Mapping[str, str]) -> None:
        self._connection = connect(threads=1)
        self._connection.execute("PRAGMA disable_optimizer")
        sent = {name: values[:, 0] for name, values in requests.items()}
        self._connection.register("sent", sent)
        columns = [
            f"{_RECEIVED[types[name]].format(quote_identifier(name))} AS {quote_identifier(name)}" for name in sent
        ]
        self._connection.execute(f"CREATE TEMP TABLE {TABLE} AS SELECT {', '.join(columns)} FROM sent")
        self._connection.unregister("sent")
        self._connection.execute("SET enable_external_access = false; SET lock_configuration = true")

    def close(self) -> None:
        """Free the table."""
        self._connection.close()

    def select_floats(self, feature: CompiledExpression) -> Array:
        """The feature (rows,) as FP32, NaN for NULL."""
        column, null = self._select(_as_float(feature.sql))
        return np.where(null, np.float32(np.nan), column).astype(np.float32)

    def select_values(self, feature: CompiledExpression) -> tuple[Array, Array]:
        """The feature in its own type, a DECIMAL scaled to a whole number, and where it is NULL: both (rows,)."""
        value = f"TRY(\n{feature.sql}\n)"
        if feature.type.name == "DECIMAL":
            scale = feature.type.scale
            value = f"(({value})::DECIMAL(38,{scale}) * {10**scale})::BIGINT"
        column, null = self._select(value)
        is_narrow = column.dtype.kind in "iu" and column.dtype != np.uint64
        return column.astype(np.int64) if is_narrow else column, null

    def _select(self, sql: str) -> tuple[Array, Array]:
        column = self._connection.execute(f"SELECT {sql} AS value FROM {TABLE}").fetchnumpy()["value"]
        return np.ma.filled(column, 0), np.ma.getmaskarray(column)
