"""A version as `check` and `prepare` write it: its files, metrics and facts."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, canonical_json, is_room_for, write_json
from flywheel_runtime.datasets import profile
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.formats import SourceFile
from flywheel_runtime.datasets.formats.column_names import read_folders
from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.datasets.schema import PreviousVersion, Schema
from flywheel_runtime.datasets.split import SPLITS, row_text
from flywheel_runtime.datasets.sql import preserve_order, quote_column, quote_identifier, quote_literal
from flywheel_runtime.datasets.target import Target, class_names

MAX_WARNING_CHARACTERS = 160
# Changes when the same source and settings would give other files.
LAYOUT = 1


@dataclass(frozen=True)
class Version:
    """Table `data` and its table `splits`, described; `rows` counts each split."""

    schema: Schema
    target: Target | None
    rows: dict[str, int]
    anomalies: list[Anomaly]
    files: list[SourceFile] = field(default_factory=list)
    csv: CsvOptions = field(default_factory=CsvOptions)
    divides_copies: bool = False

    @property
    def total(self) -> int:
        """All rows, those without a target too."""
        return sum(self.rows.values()) + (self.target.missing if self.target else 0)


def write_version(
    step: Step,
    connection: duckdb.DuckDBPyConnection,
    version: Version,
    previous: PreviousVersion | None = None,
    *,
    show_values: bool = False,
) -> None:
    """Write output `data`, then the facts and metrics. Without source files the rows themselves are the identity.

    `show_values`: what goes into a status may quote values: the warnings among the facts, and what later steps report of these rows.
    """
    schema, target, rows = version.schema, version.target, version.rows
    measured = profile.profile_columns(connection, schema, previous, rows)
    version = replace(version, anomalies=version.anomalies + _find_unlearnable(version, measured["columns"]))
    if target:
        measured["target"] = _class_counts(connection, target)
    folder = step.output("data")
    tested = _test_digest(connection, schema)
    write_splits(connection, schema, folder)
    content = _content_digest(version, folder)
    task, classes = (target.task, class_names(target)) if target else (None, [])
    described = schema.as_json(task=task, classes=classes, rows=rows, content=content, testDigest=tested)
    described |= {"showValues": True} if show_values else {}
    write_json(folder / "schema.json", described)
    write_json(folder / "profile.json", measured)
    write_json(folder / "report.json", _report(version))
    facts = {
        "content": content,
        "rows": sum(rows.values()),
        "columns": len(schema.columns),
        "splits": rows,
        "task": task,
        "classes": len(classes),
        "testDigest": tested,
        "warnings": [],
    }
    metrics = {"rows": version.total, "columns": len(schema.columns), "warnings": len(version.anomalies)}
    metrics |= {f"{name}_rows": count for name, count in rows.items()}
    step.finish(metrics, facts | {"warnings": _shorten_warnings(version.anomalies, facts, show_values)})


def _find_unlearnable(version: Version, columns: dict[str, Any]) -> list[Anomaly]:
    """What training will leave out because of the train split alone."""
    schema = version.schema
    known = {anomaly.column for anomaly in version.anomalies if anomaly.kind == "Constant"}
    found = []
    for column in schema.features:
        if column.name in known:
            continue
        if why := profile.find_unlearnable(columns[column.name]):
            message = f"Column '{column.name}' has {why} in the train split; training leaves it out."
            found.append(Anomaly("Constant", "Warning", column.name, message, version.rows["train"]))
    return found


def _class_counts(connection: duckdb.DuckDBPyConnection, target: Target) -> dict[str, Any]:
    """Rows of each class in each split (Classification), or the name alone: its column has the counts."""
    if target.task == "Regression":
        return {"name": target.name}
    column = quote_column(target.name)
    counted = connection.execute(f'SELECT "#split", {column}, count(*) FROM joined GROUP BY ALL').fetchall()
    counts = {name: [0] * len(target.classes) for name in SPLITS}
    for name, value, count in counted:
        counts[name][target.classes.index(value)] = count
    if sum(count > 0 for count in counts["train"]) < 2:
        message = f"The train split has one class only of target '{target.name}'; change spec.split."
        raise Failure("OneClass", message)
    return {"name": target.name, "classes": class_names(target), "counts": counts}


def _report(version: Version) -> dict[str, Any]:
    return {
        "v": 1,
        "files": [{"path": file.name, "size": file.size, "sha256": file.sha256} for file in version.files],
        "rows": version.total,
        "rowsWithoutTarget": version.target.missing if version.target else 0,
        "anomalies": [anomaly.as_json() for anomaly in version.anomalies],
    }


def _shorten_warnings(anomalies: list[Anomaly], facts: dict[str, Any], show_values: bool) -> list[str]:
    """As many warnings as facts.json has room for; report.json has all."""
    shown: list[str] = []
    for number, anomaly in enumerate(anomalies):
        line = f"{anomaly.kind}: {anomaly.text(show_values=show_values)}"
        line = line if len(line) <= MAX_WARNING_CHARACTERS else line[: MAX_WARNING_CHARACTERS - 1] + "…"
        rest = f"and {len(anomalies) - number} more in report.json"
        if not is_room_for(facts | {"warnings": [*shown, line, rest]}):
            return [*shown, rest]
        shown.append(line)
    return shown


def write_splits(connection: duckdb.DuckDBPyConnection, schema: Schema, folder: Path) -> None:
    """Write the view `joined` as train, validation and test, in the order of the time, else of the source; the same rows give the same bytes."""
    columns = ", ".join(f"{quote_column(c.name)} AS {quote_identifier(c.name)}" for c in schema.columns)
    # Qualified: what ORDER BY names without its table could be one of the user's columns.
    time = f"joined.{quote_column(schema.event_time)} NULLS FIRST, " if schema.event_time else ""
    with preserve_order(connection):
        for name in SPLITS:
            connection.execute(
                f'COPY (SELECT {columns} FROM joined WHERE "#split" = \'{name}\' ORDER BY {time}joined."#row") '
                f"TO {quote_literal(str(folder / f'{name}.parquet'))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )


def _content_digest(version: Version, folder: Path) -> str:
    """The identity of a version. Rows that were made from others have no source: they are known by what they are, the written splits."""
    if version.files:
        return digest_source(version.schema, version.files, version.csv, divides_copies=version.divides_copies)
    return _digest(version.schema, {"splits": [_sha256(folder / f"{name}.parquet") for name in SPLITS]})


def digest_source(schema: Schema, files: list[SourceFile], csv: CsvOptions, *, divides_copies: bool = False) -> str:
    """Digest of the source's bytes and of all settings that shape the output: the identity of its version.

    Releases before kept all copies of one row together. Where they are divided, the same source is another version.
    """
    source: dict[str, Any] = {"files": [file.sha256 for file in files]}
    folders = [read_folders(file.name) for file in files]
    if any(folders):  # a renamed folder changes rows
        source["folders"] = folders
    written = csv.model_dump(exclude_defaults=True)
    if written:  # other cells from the same bytes
        source["csv"] = written
    if divides_copies:
        source["copies"] = "Divided"
    return _digest(schema, source)


def _digest(schema: Schema, source: dict[str, Any]) -> str:
    settings = {"layout": LAYOUT, **source, "schema": schema.as_json()}
    return "sha256:" + hashlib.sha256(canonical_json(settings).encode()).hexdigest()


def _test_digest(connection: duckdb.DuckDBPyConnection, schema: Schema) -> str:
    """Digest of the test split's rows as a set: versions whose test rows are the same can be compared."""
    columns = sorted(column.name for column in schema.columns)
    digest = hashlib.sha256(canonical_json({"columns": columns, "target": schema.target}).encode())
    rows = connection.execute(
        f"SELECT md5({row_text(columns)}) AS hash FROM joined WHERE \"#split\" = 'test' ORDER BY hash"
    )
    while chunk := rows.fetchmany(100_000):
        digest.update("".join(row[0] for row in chunk).encode())
    return "sha256:" + digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
