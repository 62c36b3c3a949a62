"""DuckDB's bound plan of one expression: overloads chosen, casts written out, literals typed.

The plan's format is DuckDB's own and internal: the version is pinned, golden plans are tested, and what is unknown is refused.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.sql_types import SqlType, read_type

TABLE = "inputs"
# DuckDB writes them bare, which is no JSON. Python's reader takes NaN and Infinity.
NOT_FINITE = re.compile(r'("value":)(-?)(nan|inf(?:inity)?)(?=[,}])', re.IGNORECASE)
OTHER_ROWS = {
    "LOGICAL_WINDOW": "looks at other rows by a window",
    "LOGICAL_AGGREGATE_AND_GROUP_BY": "aggregates rows",
    "LOGICAL_UNNEST": "changes the number of rows",
}
ANOTHER_TABLE = "reads rows by a subquery, a join or a table function"


@dataclass(frozen=True)
class BoundExpression:
    """The root node of an expression, and the columns to which its BOUND_REF nodes point by index."""

    node: Mapping[str, Any]
    columns: tuple[tuple[str, SqlType], ...]


@dataclass(frozen=True)
class Literal:
    """A literal of an expression: its type, and its value as a tensor has it (days, microseconds, a scaled DECIMAL)."""

    type: SqlType
    value: Any


def find_literals(node: Any) -> Iterator[Literal]:
    """The literals of a node and of all below it; no NULL and no INTERVAL."""
    if isinstance(node, list):
        for each in node:
            yield from find_literals(each)
    if not isinstance(node, Mapping):
        return
    if node.get("expression_class") == "BOUND_CONSTANT":
        value = node["value"]
        literal_type = read_type(value["type"])
        if not value["is_null"] and literal_type.name != "INTERVAL":
            yield Literal(literal_type, value["value"])
        return
    for each in node.values():
        yield from find_literals(each)


def bind_expression(database: duckdb.DuckDBPyConnection, expression: str) -> BoundExpression:
    """Bind an expression over the columns of the table `inputs`. Raises ExpressionRefused unless it reads one row of them."""
    # The end of the line ends a comment, so that the parenthesis closes.
    projection = _bind(database, f"SELECT (\n{expression}\n) FROM {TABLE}")
    source = projection["children"][0] if projection["children"] else {}
    if projection["type"] != "LOGICAL_PROJECTION" or source.get("type") != "LOGICAL_GET":
        operator = (
            source.get("type", projection["type"]) if projection["type"] == "LOGICAL_PROJECTION" else projection["type"]
        )
        what = OTHER_ROWS.get(operator, ANOTHER_TABLE)
        raise ExpressionRefused(
            f"the expression {what} ({operator}); a feature is computed from columns of its own row"
        )
    if source["function_data"].get("table") != TABLE or source["qname"]["path"] != ["seq_scan"]:
        raise ExpressionRefused(f"the expression {ANOTHER_TABLE}; a feature is computed from columns of its own row")
    if len(projection["expressions"]) != 1:
        raise ExpressionRefused("this is more than one expression; write one feature for each")
    return BoundExpression(projection["expressions"][0], _read_columns(source))


def _bind(database: duckdb.DuckDBPyConnection, statement: str) -> dict[str, Any]:
    """The root operator of the plan of one SELECT."""
    row = database.execute("SELECT json_serialize_plan(?, skip_null := true)", [statement]).fetchone()
    text = NOT_FINITE.sub(lambda found: found[1] + _python_number(found[2], found[3]), row[0])
    document = json.loads(text)
    if document["error"]:
        sentences = str(document.get("error_message", "it cannot be read")).splitlines()
        raise ExpressionRefused(f"DuckDB: {sentences[0]}")
    if len(document["plans"]) != 1:
        raise ExpressionRefused("this is more than one statement; write one expression")
    plan: dict[str, Any] = document["plans"][0]
    return plan


def _python_number(sign: str, name: str) -> str:
    return "NaN" if name.lower() == "nan" else f"{sign}Infinity"


def _read_columns(source: Mapping[str, Any]) -> tuple[tuple[str, SqlType], ...]:
    """The columns that the scan brings, in the order of its output."""
    places = [column.get("index", 0) for column in source["column_indexes"]]
    chosen = source.get("projection_ids") or range(len(places))
    places = [places[each] for each in chosen]
    names, types = source["names"], source["returned_types"]
    if any(place >= len(names) for place in places):  # the virtual column of a scan that reads none
        raise ExpressionRefused(
            "the expression reads no column, so it is the same for every row; leave the feature out"
        )
    return tuple((names[place], read_type(types[place])) for place in places)
