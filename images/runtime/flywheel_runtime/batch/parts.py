"""Columns as one file of the output. Parquet goes through JSON lines, which DuckDB reads with the types that the plan says."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.batch.order import Format
from flywheel_runtime.steps.duck import quoted, text

SUFFIX: dict[Format, str] = {"CSV": "csv", "JSONL": "jsonl", "Parquet": "parquet"}


class Part:
    """Rows are appended; `close` gives the finished file."""

    def __init__(self, path: Path, kind: Format, columns: Sequence[tuple[str, str]]) -> None:
        """`columns`: names and DuckDB's types."""
        self.path = path
        self._kind = kind
        self._columns = columns
        self._names = [name for name, _ in columns]
        self._lines = path if kind != "Parquet" else path.with_suffix(".lines")
        self._file = self._lines.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, lineterminator="\n")
        if kind == "CSV":
            self._csv.writerow(self._names)

    def append(self, columns: Sequence[Sequence[Any]]) -> None:
        """Rows, given as their columns in order."""
        if self._kind == "CSV":
            self._csv.writerows(zip(*map(_texts, columns), strict=True))
            return
        names = self._names
        for row in zip(*map(_values, columns), strict=True):
            record = dict(zip(names, row, strict=True))
            self._file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str) + "\n")

    def close(self) -> Path:
        """The file, whole."""
        self._file.close()
        if self._kind == "Parquet":
            self._pack()
        return self.path

    def _pack(self) -> None:
        columns = ", ".join(f"{text(name)}: {text(kind)}" for name, kind in self._columns)
        names = ", ".join(quoted(name) for name in self._names)
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1")  # the same rows give the same bytes
            connection.execute(
                f"COPY (SELECT {names} FROM read_json({text(str(self._lines))}, format = 'newline_delimited', "
                f"columns = {{{columns}}})) TO {text(str(self.path))} (FORMAT parquet, COMPRESSION zstd)"
            )
        self._lines.unlink()


def _texts(cells: Sequence[Any]) -> Iterator[Any]:
    """As CSV has them: nothing for what is missing, JSON for lists."""
    for cell in cells:
        if isinstance(cell, (list, tuple, dict)):
            yield json.dumps(cell, default=str)
        elif isinstance(cell, bool):
            yield "true" if cell else "false"
        else:
            yield "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell


def _values(cells: Sequence[Any]) -> Iterator[Any]:
    """As JSON has them: it knows neither NaN nor infinities."""
    for cell in cells:
        if isinstance(cell, float) and not math.isfinite(cell):
            yield None
        elif isinstance(cell, (list, tuple)):
            yield list(_values(cell))
        else:
            yield cell
