"""Filters and orders in MLflow's language: comparisons joined by AND.

metrics.roc_auc > 0.7 and params.estimator = 'X' and tags.team ILIKE '%a%' and attributes.start_time > '2026-11-01'

A comparison with a value that the record does not have is false. Parameters may also be compared with numbers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from flywheel_reader.errors import BadFilter
from flywheel_reader.tracking.columns import (
    ATTRIBUTES,
    DATASET_FIELDS,
    NUMBERS,
    TIMES,
    Column,
    Group,
    Value,
    parse_time,
)
from flywheel_reader.tracking.like import like_matcher

MAX_FILTER_CHARACTERS = 4096
MAX_COMPARISONS = 32
MAX_ORDER_COLUMNS = 8
GROUPS: dict[str, Group] = {
    "metric": "metrics", "metrics": "metrics",
    "param": "params", "params": "params", "parameter": "params", "parameters": "params",
    "tag": "tags", "tags": "tags",
    "attribute": "attributes", "attributes": "attributes", "attr": "attributes", "run": "attributes",
    "dataset": "dataset", "datasets": "dataset",
}  # fmt: skip
TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<operator><=|>=|!=|<>|==|=|<|>)
    | (?P<name>[A-Za-z_]\w*(?:\.(?:`[^`]+`|"[^"]+"|[\w./-]+))?|`[^`]+`)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    "==": eq,
    "!=": ne,
    "<>": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
EXAMPLE = "write it like \"metrics.roc_auc > 0.7 and params.estimator = 'X'\""
Predicate = Callable[[Value], bool]


class Token(NamedTuple):
    """A piece of a filter."""

    sort: str
    text: str
    position: int

    @property
    def keyword(self) -> str:
        """The word in capitals, "" if the token is none."""
        return self.text.upper() if self.sort == "name" else ""


@dataclass(frozen=True)
class Comparison:
    """A column and what its value must satisfy."""

    column: Column
    holds: Predicate


@dataclass(frozen=True)
class OrderColumn:
    """One key of an order."""

    column: Column
    descending: bool


def parse_filter(text: str) -> tuple[Comparison, ...]:
    """The comparisons of a filter; none if it is empty. Raises BadFilter."""
    tokens = _tokenize(text)
    if not tokens:
        return ()
    comparisons = []
    while True:
        comparisons.append(_parse_comparison(tokens))
        if len(comparisons) > MAX_COMPARISONS:
            raise BadFilter(f"the filter has more than {MAX_COMPARISONS} comparisons; ask for less at once")
        if not tokens:
            return tuple(comparisons)
        joined = tokens.pop(0)
        if joined.keyword == "OR":
            raise BadFilter(
                f"the filter joins comparisons by OR at character {joined.position}, and MLflow's language knows AND alone; send two requests"
            )
        if joined.keyword != "AND":
            raise _error(joined, "AND")


def parse_order(text: str) -> tuple[OrderColumn, ...]:
    """The keys of an order such as "metrics.roc_auc DESC, attributes.start_time". Raises BadFilter."""
    tokens = _tokenize(text)
    keys: list[OrderColumn] = []
    while tokens or keys:
        column = _parse_column(_take(tokens, "a column such as metrics.roc_auc"))
        descending = bool(tokens) and tokens[0].keyword == "DESC"
        if tokens and tokens[0].keyword in ("ASC", "DESC"):
            tokens.pop(0)
        keys.append(OrderColumn(column, descending))
        if len(keys) > MAX_ORDER_COLUMNS:
            raise BadFilter(f"the order has more than {MAX_ORDER_COLUMNS} columns; leave some out")
        if not tokens:
            break
        if (mark := tokens.pop(0)).text != ",":
            raise _error(mark, "a comma, ASC or DESC")
    return tuple(keys)


def _tokenize(text: str) -> list[Token]:
    if len(text) > MAX_FILTER_CHARACTERS:
        raise BadFilter(f"the filter has {len(text):,} characters, more than {MAX_FILTER_CHARACTERS:,}; shorten it")
    tokens, position = [], 0
    end = len(text.rstrip())
    while position < end:
        found = TOKEN.match(text, position)
        if found is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            raise BadFilter(
                f"the filter cannot be read from character {position + 1} on: {text[position : position + 40]!r}; {EXAMPLE}"
            )
        sort = str(found.lastgroup)
        tokens.append(Token(sort, found[sort], found.start(sort) + 1))
        position = found.end()
    return tokens


def _error(token: Token | None, expected: str) -> BadFilter:
    where = "ends" if token is None else f"has {token.text[:40]!r} at character {token.position}"
    return BadFilter(f"the filter or the order {where} where {expected} is expected; {EXAMPLE}")


def _take(tokens: list[Token], expected: str) -> Token:
    if not tokens:
        raise _error(None, expected)
    return tokens.pop(0)


def _parse_column(token: Token) -> Column:
    if token.sort != "name":
        raise _error(token, "a column such as metrics.roc_auc")
    group, dot, key = token.text.partition(".")
    if not dot:
        group, key = "attributes", group
    known = GROUPS.get(group.lower())
    if known is None:
        raise BadFilter(
            f"the filter has no columns {group[:40]!r}; there are metrics, params, tags, attributes and dataset"
        )
    key = key[1:-1] if key[:1] in ('"', "`") else key
    if known == "attributes" and key not in ATTRIBUTES:
        raise BadFilter(f"there is no attribute {key[:40]!r}; there are {', '.join(sorted(ATTRIBUTES))}")
    if known == "dataset" and key not in DATASET_FIELDS:
        raise BadFilter(f"a dataset has no {key[:40]!r} here; there are {', '.join(sorted(DATASET_FIELDS))}")
    return Column(known, key)


def _parse_comparison(tokens: list[Token]) -> Comparison:
    column = _parse_column(_take(tokens, "a column such as metrics.roc_auc"))
    operator = _take(tokens, "a comparison")
    match operator.keyword:
        case "IS":
            return Comparison(column, _parse_null_test(tokens))
        case "LIKE" | "ILIKE":
            value = _take(tokens, "a text")
            if _is_number(column) or value.sort != "string":
                raise _error(operator if _is_number(column) else value, "a text to compare with a text")
            return Comparison(
                column, _text_predicate(like_matcher(_unquoted(value), ignore_case=operator.keyword == "ILIKE"))
            )
        case "NOT":
            if _take(tokens, "IN").keyword != "IN":
                raise _error(operator, "NOT IN")
            values = _parse_list(tokens, column)
            return Comparison(column, lambda value: value is not None and not any(test(value) for test in values))
        case "IN":
            values = _parse_list(tokens, column)
            return Comparison(column, lambda value: any(test(value) for test in values))
    if operator.sort != "operator":
        raise _error(operator, "a comparison (=, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL)")
    return Comparison(column, _parse_value(_take(tokens, "a value"), column, COMPARE[operator.text]))


def _parse_null_test(tokens: list[Token]) -> Predicate:
    word = _take(tokens, "NULL")
    negated = word.keyword == "NOT"
    if negated:
        word = _take(tokens, "NULL")
    if word.keyword != "NULL":
        raise _error(word, "NULL")
    return (lambda value: value is not None) if negated else (lambda value: value is None)


def _parse_list(tokens: list[Token], column: Column) -> list[Predicate]:
    if (mark := _take(tokens, "(")).text != "(":
        raise _error(mark, "(")
    tests = []
    while True:
        tests.append(_parse_value(_take(tokens, "a value"), column, eq))
        mark = _take(tokens, ")")
        if mark.text == ")":
            return tests
        if mark.text != "," or len(tests) >= 256:
            raise _error(mark, "a comma, or ) after at most 256 values")


def _parse_value(token: Token, column: Column, compare: Callable[[Any, Any], bool]) -> Predicate:
    if token.sort == "number":
        number = float(token.text)
        if column.group in ("tags", "dataset") or (column.group == "attributes" and column.key not in NUMBERS):
            raise _error(token, f"a text in quotes, which {column.group}.{column.key[:40]} is,")
        return lambda value: isinstance(value, float) and compare(value, number)
    if token.sort != "string":
        raise _error(token, "a number or a text in quotes")
    text = _unquoted(token)
    if column.group == "attributes" and column.key in TIMES:
        moment = parse_time(text)
        if moment is None:
            raise _error(token, "a time such as '2026-11-29T12:00:00Z'")
        return lambda value: isinstance(value, float) and compare(value, moment)
    if _is_number(column):
        raise _error(token, "a number")
    return _text_predicate(lambda value: compare(value, text))


def _text_predicate(test: Callable[[str], bool]) -> Predicate:
    def holds(value: Value) -> bool:
        return value is not None and test(value_text(value))

    return holds


def value_text(value: str | float | bool) -> str:
    """A value as text: numbers without a needless fraction, Booleans as JSON has them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value


def _is_number(column: Column) -> bool:
    return column.group == "metrics" or (column.group == "attributes" and column.key in NUMBERS)


def _unquoted(token: Token) -> str:
    quote = token.text[0]
    return token.text[1:-1].replace(quote * 2, quote)
