"""Columns as one file of the output. Parquet goes through JSON lines, which DuckDB reads with the types that the plan says."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.batch.config import Format
from flywheel_runtime.datasets.sql import connect, quote_identifier, quote_literal

# Made once: json.dumps with options makes one for each call, which costs more than the encoding.
ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
PLAIN_IN_CSV, PLAIN_IN_JSON = frozenset((str, int)), frozenset((str, int, bool, type(None)))
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
            self._file.write(ENCODE(dict(zip(names, row, strict=True))) + "\n")

    def close(self) -> Path:
        """The file, whole."""
        self._file.close()
        if self._kind == "Parquet":
            self._pack()
        return self.path

    def _pack(self) -> None:
        columns = ", ".join(f"{quote_literal(name)}: {quote_literal(kind)}" for name, kind in self._columns)
        names = ", ".join(quote_identifier(name) for name in self._names)
        with connect(threads=1) as connection:  # the same rows give the same bytes
            connection.execute(
                f"COPY (SELECT {names} FROM read_json({quote_literal(str(self._lines))}, format = 'newline_delimited', "
                f"columns = {{{columns}}})) TO {quote_literal(str(self.path))} (FORMAT parquet, COMPRESSION zstd)"
            )
        self._lines.unlink()


def _texts(cells: Sequence[Any]) -> Sequence[Any]:
    """As CSV has them: nothing for what is missing, JSON for lists."""
    return cells if set(map(type, cells)) <= PLAIN_IN_CSV else [_text(cell) for cell in cells]


def _text(cell: Any) -> Any:
    if isinstance(cell, (list, tuple, dict)):
        return json.dumps(cell, default=str)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell


def _values(cells: Sequence[Any]) -> Sequence[Any]:
    """As JSON has them: it knows neither NaN nor infinities."""
    return cells if set(map(type, cells)) <= PLAIN_IN_JSON else [_value(cell) for cell in cells]


def _value(cell: Any) -> Any:
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return list(map(_value, cell)) if isinstance(cell, (list, tuple)) else cell
