"""Warnings of columns that a query makes: a model that learns from them wants them from every caller."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import duckdb

from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.datasets.preparation.query import Table
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.features.compiler import compile_features
from flywheel_runtime.features.errors import ExpressionRefused, FeaturesRefused

MAX_EXPRESSION = 160  # characters in a message
ELSE = "Have each request carry it, or leave it out of the features of the step train."


def find_added_columns(sql: str, first: Table, columns: Sequence[str]) -> list[Anomaly]:
    """A warning for each of the result's features that the first table, the source of the rows, lacks."""
    added = [name for name in columns if find_same(name, first.columns) is None]
    if not added:
        return []
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        node = _read_select(connection, sql)
        expressions = _read_expressions(connection, node) if _selects_from(node, first) else {}
    changed = _changed_columns(node, first)
    return [
        Anomaly("CallersMustBring", "Warning", name, _describe(name, expressions.get(name), first, changed))
        for name in added
    ]


def _describe(name: str, expression: str | None, first: Table, changed: Collection[str]) -> str:
    """What callers must do, and what to do instead where that is known."""
    finding = f"Callers must bring '{name}', which '{first.name}' lacks"
    types = {str(column["name"]): SQL_TYPE[column["type"]] for column in first.schema["columns"]}
    target = first.schema.get("target")
    if expression is None:
        return f"{finding}: it comes from other rows, another table or a query inside the SQL. {ELSE}"
    try:
        compiled = compile_features(types, {name: expression})
    except (ExpressionRefused, FeaturesRefused) as refused:
        reason = refused.reasons[name] if isinstance(refused, FeaturesRefused) else str(refused)
        return f"{finding}: the model cannot compute it, since {reason}. {ELSE}"
    if target in compiled.features[name].columns:
        return f"{finding}: it reads the target '{target}', which no caller knows; leave it out of the features, or it tells the model the answer."
    if read := next((each for each in compiled.features[name].columns if each in changed), None):
        return f"{finding}: it reads '{read}' of '{first.name}', and '{read}' of the result is another value; give the result's another name, so that rowwise of the step train can make '{name}'."
    shown = expression if len(expression) <= MAX_EXPRESSION else "…"
    return f"{finding}. It is made of its own row: move it to rowwise of the step train ({name}: {shown}), so that the model computes it."


def _read_select(connection: duckdb.DuckDBPyConnection, sql: str) -> Mapping[str, Any]:
    """The outer node of DuckDB's syntax tree."""
    statements = _serialize(connection, sql).get("statements") or [{}]
    node: Mapping[str, Any] = statements[0].get("node", {})
    return node


def _selects_from(node: Mapping[str, Any], first: Table) -> bool:
    """Whether names in the outer SELECT are columns of the first table: no CTE, join or subquery gives them another meaning."""
    source = node.get("from_table") or {}
    named = source.get("type") == "BASE_TABLE" and str(source["table_name"]).lower() == first.name.lower()
    renamed = source.get("column_name_alias") or '"columns": true' in json.dumps(node)  # COLUMNS(*) keeps the names
    return named and not renamed and not node["cte_map"]["map"]


def _changed_columns(node: Mapping[str, Any], first: Table) -> set[str]:
    """Columns of the first table whose name is of another value in the result, which is what an expression of rowwise would read."""
    names: list[str] = []
    for item in node.get("select_list", []):
        names += [item.get("alias", ""), *(each["key"] for each in item.get("replace_list", []))]
        names += [each["value"] for each in item.get("rename_list", [])]
    return {same for name in names if (same := find_same(name, first.columns)) is not None}


def _read_expressions(connection: duckdb.DuckDBPyConnection, node: Mapping[str, Any]) -> dict[str, str]:
    """The expressions of the outer SELECT that have a name."""
    template = _serialize(connection, "SELECT 1 FROM inputs")
    found = {}
    for item in node.get("select_list", []):
        if item.get("alias"):
            template["statements"][0]["node"]["select_list"][:] = [{**item, "alias": ""}]
            row = connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(template)]).fetchone()
            found[str(item["alias"])] = str(row[0]).removeprefix("SELECT ").removesuffix(" FROM inputs")
    return found


def _serialize(connection: duckdb.DuckDBPyConnection, sql: str) -> Mapping[str, Any]:
    row = connection.execute("SELECT json_serialize_sql(?, skip_null := true)", [sql]).fetchone()
    document: Mapping[str, Any] = json.loads(row[0])
    return document
