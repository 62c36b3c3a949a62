"""The rows of a BatchInference's outputs: the columns of the input that it includes, and its predictions.

A run is in the window in which it finished. Its rows are divided evenly over the parts of the window in the order of the files, so that
rows that depend on those beside them are seen as such.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import path_in_artifact
from flywheel_runtime.datasets.sql import quote_identifier, quote_literal
from flywheel_runtime.monitoring.documents import DocumentProblems
from flywheel_runtime.monitoring.logged_rows import (
    DATABASE_MEMORY,
    NUMBERS,
    RowTable,
    read_number_array,
    read_text_array,
)
from flywheel_runtime.monitoring.windows import MAX_PARTS

MANIFEST = "_manifest.json"
GLOBS = "*?["  # with which DuckDB reads several files
TIMES = frozenset(["timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone", "date"])
READERS = {
    "Parquet": "read_parquet({path}, hive_partitioning = false)",
    "CSV": "read_csv({path}, all_varchar = true, header = true)",
    "JSONL": "read_json({path}, format = 'newline_delimited')",
}


@dataclass(frozen=True)
class BatchOutput:
    """The output of one run in `folder`. `window_start` and `window_seconds` are of the window in which the run finished."""

    folder: Path
    version: str
    digest: str
    window_start: int
    window_seconds: int


@dataclass(frozen=True)
class OutputManifest:
    """What the manifest says: the run's plan, the format, the columns, and the files with their numbers of rows."""

    plan: str
    format: str
    columns: tuple[str, ...]
    files: tuple[tuple[str, int], ...]


def read_manifest(output: BatchOutput, problems: DocumentProblems) -> OutputManifest | None:
    """The manifest; None, and a problem, where it is gone or of another version than the run."""
    try:
        found = json.loads((output.folder / MANIFEST).read_bytes())
        if found["model"]["version"] != output.version:
            problems.add("replacedOutput", f"{output.folder.name}: is of version {found['model']['version']}")
            return None
        files = tuple((str(each["path"]), int(each["rows"])) for each in found["files"])
        return OutputManifest(str(found["plan"]), found["format"], tuple(map(str, found["columns"])), files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        problems.add("unreadable", f"{output.folder.name}/{MANIFEST}: {type(error).__name__}: {error}")
        return None


def find_score_column(columns: Sequence[str], classes: Sequence[str]) -> str | None:
    """The column with the score that training bins: the last class's probability, or the number of a regression."""
    wanted = f"probability_{classes[-1]}" if classes else "prediction"
    return wanted if wanted in columns else None


def read_batch_output(
    output: BatchOutput,
    manifest: OutputManifest,
    baseline: Mapping[str, Any] | None,
    score: str | None,
    problems: DocumentProblems,
) -> Iterator[RowTable]:
    """The rows file by file; one that cannot be read is counted. `baseline` says what type a column has, else the file does."""
    total, before = sum(rows for _, rows in manifest.files), 0
    with duckdb.connect(config={"memory_limit": DATABASE_MEMORY, "threads": 1}) as connection:
        for path, rows in manifest.files:
            try:
                table = _read_file(connection, output, manifest, path, baseline, score)
            except (duckdb.Error, Failure, ValueError, KeyError, TypeError) as error:
                problems.add("unreadable", f"{path}: {type(error).__name__}: {' '.join(str(error).split())}")
            else:
                yield _with_times(table, output, before, max(total, before + len(table.times)))
            before += rows


def _read_file(
    connection: duckdb.DuckDBPyConnection,
    output: BatchOutput,
    manifest: OutputManifest,
    path: str,
    baseline: Mapping[str, Any] | None,
    score: str | None,
) -> RowTable:
    file = output.folder / path_in_artifact(path)
    if any(each in path for each in GLOBS):
        raise ValueError(f"names several files by one of {GLOBS}")
    source = READERS[manifest.format].format(path=quote_literal(str(file)))
    rows = connection.sql(f"SELECT * FROM {source}")
    types = {name: str(kind.id) for name, kind in zip(rows.columns, rows.types, strict=True)}
    numbers, texts = _find_columns(types, baseline)
    selected = [
        "1 AS one",
        *(f"{_number(name, types[name])} AS n{index}" for index, name in enumerate(numbers)),
        *(f"{_text(name, is_flag)} AS t{index}" for index, (name, is_flag) in enumerate(texts.items())),
        *([f"TRY_CAST({quote_identifier(score)} AS FLOAT) AS score"] if score else []),
    ]
    found = rows.project(", ".join(selected)).fetchnumpy()
    length = len(found["one"])
    return RowTable(
        f"{manifest.plan}/{path}",
        output.version,
        output.digest,
        np.zeros(length),
        np.zeros(length, bool),
        {name: read_number_array(found[f"n{index}"]) for index, name in enumerate(numbers)},
        {name: read_text_array(found[f"t{index}"]) for index, name in enumerate(texts)},
        read_number_array(found["score"]) if score else None,
    )


def _find_columns(types: Mapping[str, str], baseline: Mapping[str, Any] | None) -> tuple[list[str], dict[str, bool]]:
    """The columns that are numbers, and those that are texts with whether they are Booleans."""
    if baseline is None:
        numbers = [name for name, kind in types.items() if kind in NUMBERS]
        return numbers, {name: kind == "boolean" for name, kind in types.items() if kind in ("varchar", "boolean")}
    features = {name: each for name, each in baseline["features"].items() if name in types}
    texts = {name: each.get("type") == "Boolean" for name, each in features.items() if "categories" in each}
    return [name for name, each in features.items() if "edges" in each], texts


def _number(name: str, kind: str) -> str:
    """SQL for a number as a 32-bit float; a time is its microseconds since 1970."""
    column = quote_identifier(name)
    if kind in TIMES:
        return f"epoch_us({column})::FLOAT"
    if kind == "varchar":
        return f"coalesce(TRY_CAST({column} AS FLOAT), epoch_us(TRY_CAST({column} AS TIMESTAMP))::FLOAT)"
    return f"TRY_CAST({column} AS FLOAT)"


def _text(name: str, is_flag: bool) -> str:
    column = quote_identifier(name)
    return f"TRY_CAST({column} AS BOOLEAN)::VARCHAR" if is_flag else f"{column}::VARCHAR"


def _with_times(table: RowTable, output: BatchOutput, before: int, total: int) -> RowTable:
    """The table with times in the parts of the window; the run's first row is the first one of its request."""
    places = np.arange(before, before + len(table.times))
    parts = max(1, min(MAX_PARTS, output.window_seconds // 60))
    times = output.window_start + places * parts // max(total, 1) * (output.window_seconds // parts)
    return replace(table, times=times.astype(np.float64), first_rows=places == 0)
