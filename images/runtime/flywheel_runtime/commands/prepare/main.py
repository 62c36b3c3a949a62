"""The step `prepare`: one SELECT over data sets makes a data set (images/README.md, "prepare")."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from flywheel_runtime.commands.prepare import inherited_schema, query, split_rows, tables
from flywheel_runtime.commands.prepare.sql import Bound, bind
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line, run_step
from flywheel_runtime.datasets import anomalies, sql, target, version
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.schema import Schema
from flywheel_runtime.datasets.version import Version


@dataclass(frozen=True)
class Order:
    """The parameters of a prepare, parsed; `sample` is the part of the rows to keep, None for all."""

    tables: tuple[str, ...]
    sql: str | None
    parameters: Mapping[str, Any]
    run: Mapping[str, str]
    sample: float | None
    seed: int


def main() -> int:
    """Prepare in FLYWHEEL_ROOT; 0 when data was written, 2 when the SQL or its tables must change, 1 when memory might do."""
    return run_step(prepare)


def prepare(step: Step) -> None:
    """Run the SQL over the inputs and write output `data`."""
    order = parsed(step.params)
    log_line(f"prepare of {', '.join(order.tables)} started")
    inputs = [tables.read(name, step.input(name)) for name in order.tables]
    bound = bind(_sql(order), order.parameters, order.run)
    with sql.scratch() as folder, sql.memory_is_explained():
        query.run(folder, inputs, bound, order.seed)
        connection = sql.connect(folder)
        made = _described(connection, inputs[0], order, _moments(bound))
        for anomaly in made.found:
            log_line(f"{anomaly.severity} {anomaly.kind}: {anomaly.message}")
        version.write(step, connection, made)
        connection.close()
    log_line(f"prepared {made.total:,} rows, {len(made.found)} warnings")


def parsed(params: Mapping[str, Any]) -> Order:
    """The order in params.json.

    Raises:
        Failure: ParamsInvalid; the message names the parameter.
    """
    try:
        part = float(params["sample"]) if params.get("sample") is not None else None
        order = Order(
            tables=tuple(str(name) for name in params["tables"]),
            sql=params.get("sql"),
            parameters=dict(params.get("parameters") or {}),
            run=dict(params.get("run") or {}),
            sample=part,
            seed=int(params.get("seed") or 0),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Failure("ParamsInvalid", f"params.json of prepare cannot be read: {error!r}.") from error
    if not order.tables or len(set(order.tables)) < len(order.tables):
        raise Failure("ParamsInvalid", "tables of prepare must name at least one input, and none twice.")
    if part is not None and not 0 < part <= 1:
        raise Failure("ParamsInvalid", f"sample of prepare is {params['sample']!r} and must be above 0 and at most 1.")
    return order


def _sql(order: Order) -> str:
    if order.sql is not None:
        return order.sql
    if len(order.tables) > 1:
        listed = ", ".join(f"'{name}'" for name in order.tables)
        raise Failure("SqlInvalid", f"This step has the tables {listed} and no SQL that joins them; write prepare.sql.")
    return f"SELECT * FROM {sql.quote_identifier(order.tables[0])}"


def _described(
    connection: duckdb.DuckDBPyConnection, first: tables.Table, order: Order, told: list[Anomaly]
) -> Version:
    """Tables `data` and `splits` from the result, and what is to be said of them after what was `told`."""
    schema, carries, lost = inherited_schema.settle(connection, first)
    found = [*told, *lost]
    inherited_schema.fill(connection, schema, carries)
    found += _warnings(connection, schema, first)
    answer = None
    if schema.target is not None:
        answer = target.describe(connection, schema.target, schema.type_of(schema.target))
        found += target.leaks(connection, schema, answer)
    rows = split_rows.out(connection, schema, carries, first)
    if order.sample is not None:
        rows = split_rows.sample(connection, schema, answer, order.sample, order.seed)
    return Version(schema, answer, rows, found)


def _moments(bound: Bound) -> list[Anomaly]:
    words = "The SQL asks for {}, which gives something else in every run; use $(run.date), or REPEATABLE (7) with a sample."
    return [Anomaly("NotRepeatable", "Warning", None, words.format(each)) for each in bound.of_the_moment]


def _warnings(connection: duckdb.DuckDBPyConnection, schema: Schema, first: tables.Table) -> list[Anomaly]:
    """What a check would refuse, a prepare tells: the SQL may mean it so."""
    found = anomalies.column_findings(connection, schema, None)
    if set(schema.keys) == set(first.schema["keys"]):
        found += anomalies.duplicate_keys(connection, schema)
    return [replace(anomaly, severity="Warning") for anomaly in found]


if __name__ == "__main__":
    sys.exit(main())
