"""One file of the output: rows of chunks with the model's predictions, side by side and written by DuckDB.

Included columns stay in DuckDB from the input to the output, so that a timestamp keeps its zone and a blob its bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from flywheel_runtime.commands.batch.config import Format
from flywheel_runtime.commands.batch.inference.cells import Cell
from flywheel_runtime.commands.batch.inference.client import Array
from flywheel_runtime.commands.batch.inference.predictions import Answer, read_cells
from flywheel_runtime.commands.batch.reading import Chunk
from flywheel_runtime.datasets.sql import quote_column, quote_identifier, quote_literal

SUFFIX: dict[Format, str] = {"CSV": "csv", "JSONL": "jsonl", "Parquet": "parquet"}
OPTIONS: dict[Format, str] = {
    "CSV": "FORMAT csv, HEADER, DELIMITER ','",
    "JSONL": "FORMAT json",
    "Parquet": "FORMAT parquet, COMPRESSION zstd",
}
FLOATS = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Part:
    """Rows are appended; `close` gives the finished file. `included` are names and types of DuckDB."""

    connection: duckdb.DuckDBPyConnection
    path: Path
    kind: Format
    included: Sequence[tuple[str, str]]
    answers: Sequence[Answer]

    def create(self) -> None:
        """Make the table of its rows."""
        columns = [*self.included, *((answer.name, answer.type) for answer in self.answers)]
        declared = ", ".join(f"{quote_column(name)} {kind}" for name, kind in columns)
        self.connection.execute(f"CREATE TEMP TABLE part ({declared})")

    def append(self, chunk: Chunk, cells: Mapping[str, Cell], places: Array, outputs: Mapping[str, Array]) -> None:
        """The rows at these places of a chunk, which ascend, with the model's outputs for them."""
        is_answered = np.zeros(len(chunk), np.bool_)
        is_answered[places] = True
        # Rows side by side need no join; what stands beside those without an answer is left out.
        of_row = np.maximum(np.cumsum(is_answered) - 1, 0)
        given: dict[str, Array] = {"is_answered": is_answered}
        given |= {f"a{at}": read_cells(answer, outputs)[of_row] for at, answer in enumerate(self.answers)}
        self.connection.register("answers", given)
        included = [f"{_included(cells[name], kind)} AS i{at}" for at, (name, kind) in enumerate(self.included)]
        values = [f"included.i{at}" for at in range(len(included))]
        values += [f"answers.a{at}::{answer.type}" for at, answer in enumerate(self.answers)]
        self.connection.execute(
            f"INSERT INTO part SELECT {', '.join(values)} FROM (SELECT {', '.join(included) or '0'} FROM {chunk.rows}) AS included "
            "POSITIONAL JOIN answers WHERE answers.is_answered"
        )
        self.connection.unregister("answers")

    def close(self) -> Path:
        """The file, whole; the same rows give the same bytes."""
        columns = [(name, kind, False) for name, kind in self.included]
        columns += [(answer.name, answer.type, True) for answer in self.answers]
        values = ", ".join(
            f"{_written(quote_column(name), kind, self.kind, is_answer)} AS {quote_identifier(name)}"
            for name, kind, is_answer in columns
        )
        options = OPTIONS[self.kind]
        self.connection.execute(f"COPY (SELECT {values} FROM part) TO {quote_literal(str(self.path))} ({options})")
        self.connection.execute("DROP TABLE part")
        return self.path


def _included(cell: Cell, kind: str) -> str:
    if cell.is_json:
        return cell.sql if kind == "JSON" else cell.text
    return f"{cell.sql}::{kind}"


def _written(value: str, kind: str, format_: Format, is_answer: bool) -> str:
    """SQL for a cell as the format has it: JSON knows neither NaN nor infinities, and text formats no bytes."""
    if kind in FLOATS and (is_answer or format_ == "JSONL"):
        value = f"CASE WHEN isfinite({value}) THEN {value} END"
    if format_ == "Parquet":
        return value
    if kind == "BLOB":
        return f"base64({value})"
    if format_ == "CSV":
        return f"nullif(to_json({value})::VARCHAR, 'null')" if kind.endswith("]") else value
    # A float keeps its own shortest digits, which read back as the same number.
    return f"{value}::VARCHAR::DOUBLE" if kind == "FLOAT" else value
