"""Columns of text that are numbers or times, or nearly so, whole numbers beyond what a Dataset holds, and names in spec.ignore that no column has."""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from flywheel_runtime.datasets.anomalies import VALUES, Anomaly, count_violations
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.column_names import describe_unmatched
from flywheel_runtime.datasets.schema import DatasetSpec, Schema
from flywheel_runtime.datasets.sql import count_rows, describe_raw, quote_column
from flywheel_runtime.datasets.types import (
    DISPROVING_ROWS,
    SURE_FLOAT,
    TIMESTAMP,
    matches_number,
    parse_text,
    present_text,
)

# Text is a near miss where this share of its values, and at least so many, are of one other type.
MIN_SHARE, MIN_VALUES = 0.9, 10
COLUMNS_PER_QUERY = 20
SAMPLE = f"(FROM raw LIMIT {DISPROVING_ROWS})"
COMMA_NUMBER = r"[+-]?([0-9]+|[0-9]{1,3}([. ][0-9]{3})+),[0-9]+"
OTHER_DATE = r"[0-9]{1,2}[./-][0-9]{1,2}[./-]([0-9]{2}|[0-9]{4})([ T].*)?"
WIDE_TYPES = ("UBIGINT", "HUGEINT", "UHUGEINT", "DECIMAL")
MAX_INTEGER = 2**63 - 1
EXACT = "DECIMAL(38, 15)"  # of text: more digits on both sides of the point than Float has


def find_near_misses(
    connection: duckdb.DuckDBPyConnection, schema: Schema, stated: Mapping[str, str | None], spec: DatasetSpec
) -> list[Anomaly]:
    """Warnings about columns of `raw` that are text because of some of their cells, or because their file says so, with the field that
    says what the cells mean. A key may be text that looks like a number."""
    given = {column.name for column in spec.columns if column.type is not None}
    given |= {name for name in (*spec.keys, spec.split.group) if name and stated.get(name) is not None}
    texts = [c.name for c in schema.columns if c.type == "String" and c.name not in given]
    likely = [name for name, counts in _count(connection, texts, spec, SAMPLE).items() if _is_likely(*counts)]
    counted = _count(connection, likely, spec, "raw")
    return [
        _warn(connection, spec, name, near_miss, is_stated=stated[name] is not None)
        for name in likely
        if (near_miss := _near_miss(spec, name, *counted[name]))
    ]


def _count(
    connection: duckdb.DuckDBPyConnection, columns: list[str], spec: DatasetSpec, rows: str
) -> dict[str, tuple[int, ...]]:
    """For each column the values, and those of them that pass each test."""
    found: dict[str, tuple[int, ...]] = {}
    for start in range(0, len(columns), COLUMNS_PER_QUERY):
        part = columns[start : start + COLUMNS_PER_QUERY]
        counted = ", ".join(_counts(name, spec) for name in part)
        row: tuple[int, ...] = connection.execute(f"SELECT {counted} FROM {rows}").fetchone() or ()
        found |= {name: row[5 * at : 5 * at + 5] for at, name in enumerate(part)}
    return found


def _is_likely(filled: int, numbers: int, comma_numbers: int, times: int, other_dates: int) -> bool:
    """Whether the first rows are half of one other type: the patterns cost much on all rows."""
    return filled == 0 or max(numbers + comma_numbers, times + other_dates) >= filled / 2


def _value(name: str, spec: DatasetSpec) -> str:
    return f"({present_text(f'{quote_column(name)}::VARCHAR', spec.csv)})"


def _tests(name: str, spec: DatasetSpec) -> tuple[str, str, str, str]:
    """SQL for: a number, a number with a decimal comma, a time as we read it, a date in another order."""
    value = _value(name, spec)
    return (
        matches_number(value, SURE_FLOAT, spec.csv),
        f"regexp_full_match({value}, '{COMMA_NUMBER}')",
        f"({parse_text(f'{quote_column(name)}::VARCHAR', 'Timestamp', spec.csv)}) IS NOT NULL",
        f"regexp_full_match({value}, '{OTHER_DATE}')",
    )


def _counts(name: str, spec: DatasetSpec) -> str:
    return ", ".join([f"count({_value(name, spec)})", *(f"count(*) FILTER ({test})" for test in _tests(name, spec))])


@dataclass(frozen=True)
class _NearMiss:
    """What most values of a column of text are, SQL for these, their type, and the field that makes them that type, empty if none is needed."""

    what: str
    expected: str
    kind: str
    field: str = ""


def _near_miss(
    spec: DatasetSpec, name: str, filled: int, numbers: int, comma_numbers: int, times: int, other_dates: int
) -> _NearMiss | None:
    number, comma, time, other = _tests(name, spec)
    least = max(MIN_VALUES, filled * MIN_SHARE)
    if comma_numbers and numbers + comma_numbers >= least:
        what = f"{comma_numbers:,} of its values are numbers with a decimal comma"
        return _NearMiss(what, f"{number} OR {comma}", "Float", 'csv.decimal to ","')
    if numbers >= least:
        return _NearMiss(f"{_share(numbers, filled)} of its values are numbers", number, "Float")
    if other_dates and times + other_dates >= least:
        what = f"{other_dates:,} of its values are dates of another form than 2013-01-31"
        return _NearMiss(what, f"{time} OR {other}", TIMESTAMP, 'csv.dateFormat, such as "%d.%m.%Y"')
    return _NearMiss(f"{_share(times, filled)} of its values are times", time, TIMESTAMP) if times >= least else None


def _warn(
    connection: duckdb.DuckDBPyConnection, spec: DatasetSpec, name: str, found: _NearMiss, *, is_stated: bool
) -> Anomaly:
    rest = f"{_value(name, spec)} IS NOT NULL AND NOT ({found.expected})"
    count, examples = count_violations(connection, "raw", name, rest)
    times = [_times(connection, name, example, rest) for example in examples]
    values = ": " + ", ".join(f"'{value}' ({number:,} times)" for value, number in zip(examples, times, strict=True))
    other = f"; the rest is {count:,} {'row' if count == 1 else 'rows'} of other text{VALUES}" if count else ""
    text = "text in its file" if is_stated else "text"
    message = (
        f"Column '{name}' is {text}: {found.what}{other}; {_cure(found, is_stated=is_stated, has_rest=count > 0)}."
    )
    return Anomaly("NearMiss", "Warning", name, message, count, examples, values if count else "")


def _cure(found: _NearMiss, *, is_stated: bool, has_rest: bool) -> str:
    """What to do. A type that the file states holds until spec.columns states another, and spec.csv is for CSV files alone."""
    if not is_stated:
        return f"set {found.field}" if found.field else "if they mean a missing value, name them in csv.missing"
    if has_rest or found.field:
        form = "times as 2013-01-31" if found.kind == TIMESTAMP else "numbers"
        return f"write {form} and nulls to the file, or set the column's type in spec.columns to String"
    return f"set its type in spec.columns to {found.kind}, or to String if it is a name"


def _times(connection: duckdb.DuckDBPyConnection, name: str, value: str, rest: str) -> int:
    row = connection.execute(
        f"SELECT count(*) FROM raw WHERE {rest} AND left({quote_column(name)}::VARCHAR, 60) = $value", {"value": value}
    ).fetchone()
    return int(row[0]) if row else 0


def _share(count: int, total: int) -> str:
    return "all" if count == total else f"{min(100 * count / total, 99.9):.3g} %"


def find_huge_integers(
    connection: duckdb.DuckDBPyConnection, schema: Schema, stated: Mapping[str, str | None]
) -> list[Anomaly]:
    """Errors about whole numbers of `raw` that no 64 bits hold: as floats, different keys would become equal."""
    kinds = describe_raw(connection)
    found = []
    for column in schema.columns:
        kind = kinds[column.name]
        if (
            column.type != "Integer"
            or stated[column.name] != "Integer"
            or not kind.startswith((*WIDE_TYPES, "VARCHAR"))
        ):
            continue
        name = quote_column(column.name)
        count, examples = count_violations(
            connection, "raw", column.name, f"{name} IS NOT NULL AND TRY_CAST({name} AS BIGINT) IS NULL"
        )
        if count:
            message = (
                f"Column '{column.name}' has {count:,} numbers beyond {MAX_INTEGER}, the greatest that Integer holds{VALUES}; "
                "set its type in spec.columns to String, which keeps every digit, or leave it out with spec.ignore."
            )
            found.append(
                Anomaly("OutOfRange", "Error", column.name, message, count, examples, f", such as '{examples[0]}'")
            )
    return found


def find_inexact_keys(connection: duckdb.DuckDBPyConnection, schema: Schema, group: str | None) -> list[Anomaly]:
    """Errors about decimal numbers in keys, or in the column of groups, that have more digits than Float holds, so that different ones become equal."""
    found = []
    for name in dict.fromkeys(each for each in (*schema.keys, group) if each):
        kind = describe_raw(connection)[name]
        if schema.type_of(name) != "Float" or not kind.startswith(("DECIMAL", "VARCHAR")):
            continue
        column = quote_column(name)
        exact = column if kind.startswith("DECIMAL") else f"TRY_CAST({column} AS {EXACT})"
        numbers = f"SELECT {exact}::DOUBLE AS number, {exact} AS exact FROM raw WHERE exact IS NOT NULL"
        merged = f"(SELECT number FROM ({numbers}) GROUP BY number HAVING count(DISTINCT exact) > 1)"
        if count := count_rows(connection, merged):
            message = (
                f"Column '{name}' has decimal numbers with more digits than Float holds (15), so that different ones would become "
                f"{count:,} equal numbers; set its type in spec.columns to String, which keeps every digit."
            )
            found.append(Anomaly("OutOfRange", "Error", name, message, count))
    return found


def find_unmatched_ignores(form: TableForm, present: list[str]) -> list[Anomaly]:
    """Names in spec.ignore that leave no column out."""
    return [
        Anomaly("MissingColumn", "Warning", name, describe_unmatched("spec.ignore", name, present))
        for name in form.unmatched_ignores()
    ]
