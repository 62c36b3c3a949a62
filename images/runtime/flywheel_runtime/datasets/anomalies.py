"""Typed findings about a Dataset. An Error fails the check; a Warning goes into the report and the status.

Whoever may read the status may not be allowed to read the data, so a message quotes values only where the Dataset says so.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line
from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.datasets.schema import Column, DatasetSpec, PreviousVersion, Schema
from flywheel_runtime.datasets.sql import count_rows, quote_column, quote_literal
from flywheel_runtime.datasets.types import MAX_LEARNT, SQL_TYPE, is_missing, parse_text, typed_value

Severity = Literal["Error", "Warning"]
MAX_EXAMPLES = 3
VALUES = "{values}"  # where a message quotes values, if it may

# More missing values than last time by five percentage points, and by half as much again.
MIN_NULL_RATE_STEP, MIN_NULL_RATE_FACTOR = 0.05, 1.5
# A tail outside the last version's range is news once it is one row in a hundred.
MAX_OUTSIDE_FRACTION = 0.01


@dataclass(frozen=True)
class Anomaly:
    """One finding: which kind, how grave, where, how often, and some of the values. `values` is what VALUES stands for in `message`."""

    kind: str
    severity: Severity
    column: str | None
    message: str
    count: int = 0
    examples: tuple[str, ...] = ()
    values: str = ""

    def text(self, *, show_values: bool) -> str:
        """The message, with or without the values that it can quote."""
        return self.message.replace(VALUES, self.values if show_values else "")

    def as_json(self) -> dict[str, Any]:
        """The finding as report.json has it, with the values: who can read the report can read the data."""
        document = asdict(self) | {"message": self.text(show_values=True)}
        del document["values"]
        return document


def find_missing_columns(spec: DatasetSpec, present: list[str], previous: PreviousVersion | None) -> list[Anomaly]:
    """Columns that the spec or the last good version has and the data does not."""
    wanted = dict.fromkeys(previous.types, "the last good version") if previous else {}
    wanted = {name: place for name, place in wanted.items() if name not in spec.ignore}
    wanted |= spec.named
    return [
        Anomaly(
            "MissingColumn",
            "Error",
            name,
            f"Column '{name}' of {place} is not in the data, which has {list_names(present)}; restore it or correct {place}."
            if place.startswith("spec.")
            else f"Column '{name}' was in {place} and is not in the data; restore it, or make a new Dataset without it.",
        )
        for name, place in wanted.items()
        if name not in present
    ]


def find_extra_columns(spec: DatasetSpec, present: list[str], previous: PreviousVersion | None) -> list[Anomaly]:
    """Columns that are new since the last good version."""
    if previous is None:
        return []
    new = [name for name in present if name not in previous.types and name not in spec.named]
    return [
        Anomaly(
            "ExtraColumn", "Warning", name, f"Column '{name}' is new and left out; name it in spec.columns to use it."
        )
        for name in new
    ]


def find_type_mismatches(
    connection: duckdb.DuckDBPyConnection,
    schema: Schema,
    stated: dict[str, str | None],
    inferred: dict[str, str],
    form: CsvOptions,
) -> list[Anomaly]:
    """Cells of `raw` that are not of their column's type."""
    found = []
    for column in schema.columns:
        if column.type in ("String", inferred[column.name]):
            continue
        wrong = (
            f"NOT {is_missing(column.name, column.type, form)} AND "
            f"({typed_value(column.name, stated[column.name], column.type, form=form)}) IS NULL"
        )
        count, examples = count_violations(connection, "raw", column.name, wrong)
        if count:
            found.append(_mismatch(column, count, examples, schema.event_time))
    return found


def find_unparsable_times(connection: duckdb.DuckDBPyConnection, schema: Schema, form: CsvOptions) -> list[Anomaly]:
    """What is no time in a time column that was inferred to be text."""
    name = schema.event_time
    if name is None or schema.type_of(name) in ("Timestamp", "Integer"):
        return []
    value = parse_text(f"{quote_column(name)}::VARCHAR", "Timestamp", form)
    wrong = f"NOT {is_missing(name, 'Timestamp', form)} AND ({value}) IS NULL"
    count, examples = count_violations(connection, "raw", name, wrong)
    if count:
        return [_not_a_time(name, count, examples)]
    message = (
        f"Column '{name}' is spec.eventTime and has no value in any row; correct the data, or name another column."
    )
    return [Anomaly("TimeUnparsable", "Error", name, message, 0)]


def _not_a_time(name: str, count: int, examples: tuple[str, ...]) -> Anomaly:
    message = (
        f"Column '{name}' is spec.eventTime and {count:,} of its values are not times{VALUES}; "
        "write them as 2013-01-31T05:00:00Z, or set csv.dateFormat."
    )
    return Anomaly("TimeUnparsable", "Error", name, message, count, examples, such_as(examples))


def _mismatch(column: Column, count: int, examples: tuple[str, ...], event_time: str | None) -> Anomaly:
    if column.name == event_time:
        return _not_a_time(column.name, count, examples)
    message = (
        f"Column '{column.name}' is {column.type} and {count:,} of its values are not{VALUES}; "
        "correct the data or set the column's type in spec.columns."
    )
    return Anomaly("TypeMismatch", "Error", column.name, message, count, examples, such_as(examples))


def find_column_anomalies(
    connection: duckdb.DuckDBPyConnection, schema: Schema, previous: PreviousVersion | None
) -> list[Anomaly]:
    """Anomalies of the values of each column of `data`, against the spec and the last good version."""
    found: list[Anomaly] = []
    rows = count_rows(connection, "data")
    for column in schema.columns:
        before = previous.profile.get(column.name) if previous else None
        name = quote_column(column.name)
        counted = connection.execute(f"SELECT count({name}), min({name}) = max({name}) FROM data").fetchone()
        filled, constant = counted or (0, None)
        found += _nulls(column, rows, rows - filled, before)
        found += _range(connection, column, rows, before)
        found += _not_finite(connection, column) if column.name != schema.target else []  # refused there
        found += _categories(connection, column, before)
        if (constant or filled == 0) and column.name != schema.target:
            finding = f"has {'no value' if filled == 0 else 'the same value'} in all {rows:,} rows; a model learns nothing from it"
            if 0 < filled < rows:
                finding = f"has one value in {filled:,} of {rows:,} rows and none in the others; a model learns only whether it is there"
            found.append(Anomaly("Constant", "Warning", column.name, f"Column '{column.name}' {finding}.", rows))
    return found


def _nulls(column: Column, rows: int, nulls: int, before: dict[str, Any] | None) -> list[Anomaly]:
    if nulls and not column.nullable:
        message = (
            f"Column '{column.name}' has {nulls:,} of {rows:,} values missing and spec.columns says nullable: false."
        )
        return [Anomaly("NullRateUp", "Error", column.name, message, nulls)]
    if before is None:
        return []
    seen = sum(part["rows"] for part in before["splits"].values())
    was = sum(part["missing"] for part in before["splits"].values()) / max(seen, 1)
    now = nulls / rows
    if now > was + MIN_NULL_RATE_STEP and now > was * MIN_NULL_RATE_FACTOR:
        message = f"Column '{column.name}' has {now:.1%} of its values missing, {was:.1%} in the last version."
        return [Anomaly("NullRateUp", "Warning", column.name, message, nulls)]
    return []


def _range(
    connection: duckdb.DuckDBPyConnection, column: Column, rows: int, before: dict[str, Any] | None
) -> list[Anomaly]:
    name, kind = quote_column(column.name), SQL_TYPE[column.type]
    if column.min is not None or column.max is not None:
        low = f"{name} < {quote_literal(column.min)}::{kind}" if column.min is not None else "false"
        high = f"{name} > {quote_literal(column.max)}::{kind}" if column.max is not None else "false"
        count, examples = count_violations(connection, "data", column.name, f"{low} OR {high}")
        if count:
            limits = " and ".join(
                f"{word} {value}" for word, value in (("min", column.min), ("max", column.max)) if value is not None
            )
            message = f"Column '{column.name}' has {count:,} values outside {limits}{VALUES}."
            return [Anomaly("OutOfRange", "Error", column.name, message, count, examples, such_as(examples))]
    low_seen, high_seen = _seen_range(before) if before and column.type in ("Integer", "Float") else (None, None)
    if low_seen is None or high_seen is None:
        return []
    outside = f"{name}::DOUBLE NOT BETWEEN {low_seen!r} AND {high_seen!r}"
    count, examples = count_violations(connection, "data", column.name, outside)
    if count <= rows * MAX_OUTSIDE_FRACTION:
        return []
    message = f"Column '{column.name}' has {count:,} of {rows:,} values outside the range of the last version{VALUES}."
    values = f", {low_seen:g} to {high_seen:g}{such_as(examples)}"
    return [Anomaly("OutOfRange", "Warning", column.name, message, count, examples, values)]


def _not_finite(connection: duckdb.DuckDBPyConnection, column: Column) -> list[Anomaly]:
    if column.type != "Float":
        return []
    name = quote_column(column.name)
    counted = connection.execute(
        f"SELECT count_if(isinf({name})), count_if(isfinite({name}) AND abs({name}) > {MAX_LEARNT!r}) FROM data"
    ).fetchall()
    infinite, large = counted[0]
    if not infinite and not large:
        return []
    findings = [f"{infinite:,} infinite values"] if infinite else []
    findings += [f"{large:,} values beyond {MAX_LEARNT:g}"] if large else []
    message = f"Column '{column.name}' has {' and '.join(findings)}; training and models take them for missing."
    return [Anomaly("NotFinite", "Warning", column.name, message, infinite + large)]


def _seen_range(before: dict[str, Any]) -> tuple[float | None, float | None]:
    parts = before["splits"].values()
    lows = [part["min"] for part in parts if part.get("min") is not None]
    highs = [part["max"] for part in parts if part.get("max") is not None]
    return min(lows, default=None), max(highs, default=None)


def _categories(connection: duckdb.DuckDBPyConnection, column: Column, before: dict[str, Any] | None) -> list[Anomaly]:
    name = f"{quote_column(column.name)}::VARCHAR"
    severity: Severity = "Error"
    if column.categories is not None:
        known, where = list(column.categories), "spec.columns"
    elif before and before.get("categories") is not None and before.get("allCategories"):
        severity, known, where = "Warning", before["categories"], "the last version"
    else:
        return []
    new = f"{name} NOT IN ({', '.join(quote_literal(value) for value in known)})" if known else f"{name} IS NOT NULL"
    count, examples = count_violations(connection, "data", column.name, new)
    if not count:
        return []
    message = f"Column '{column.name}' has {count:,} rows with values that {where} does not know{VALUES}."
    return [Anomaly("NewCategory", severity, column.name, message, count, examples, f": {list_names(examples)}")]


def find_duplicate_keys(connection: duckdb.DuckDBPyConnection, schema: Schema) -> list[Anomaly]:
    """Rows of `data` that share their keys with another row."""
    if not schema.keys:
        return []
    keys = ", ".join(quote_column(key) for key in schema.keys)
    repeated = f"SELECT {keys}, count(*) AS times FROM data GROUP BY ALL HAVING count(*) > 1"
    count = count_rows(connection, f"({repeated})")
    if not count:
        return []
    rows = connection.execute(f"{repeated} ORDER BY times DESC, ALL LIMIT {MAX_EXAMPLES}".replace(", ALL", f", {keys}"))
    examples = tuple(f"{', '.join(str(value) for value in row[:-1])} ({row[-1]} times)" for row in rows.fetchall())
    message = f"{count:,} values of the keys ({', '.join(schema.keys)}) are in more than one row{VALUES}; "
    message += "remove the repeated rows or correct spec.keys."
    return [Anomaly("DuplicateKeys", "Error", schema.keys[0], message, count, examples, f": {list_names(examples)}")]


def log_anomalies(found: list[Anomaly]) -> None:
    """Write a line of the step's log for each."""
    for anomaly in found:
        log_line(f"{anomaly.severity} {anomaly.kind}: {anomaly.text(show_values=True)}")


def fail_on_errors(found: list[Anomaly], spec: DatasetSpec) -> None:
    """Raise with the first Error's kind as the reason and all of them in the message."""
    errors = [anomaly for anomaly in found if anomaly.severity == "Error"]
    if errors:
        message = " ".join(anomaly.text(show_values=spec.show_values) for anomaly in errors)
        raise Failure(errors[0].kind, f"Dataset '{spec.name}' failed its check. {message}")


def count_violations(
    connection: duckdb.DuckDBPyConnection, table: str, column: str, condition: str
) -> tuple[int, tuple[str, ...]]:
    """The rows of a table that meet a condition, and their most frequent values in a column."""
    count = count_rows(connection, f"{table} WHERE {condition}")
    if not count:
        return 0, ()
    values = connection.execute(
        f"SELECT {quote_column(column)}::VARCHAR AS value FROM {table} WHERE {condition} "
        f"GROUP BY value ORDER BY count(*) DESC, value LIMIT {MAX_EXAMPLES}"
    ).fetchall()
    return count, tuple(str(row[0])[:60] for row in values)


def such_as(examples: tuple[str, ...]) -> str:
    return f", such as {list_names(examples)}"


def list_names(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
