"""Warnings of columns that a query makes: a model that learns from them wants them from every caller."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.datasets.preparation.query import Table
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.features.compiler import compile_features
from flywheel_runtime.features.errors import ExpressionRefused, FeaturesRefused

KIND = "CallersMustBring"
MAX_EXPRESSION = 160  # characters in a message


def find_added_columns(sql: str, first: Table, columns: Sequence[str]) -> list[Anomaly]:
    """A warning for each of the result's features that the first table, the source of the rows, lacks."""
    added = [name for name in columns if find_same(name, first.columns) is None]
    expressions = _read_expressions(sql) if added else {}
    return [Anomaly(KIND, "Warning", name, _describe(name, expressions.get(name), first)) for name in added]


def _describe(name: str, expression: str | None, first: Table) -> str:
    """What callers must do, and what to do instead where that is known."""
    finding = f"Callers must bring '{name}', which '{first.name}' lacks"
    types = {str(column["name"]): SQL_TYPE[column["type"]] for column in first.schema["columns"]}
    types.pop(str(first.schema.get("target")), None)
    if expression is None:
        return f"{finding}: it comes from other rows or another table."
    try:
        compile_features(types, {name: expression})
    except (ExpressionRefused, FeaturesRefused) as refused:
        reason = refused.reasons[name] if isinstance(refused, FeaturesRefused) else str(refused)
        return f"{finding}: the model cannot compute it, since {reason}"
    shown = expression if len(expression) <= MAX_EXPRESSION else "…"
    return f"{finding}. It is made of its own row: move it to rowwise of the step train ({name}: {shown}), so that the model computes it."


def _read_expressions(sql: str) -> dict[str, str]:
    """The expressions of the outer SELECT that have a name; none of a query that is no plain SELECT."""
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        document = _serialize(connection, sql)
        template = _serialize(connection, "SELECT 1 FROM inputs")
        items = [each for each in _select_list(document) if each.get("alias")]
        found = {}
        for item in items:
            _select_list(template)[:] = [{**item, "alias": ""}]
            row = connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(template)]).fetchone()
            found[str(item["alias"])] = str(row[0]).removeprefix("SELECT ").removesuffix(" FROM inputs")
        return found


def _serialize(connection: duckdb.DuckDBPyConnection, sql: str) -> Mapping[str, Any]:
    row = connection.execute("SELECT json_serialize_sql(?, skip_null := true)", [sql]).fetchone()
    document: Mapping[str, Any] = json.loads(row[0])
    return document


def _select_list(document: Mapping[str, Any]) -> list[Any]:
    statements = document.get("statements") or [{}]
    found: list[Any] = statements[0].get("node", {}).get("select_list", [])
    return found
