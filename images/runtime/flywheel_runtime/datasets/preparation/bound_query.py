"""`$(params.x)` in SQL: found outside of literals and comments, and bound as a value, never pasted."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flywheel_runtime.contract.errors import Failure

REFERENCE = re.compile(r"\$\((?P<key>[^()]*)\)")
# What DuckDB's lexer takes as one piece: strings, strings with backslashes, quoted names, $tag$ strings.
QUOTED = re.compile(
    r"""(?<![\w$])[eE]'(?:\\.|''|[^'\\])*'
      | '(?:''|[^'])*'
      | "(?:""|[^"])*"
      | \$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff]\w*)?)\$.*?\$(?P=tag)\$
    """,
    re.VERBOSE | re.DOTALL,
)
LINE_COMMENT = re.compile(r"--[^\n\r]*")
BLOCK_EDGE = re.compile(r"/\*|\*/")
PARAMETER_PREFIX = "flywheel_value_"
# Functions of the clock or of chance. random() is not among them: it is seeded.
VOLATILE_FUNCTION = re.compile(
    r"\b(?:(?:now|today|get_current_time|get_current_timestamp|transaction_timestamp|uuidv7)\s*\(\s*\)"
    r"|current_date|current_time|current_timestamp|localtime|localtimestamp)(?!\w)",
    re.IGNORECASE,
)
SAMPLE = re.compile(r"\b(?:using\s+sample|tablesample)\b(?!.*\brepeatable\b)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class BoundQuery:
    """SQL with named parameters, their values, and the functions in it whose result differs in every run."""

    sql: str
    values: Mapping[str, Any]
    volatile: tuple[str, ...] = ()


def bind_parameters(sql: str, parameters: Mapping[str, Any], run: Mapping[str, str]) -> BoundQuery:
    """Each reference becomes a named parameter of its value's type; `run.date` is a DATE.

    Raises:
        Failure: SqlInvalid for a reference inside quotes, ParameterUnknown for one to nothing.
    """
    known = {f"params.{name}": value for name, value in parameters.items()}
    known |= {f"run.{name}": _of_run(name, value) for name, value in run.items()}
    names: dict[str, str] = {}
    parts: list[str] = []
    volatile: dict[str, None] = {}
    for piece, is_quoted in _pieces(sql):
        if is_quoted:
            _refuse_quoted_reference(piece)
            parts.append(piece)
            continue
        for pattern in (VOLATILE_FUNCTION, SAMPLE):
            volatile |= dict.fromkeys(found[0] for found in pattern.finditer(piece))
        parts.append(REFERENCE.sub(lambda found: _placeholder(found, known, names), piece))
    return BoundQuery("".join(parts), {place: known[key] for key, place in names.items()}, tuple(volatile))


def _pieces(sql: str) -> Iterator[tuple[str, bool]]:
    """The SQL without its comments, in pieces: code, or quoted."""
    begun = place = 0
    while place < len(sql):
        comment, quoted = _comment(sql, place), QUOTED.match(sql, place)
        if not comment and quoted is None:
            place += 1
            continue
        yield sql[begun:place], False
        if quoted is not None and not comment:
            yield quoted[0], True
            begun = place = quoted.end()
        else:
            yield "\n" if "\n" in comment else " ", False
            begun = place = place + len(comment)
    yield sql[begun:], False


def _comment(sql: str, place: int) -> str:
    """The comment that begins here, with those inside it, to the end where it is never closed; empty where none does."""
    if line := LINE_COMMENT.match(sql, place):
        return line[0]
    if not sql.startswith("/*", place):
        return ""
    depth = 0
    for edge in BLOCK_EDGE.finditer(sql, place):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return sql[place : edge.end()]
    return sql[place:]


def _refuse_quoted_reference(quoted: str) -> None:
    if inside := re.search(r"\$\(\s*(?:params|run)\.[^()]*\)", quoted):
        message = (
            f"The SQL of this step has {inside[0]} inside quotes, where it would be those letters and not a value; "
            f"write it outside, as in 'prefix-' || {inside[0]}."
        )
        raise Failure("SqlInvalid", message)


def _placeholder(found: re.Match[str], known: Mapping[str, Any], names: dict[str, str]) -> str:
    key = found["key"].strip()
    if key not in known:
        listed = ", ".join(f"$({name})" for name in sorted(known)) or "none"
        message = (
            f"The SQL of this step names {found[0]}, which is not there; there is {listed}: declare it or correct it."
        )
        raise Failure("ParameterUnknown", message)
    return "$" + names.setdefault(key, f"{PARAMETER_PREFIX}{len(names)}")


def _of_run(name: str, value: str) -> Any:
    if name != "date":
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        message = f"run.date is {value!r} and must be a date such as 2026-01-31."
        raise Failure("ParamsInvalid", message) from error
