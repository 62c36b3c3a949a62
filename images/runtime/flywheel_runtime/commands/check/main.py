"""The check of a Dataset: read the source, find what is wrong with it, and write a version (images/README.md)."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from flywheel_runtime.commands.check import sql_checks
from flywheel_runtime.contract.step import Step, log_line, run_step
from flywheel_runtime.datasets import anomalies, source, split, sql, target, types, version
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.schema import Previous, Schema, Spec, Split, parse_spec, parse_split, settle
from flywheel_runtime.datasets.version import Version


def main() -> int:
    """Run the check in FLYWHEEL_ROOT; 0 when the data is good, 2 when it must change, 1 when more memory might do."""
    return run_step(check)


def check(step: Step) -> None:
    """Check input `source` against the spec and input `previous`, and write output `data`."""
    spec = parse_spec(step.params)
    log_line(f"check of Dataset '{spec.name}' started")
    previous = Previous.read(step.input("previous"))
    files = source.files_below(step.input("source"))
    with sql.scratch() as folder, sql.memory_is_explained():
        connection = sql.connect(folder)
        schema, found = _load(connection, spec, files, previous)
        connection.close()
        found += _run_sql(folder, spec)
        _log(found)
        anomalies.fail_on_errors(found, spec.name)
        connection = sql.connect(folder)
        schema, answer, more = _learn_target(connection, spec, schema)
        _log(more)
        made = Version(schema, answer, split.assign(connection, schema), found + more, files)
        version.write(step, connection, made, previous)
        connection.close()
    log_line(f"Dataset '{spec.name}' is good: {made.total:,} rows, {len(made.found)} warnings")


def _load(
    connection: duckdb.DuckDBPyConnection, spec: Spec, files: list[source.SourceFile], previous: Previous | None
) -> tuple[Schema, list[Anomaly]]:
    """Fill table `data` with typed columns; missing columns and cells of another type end the check at once."""
    with sql.in_order(connection):
        stated = source.load(connection, files, spec.format)
    found = anomalies.missing_columns(spec, list(stated), previous)
    anomalies.fail_on_errors(found, spec.name)
    inferred = types.infer(connection, [name for name, kind in stated.items() if kind is None])
    inferred = {name: kind or inferred[name] for name, kind in stated.items()}
    schema = Schema(settle(spec, inferred, previous), spec.target, spec.keys, spec.event_time, Split())
    _check_time(connection, schema, spec)
    found += anomalies.extra_columns(spec, list(stated), previous)
    found += anomalies.type_mismatches(connection, schema, stated, inferred)
    anomalies.fail_on_errors(found, spec.name)
    values = ", ".join(
        f"{types.value_of(c.name, stated[c.name], c.type, proven=inferred[c.name] == c.type)} AS {sql.quote_identifier(c.name)}"
        for c in schema.columns
    )
    with sql.in_order(connection):
        connection.execute(f"CREATE TABLE data AS SELECT {values} FROM raw")
    connection.execute("DROP TABLE raw")
    found += anomalies.column_findings(connection, schema, previous)
    return schema, found + anomalies.duplicate_keys(connection, schema)


def _check_time(connection: duckdb.DuckDBPyConnection, schema: Schema, spec: Spec) -> None:
    """A time column that was inferred to be text holds something that is no time: say what."""
    name = schema.event_time
    if name is None or schema.type_of(name) in ("Timestamp", "Integer"):
        return
    value = types.parsed(f"{sql.quote_identifier(name)}::VARCHAR", "Timestamp")
    wrong = f"NOT {types.is_missing(name, 'Timestamp')} AND ({value}) IS NULL"
    anomalies.fail_on_errors(anomalies.not_times(connection, name, wrong), spec.name)


def _run_sql(folder: Path, spec: Spec) -> list[Anomaly]:
    if not spec.checks:
        return []
    connection = sql.connect(folder, read_only=True)
    try:
        return sql_checks.run(connection, spec.checks)
    finally:
        connection.close()


def _learn_target(
    connection: duckdb.DuckDBPyConnection, spec: Spec, schema: Schema
) -> tuple[Schema, target.Target | None, list[Anomaly]]:
    answer, found = None, []
    if spec.target is not None:
        answer = target.describe(connection, spec.target, schema.type_of(spec.target))
        found = target.leaks(connection, schema, answer)
        if answer.missing:
            message = f"{answer.missing:,} rows have no '{spec.target}' and are left out of the splits."
            found.insert(0, Anomaly("TargetNull", "Warning", spec.target, message, answer.missing))
    chosen = parse_split(spec, answer.task if answer else None)
    return Schema(schema.columns, schema.target, schema.keys, schema.event_time, chosen), answer, found


def _log(found: list[Anomaly]) -> None:
    for anomaly in found:
        log_line(f"{anomaly.severity} {anomaly.kind}: {anomaly.message}")


if __name__ == "__main__":
    sys.exit(main())
