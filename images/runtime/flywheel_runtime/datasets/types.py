"""The five types: how text becomes one of them, and which of them a whole column of text is."""

import re

import duckdb

from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.datasets.sql import quote_column, quote_literal

SQL_TYPE = {
    "Integer": "BIGINT",
    "Float": "DOUBLE",
    "String": "VARCHAR",
    "Boolean": "BOOLEAN",
    "Timestamp": "TIMESTAMP",
}
# Python writes these tuples as SQL writes a list. Texts for a missing number. In a String column only the empty cell is missing: NA is also Namibia.
MISSING = ("", "na", "n/a", "nan", "null", "none")
TRUE, FALSE = ("true", "t", "yes", "1"), ("false", "f", "no", "0")
WHOLE = r"[+-]?[0-9]+(\.0*)?"
FLOAT = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[iI]nf(inity)?"
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}.*"
# 00501 is a postal code and twenty digits are a name: inferred as numbers they would lose what they say.
SURE_INTEGER = "[+-]?(0|[1-9][0-9]{0,17})"
SURE_FLOAT = (
    r"[+-]?((0|[1-9][0-9]{0,17})(\.[0-9]*)?|[1-9][0-9]*\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[iI]nf(inity)?"
)

MAX_FLOAT = 3.4028234663852886e38  # of 32 bits
# A model learns from numbers up to here, and takes larger ones for missing: of 32 bits, with room for sums.
MAX_LEARNT = 1e37
TIMESTAMP = "Timestamp"
COLUMNS_PER_QUERY = 20
DISPROVING_ROWS = 2048
USUAL = CsvOptions()


def present_text(text: str, form: CsvOptions = USUAL) -> str:
    """SQL for text without its outer spaces, NULL where the cell says that a value is missing."""
    words = f" OR trim({text}) IN {_listed(form.missing)}" if form.missing else ""
    return f"CASE WHEN lower(trim({text})) IN {MISSING}{words} THEN NULL ELSE trim({text}) END"


def _listed(words: tuple[str, ...]) -> str:
    return f"({', '.join(quote_literal(word) for word in words)})"


def parse_text(text: str, kind: str, form: CsvOptions = USUAL) -> str:
    """SQL for text (an SQL expression) as a value of the type; NULL where it is missing or cannot be parsed."""
    if kind == "String":
        words = f"CASE WHEN trim({text}) IN {_listed(form.missing)} THEN NULL ELSE {text} END" if form.missing else text
        return f"nullif({words}, '')"
    value = f"({present_text(text, form)})"
    if kind == "Integer":
        # 1400.0 is what pandas writes for an integer once its column has a missing value.
        return (
            f"CASE WHEN {matches_number(value, WHOLE, form)} THEN TRY_CAST({plain_number(value, form)} AS BIGINT) END"
        )
    if kind == "Float":
        return (
            f"CASE WHEN {matches_number(value, FLOAT, form)} THEN TRY_CAST({plain_number(value, form)} AS DOUBLE) END"
        )
    if kind == "Boolean":
        return f"CASE WHEN lower({value}) IN {TRUE} THEN true WHEN lower({value}) IN {FALSE} THEN false END"
    # Through TIMESTAMPTZ, whose session zone is UTC: an offset in the text moves the time to UTC.
    iso = (
        f"CASE WHEN regexp_full_match({value}, '{DATE}') "
        f"THEN TRY_CAST({value} AS TIMESTAMP WITH TIME ZONE)::TIMESTAMP END"
    )
    if form.date_format is None:
        return iso
    return f"coalesce(try_strptime({value}, {quote_literal(form.date_format)})::TIMESTAMP, {iso})"


def matches_number(value: str, pattern: str, form: CsvOptions) -> str:
    """SQL that is true where text looks like `pattern`, with the decimal sign and the groups of `form`."""
    sign = re.escape(form.decimal)
    found = f"regexp_full_match({value}, {quote_literal(pattern.replace(chr(92) + '.', sign))})"
    if form.thousands is None:
        return found
    fraction = f"({sign}0*)?" if pattern in (WHOLE, SURE_INTEGER) else f"({sign}[0-9]*)?"
    grouped = f"[+-]?[1-9][0-9]{{0,2}}({re.escape(form.thousands)}[0-9]{{3}})+{fraction}"
    return f"({found} OR regexp_full_match({value}, {quote_literal(grouped)}))"


def plain_number(value: str, form: CsvOptions) -> str:
    """SQL for the text of a number as SQL writes it: a point, and no groups."""
    if form.thousands is not None:
        value = f"replace({value}, {quote_literal(form.thousands)}, '')"
    return value if form.decimal == "." else f"replace({value}, {quote_literal(form.decimal)}, '.')"


def typed_value(name: str, stated: str | None, kind: str, proven: bool = False, form: CsvOptions = USUAL) -> str:
    """SQL for column `name` of `raw` as the type `kind`; `stated` is the type of the file, None for text.

    `proven` means that every cell was seen to be of that type, which saves a check.
    """
    column = quote_column(name)
    if stated == kind == "Float":
        return _without_nan(f"TRY_CAST({column} AS DOUBLE)")
    if stated == kind:
        return f"{column}::{SQL_TYPE[kind]}"
    if proven and kind in ("Integer", "Float"):
        value = f"TRY_CAST({plain_number(column, form)} AS {SQL_TYPE[kind]})"
        return value if kind == "Integer" else _without_nan(value)
    return parse_text(f"{column}::VARCHAR", kind, form)


def timestamp_number(value: str) -> str:
    """SQL for a time or date as a 64-bit float: microseconds since 1970 in UTC, midnight of a date; NULL where it is infinite."""
    return f"epoch_us(TRY_CAST({value} AS TIMESTAMP))::DOUBLE"


def _without_nan(value: str) -> str:
    return f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END"


def is_missing(name: str, kind: str, form: CsvOptions = USUAL) -> str:
    """SQL that is true where the cell of `raw` says that there is no value, whatever its type."""
    text = f"{quote_column(name)}::VARCHAR"
    return f"({parse_text(text, kind, form)}) IS NULL" if kind == "String" else f"({present_text(text, form)}) IS NULL"


def infer_types(connection: duckdb.DuckDBPyConnection, columns: list[str], form: CsvOptions = USUAL) -> dict[str, str]:
    """The types of text columns of `raw`, from every row: the first rows can only disprove a type, never prove it."""
    found: dict[str, str] = {}
    for start in range(0, len(columns), COLUMNS_PER_QUERY):
        part = columns[start : start + COLUMNS_PER_QUERY]
        possible = {name: list(_tests(quote_column(name), form)) for name in part}
        possible = _not_disproved(connection, possible, f"(FROM raw LIMIT {DISPROVING_ROWS})", form)
        possible = _not_disproved(connection, possible, "raw", form)
        found |= {name: next(iter(possible[name]), "String") for name in part}
        # Only a column without any value passes all tests.
        open_columns = [name for name in part if len(possible[name]) == len(_tests("", form))]
        found |= dict.fromkeys(_without_values(connection, open_columns, form), "String")
    return found


def _tests(column: str, form: CsvOptions) -> dict[str, str]:
    value = f"({present_text(column, form)})"
    return {
        "Boolean": f"lower({value}) IN ('true', 'false')",
        "Integer": matches_number(value, SURE_INTEGER, form),
        "Float": matches_number(value, SURE_FLOAT, form),
        "Timestamp": f"({parse_text(column, 'Timestamp', form)}) IS NOT NULL",
    }


def _not_disproved(
    connection: duckdb.DuckDBPyConnection, possible: dict[str, list[str]], rows: str, form: CsvOptions
) -> dict[str, list[str]]:
    candidates = [(name, kind) for name, kinds in possible.items() for kind in kinds]
    if not candidates:
        return possible
    failed = ", ".join(
        f"count_if(({present_text(quote_column(name), form)}) IS NOT NULL AND NOT {_tests(quote_column(name), form)[kind]})"
        for name, kind in candidates
    )
    counts = connection.execute(f"SELECT {failed} FROM {rows}").fetchone() or ()
    left = {pair for pair, count in zip(candidates, counts, strict=True) if count == 0}
    return {name: [kind for kind in kinds if (name, kind) in left] for name, kinds in possible.items()}


def _without_values(connection: duckdb.DuckDBPyConnection, columns: list[str], form: CsvOptions) -> list[str]:
    if not columns:
        return []
    counts = connection.execute(
        f"SELECT {', '.join(f'count({present_text(quote_column(n), form)})' for n in columns)} FROM raw"
    ).fetchone()
    return [name for name, count in zip(columns, counts or (), strict=True) if count == 0]


def narrow_number(number: str) -> str:
    """SQL for a number as 32 bits; NULL where it is infinite or too large."""
    narrow = f"TRY_CAST({number} AS FLOAT)"
    return f"CASE WHEN abs({narrow}) <= {MAX_LEARNT!r}::FLOAT THEN {narrow} END"
