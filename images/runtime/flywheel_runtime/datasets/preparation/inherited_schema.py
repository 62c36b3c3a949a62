"""What a result inherits from the first table: types, roles and the split of its columns that are still there."""

from dataclasses import replace

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.formats.parquet import UNTYPED, column_type
from flywheel_runtime.datasets.preparation.query import RESULT, SPLIT, Table
from flywheel_runtime.datasets.schema import Column, Schema, Split
from flywheel_runtime.datasets.sql import (
    describe_columns,
    describe_error,
    preserve_order,
    quote_column,
    quote_identifier,
)
from flywheel_runtime.datasets.types import SQL_TYPE, TIMESTAMP


def inherit_schema(connection: duckdb.DuckDBPyConnection, first: Table) -> tuple[Schema, bool, list[Anomaly]]:
    """The result's schema, whether its rows carry their split, and warnings about what the first table had and the result lacks."""
    stated = describe_columns(connection, RESULT)
    inherited = {column["name"].lower(): Column.model_validate(column) for column in first.schema["columns"]}
    kinds = {
        name: _untyped(inherited.get(name.lower())) if kind in UNTYPED else column_type(name, kind)
        for name, kind in stated.items()
        if name.lower() != SPLIT
    }
    if not kinds:
        raise Failure("SqlInvalid", f"The SQL of this step selects {SPLIT} alone; select columns of its tables too.")
    columns, found = [], []
    for name, kind in kinds.items():
        before = inherited.get(name.lower())
        if before and (kind == before.type or (kind, before.type) == ("Integer", "Float")):
            columns.append(before)
            continue
        columns.append(Column(name=name, type=kind))
        if before:
            message = f"Column '{name}' is {before.type} in table '{first.name}' and {kind} in the result."
            found.append(Anomaly("TypeChanged", "Warning", name, message))
    schema, lost = _roles(tuple(columns), first)
    carries = len(kinds) < len(stated)
    rule, changed = _split(schema, first, carries)
    return replace(schema, split=rule), carries, found + lost + changed


def _untyped(before: Column | None) -> str:
    """Of a column without any value: what it was, else text, as a check has it."""
    return before.type if before else "String"


def _roles(columns: tuple[Column, ...], first: Table) -> tuple[Schema, list[Anomaly]]:
    present = {column.name for column in columns}
    times = first.schema.get("timestampFeatures") or ()
    target, time, keys = (first.schema[role] for role in ("target", "eventTime", "keys"))
    lost = []
    if target and target not in present:
        message = f"The result has no '{target}', the target of table '{first.name}': nothing can be trained on it."
        lost.append(Anomaly("TargetLost", "Warning", target, message))
    schema = Schema(
        columns,
        target if target in present else None,
        tuple(key for key in keys if key in present),
        time if time in present else None,
        Split(),
        tuple(column.name for column in columns if column.name in times and column.type == TIMESTAMP),
    )
    return schema, lost


def _split(schema: Schema, first: Table, carries: bool) -> tuple[Split, list[Anomaly]]:
    """The first table's rule. Where its column is gone, rows that carry their split need no rule; others cannot be split."""
    rule = Split.model_validate(first.schema["split"])
    present = {column.name for column in schema.columns}
    if rule.stratify not in present:
        rule = rule.model_copy(update={"stratify": None})
    needed = {"Time": first.schema["eventTime"], "Group": rule.group}.get(rule.by)
    if needed is None or needed in present:
        return rule, []
    if not carries:
        message = (
            f"Table '{first.name}' is split by {rule.by}, and the SQL of this step leaves out its column '{needed}'; "
            f"select it, or select {SPLIT} to keep every row in its split."
        )
        raise Failure("SplitInvalid", message)
    message = f"The result has no '{needed}', by which table '{first.name}' is split; folds of its rows will be random."
    return rule.model_copy(update={"by": "Random", "group": None}), [
        Anomaly("SplitColumnLost", "Warning", needed, message)
    ]


def fill_data(connection: duckdb.DuckDBPyConnection, schema: Schema, carries: bool) -> None:
    """Table `data` from the result: typed, in one order whatever order the SQL gave, with `flywheel_split` if it is there.

    Raises:
        Failure: TypeMismatch for a value that its type cannot hold.
    """
    values = [f"{_value(column)} AS {quote_column(column.name)}" for column in schema.columns]
    values += [f"{SPLIT}::VARCHAR AS {SPLIT}"] if carries else []
    roles = [name for name in (schema.event_time, *schema.keys) if name]
    others = [column.name for column in schema.columns if column.name not in roles]
    ordered = [quote_column(name) for name in [*roles, *others]] + ([SPLIT] if carries else [])
    order = ", ".join(f"{name} NULLS FIRST" for name in ordered)
    try:
        with preserve_order(connection):
            connection.execute(
                f"CREATE TABLE data AS SELECT * FROM (SELECT {', '.join(values)} FROM {RESULT}) AS typed ORDER BY {order}"
            )
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        message = f"A value of the result does not fit its column's type ({describe_error(error)}); cast it in the SQL."
        raise Failure("TypeMismatch", message) from error
    connection.execute(f"DROP TABLE {RESULT}")


def _value(column: Column) -> str:
    value = f"{RESULT}.{quote_identifier(column.name)}::{SQL_TYPE[column.type]}"
    return f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END" if column.type == "Float" else value
