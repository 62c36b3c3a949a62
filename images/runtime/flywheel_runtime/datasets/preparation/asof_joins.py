"""ASOF joins of a query whose right table has several rows of one key and time: DuckDB does not define which of them is taken."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb

from flywheel_runtime.datasets import sql
from flywheel_runtime.datasets.anomalies import Anomaly

Node = Mapping[str, Any]


def find_ties(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[str]], query: str) -> list[Anomaly]:
    """A warning for each of `tables`, names with their columns, that is the right side of an ASOF join and has such rows.

    Only a table itself is counted: a subquery or a common table expression is what the advice makes of it.
    """
    serialized = connection.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchall()[0][0]
    nodes = list(_nodes(json.loads(serialized)))
    hidden = {str(each["key"]) for node in nodes for each in (node.get("cte_map") or {}).get("map", ())}
    known = {name.lower(): name for name in tables if name not in hidden}
    found: dict[str, Anomaly] = {}
    for node in nodes:
        right = node.get("right")
        if node.get("ref_type") != "ASOF" or not isinstance(right, Mapping) or right.get("type") != "BASE_TABLE":
            continue
        table = known.get(str(right["table_name"]).lower())
        columns = _columns_of_right(node, tables[table]) if table is not None else []
        if table is not None and columns and (ties := _count_ties(connection, table, columns)):
            found[table] = _warning(table, columns, ties)
    return list(found.values())


def _nodes(value: Any) -> Iterator[Node]:
    """Every object in a JSON document."""
    if isinstance(value, Mapping):
        yield value
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _nodes(each)


def _columns_of_right(join: Node, columns: Sequence[str]) -> list[str]:
    """The columns of the right table that the join compares; empty where it compares anything else of it."""
    names = {name.lower(): name for name in columns}
    if join["using_columns"]:
        return [names[each.lower()] for each in join["using_columns"] if each.lower() in names]
    alias = str(join["right"]["alias"] or join["right"]["table_name"]).lower()
    compared = [node for node in _nodes(join["condition"]) if node.get("class") == "COMPARISON"]
    sides = [_column(side, alias, names) for node in compared for side in (node["left"], node["right"])]
    found = [column for column in sides if column is not None]
    return found if len(found) == len(compared) else []


def _column(expression: Node, alias: str, names: Mapping[str, str]) -> str | None:
    path = [str(each).lower() for each in expression.get("column_names", ())]
    return names.get(path[1]) if len(path) == 2 and path[0] == alias else None


def _count_ties(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str]) -> int:
    quoted = [sql.quote_identifier(column) for column in columns]
    there = " AND ".join(f"{column} IS NOT NULL" for column in quoted)  # what is missing joins nothing
    named = sql.quote_identifier(table)
    groups = f"SELECT 1 FROM {named} WHERE {there} GROUP BY {', '.join(quoted)} HAVING count(*) > 1"
    return sql.count_rows(connection, f"({groups})")


def _warning(table: str, columns: list[str], ties: int) -> Anomaly:
    listed = ", ".join(f"'{column}'" for column in columns)
    message = (
        f"Table '{table}' has several rows for {ties:,} value(s) of {listed}, and which of them an ASOF JOIN takes is not defined; leave "
        "one first, by QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1."
    )
    return Anomaly("NotRepeatable", "Warning", None, message, ties)
