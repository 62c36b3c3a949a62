"""Slices of the test split by the values of one column."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.datasets.sql import quote_identifier, quote_literal

Array = NDArray[Any]
MAX_SLICES = 200  # slices of a column that are measured: those with the most rows
MAX_NUMBERS = 20  # numbers with more values than this are divided into quantiles
QUANTILES = 5


@dataclass(frozen=True)
class Column:
    """One column over the test rows: a code for each row (rows,), and what each code means; None is missing."""

    name: str
    kind: str  # Values or Quantiles
    codes: Array
    labels: list[str | None]

    def slices(self) -> Iterator[tuple[str | None, Array]]:
        """Label and row numbers of each slice, the largest first."""
        sizes = np.bincount(self.codes, minlength=len(self.labels))
        ends = np.cumsum(sizes)
        rows = np.argsort(self.codes, kind="stable")
        for code in np.argsort(-sizes, kind="stable"):
            if sizes[code]:
                yield self.labels[code], rows[ends[code] - sizes[code] : ends[code]]


def read_column(connection: duckdb.DuckDBPyConnection, file: Path, name: str, kind: str) -> Column:
    """Column `name` of type `kind` (the Dataset's five) of the rows in a Parquet file."""
    if kind in ("String", "Boolean"):
        texts = _fetch_values(connection, file, f"{quote_identifier(name)}::VARCHAR")
        missing = np.ma.getmaskarray(texts)
        values, codes = np.unique(np.ma.filled(texts, "").astype(str), return_inverse=True)
        return _coded(name, "Values", codes, [str(value) for value in values], missing)
    number = f"epoch_us({quote_identifier(name)})" if kind == "Timestamp" else quote_identifier(name)
    masked = np.ma.masked_invalid(_fetch_values(connection, file, f"{number}::DOUBLE"))
    missing = np.ma.getmaskarray(masked)
    numbers = np.ma.filled(masked, 0.0).astype(np.float64)
    distinct = np.unique(numbers[~missing])
    if kind != "Timestamp" and len(distinct) <= MAX_NUMBERS:
        labels = [f"{value:.12g}" for value in distinct]
        return _coded(name, "Values", np.searchsorted(distinct, numbers), labels, missing)
    # Edges are values of the data, so that they read well and are the same on every machine.
    edges = np.unique(np.quantile(numbers[~missing], np.linspace(0, 1, QUANTILES + 1), method="inverted_cdf"))
    codes = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, max(len(edges) - 2, 0))
    ends = [_format_edge(edge, kind) for edge in edges]
    labels = [f"{low} to {high}" for low, high in zip(ends, ends[1:] or ends, strict=False)]
    return _coded(name, "Quantiles", codes, labels, missing)


def _coded(name: str, kind: str, codes: Array, labels: list[str], missing: Array) -> Column:
    return Column(name, kind, np.where(missing, len(labels), codes).astype(np.int64), [*labels, None])


def _fetch_values(connection: duckdb.DuckDBPyConnection, file: Path, value: str) -> Any:
    query = f"SELECT {value} AS value FROM read_parquet({quote_literal(str(file))})"
    return np.ma.asarray(connection.execute(query).fetchnumpy()["value"])


def _format_edge(edge: float, kind: str) -> str:
    if kind != "Timestamp":
        return f"{edge:.6g}"
    return datetime.fromtimestamp(edge / 1e6, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
