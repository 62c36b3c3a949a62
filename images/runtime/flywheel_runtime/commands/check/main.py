"""The check of a Dataset: read the source, find what is wrong with it, and write a version (images/README.md)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from flywheel_runtime.commands.check import snapshot
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line, step_command
from flywheel_runtime.datasets import anomalies, near_misses, source, split, sql, types, version
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.formats import SourceFile, TableForm
from flywheel_runtime.datasets.schema import (
    DatasetSpec,
    PreviousVersion,
    Schema,
    Split,
    SqlCheck,
    resolve_split,
    settle_columns,
    settle_timestamp_features,
)
from flywheel_runtime.datasets.target import Target, compare_classes, describe_target, find_leaks, is_whole_target
from flywheel_runtime.datasets.version import Version

CHECKS = "checks"  # the schema with the view `data` of the user's own checks, by the names that they know


@step_command
def main(step: Step) -> None:
    """Check input `source` against the spec and input `previous`, and write output `data`; exits with 0 when the data is good, 2 when it must change, 1 when more memory might do."""
    spec = DatasetSpec.parse(step.params)
    log_line(f"check of Dataset '{spec.name}' started")
    previous = PreviousVersion.read(step.input("previous"))
    with sql.scratch_folder() as folder, sql.translate_resource_errors():
        with sql.connect(folder) as connection:
            if spec.sort_by_keys:
                files = [snapshot.write_snapshot(connection, step, spec, folder)]
            else:
                files = source.list_files(step.input("source"))
            schema, found = _load(connection, spec, files, previous)
        found += _run_sql(folder, spec)
        anomalies.log_anomalies(found)
        anomalies.fail_on_errors(found, spec)
        with sql.connect(folder) as connection:
            schema, target, more = _resolve_target(connection, spec, schema, previous)
            is_earlier = previous is not None and previous.content == version.digest_source(schema, files, spec.csv)
            division = split.assign_splits(connection, schema, may_divide_copies=not is_earlier)
            anomalies.log_anomalies(more + division.anomalies)
            found += more + division.anomalies
            checked = Version(schema, target, division.rows, found, files, spec.csv, division.divides_copies)
            version.write_version(step, connection, checked, previous, show_values=spec.show_values)
    log_line(f"Dataset '{spec.name}' is good: {checked.total:,} rows, {len(checked.anomalies)} warnings")


def _load(
    connection: duckdb.DuckDBPyConnection,
    spec: DatasetSpec,
    files: list[SourceFile],
    previous: PreviousVersion | None,
) -> tuple[Schema, list[Anomaly]]:
    """Fill table `data` with typed columns; missing columns and cells of another type end the check at once."""
    with sql.preserve_order(connection):
        form = TableForm(spec.format, spec.csv, frozenset(spec.ignore))
        stated = source.load_source(connection, files, form)
    found = anomalies.find_missing_columns(spec, list(stated), previous)
    anomalies.fail_on_errors(found, spec)
    inferred = types.infer_types(connection, [name for name, kind in stated.items() if kind is None], spec.csv)
    inferred = {name: kind or inferred[name] for name, kind in stated.items()}
    if _is_whole_target(connection, spec, stated, inferred):
        inferred[spec.target or ""] = "Integer"
    columns = settle_columns(spec, inferred, previous)
    times = settle_timestamp_features(spec, columns, previous)
    schema = Schema(columns, spec.target, spec.keys, spec.event_time, Split(), times)
    anomalies.fail_on_errors(anomalies.find_unparsable_times(connection, schema, spec.csv), spec)
    found += near_misses.find_unmatched_ignores(form, list(stated))
    found += anomalies.find_extra_columns(spec, list(stated), previous)
    found += anomalies.find_type_mismatches(connection, schema, stated, inferred, spec.csv)
    found += near_misses.find_near_misses(connection, schema, stated, spec)
    found += near_misses.find_huge_integers(connection, schema, stated)
    found += near_misses.find_inexact_keys(connection, schema, spec.split.group)
    anomalies.fail_on_errors(found, spec)
    values = ", ".join(
        f"{types.typed_value(c.name, stated[c.name], c.type, proven=inferred[c.name] == c.type, form=spec.csv)} AS {sql.quote_column(c.name)}"
        for c in schema.columns
    )
    with sql.preserve_order(connection):
        connection.execute(f"CREATE TABLE data AS SELECT {values} FROM raw")
    connection.execute("DROP TABLE raw")
    named = ", ".join(f"{sql.quote_column(c.name)} AS {sql.quote_identifier(c.name)}" for c in schema.columns)
    connection.execute(f"CREATE SCHEMA {CHECKS}; CREATE VIEW {CHECKS}.data AS SELECT {named} FROM main.data")
    found += anomalies.find_column_anomalies(connection, schema, previous)
    return schema, found + anomalies.find_duplicate_keys(connection, schema)


def _is_whole_target(
    connection: duckdb.DuckDBPyConnection,
    spec: DatasetSpec,
    stated: Mapping[str, str | None],
    inferred: Mapping[str, str],
) -> bool:
    """Whether the target was written as 0.0 and 1.0 and its type is open; the last good version's type goes before."""
    name = spec.target
    if name is None or inferred.get(name) != "Float" or any(c.name == name and c.type for c in spec.columns):
        return False
    return is_whole_target(connection, types.typed_value(name, stated[name], "Float", form=spec.csv))


def _run_sql(folder: Path, spec: DatasetSpec) -> list[Anomaly]:
    """The user's own checks: SQL whose rows violate. It can read the table `data` and nothing else."""
    if not spec.checks:
        return []
    with sql.connect(folder, read_only=True, schema=CHECKS) as connection:
        return [finding for check in spec.checks for finding in _run_check(connection, check, spec)]


def _run_check(connection: duckdb.DuckDBPyConnection, check: SqlCheck, spec: DatasetSpec) -> list[Anomaly]:
    try:
        violating = sql.single_select(connection, check.sql)
        count = sql.count_rows(connection, f"(\n{violating}\n) AS violating")
        if not count:
            return []
        rows = connection.execute(
            f"SELECT * FROM (\n{violating}\n) AS violating LIMIT {anomalies.MAX_EXAMPLES}"
        ).fetchall()
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, ValueError) as error:
        raise _invalid(check.name, sql.describe_error(error, show_values=spec.show_values)) from error
    examples = tuple(str(tuple(str(value) for value in row[:8]))[:160] for row in rows)
    message = f"Check '{check.name}' found {count:,} violating rows{anomalies.VALUES}."
    return [Anomaly("CheckFailed", check.severity, None, message, count, examples, f", such as {examples[0]}")]


def _invalid(name: str, finding: str) -> Failure:
    message = f"The SQL of check '{name}' cannot run: {finding}; it must be one SELECT of the violating rows from the table data."
    return Failure("CheckInvalid", message)


def _resolve_target(
    connection: duckdb.DuckDBPyConnection, spec: DatasetSpec, schema: Schema, previous: PreviousVersion | None
) -> tuple[Schema, Target | None, list[Anomaly]]:
    target, found = None, []
    if spec.target is not None:
        kind, task = schema.type_of(spec.target), previous.task_of(spec.target) if previous else None
        target = describe_target(connection, spec.target, kind, task)
        found = find_leaks(connection, schema, target)
        if previous is not None and task == target.task:
            found += compare_classes(target, previous)
        if target.missing:
            message = f"{target.missing:,} rows have no '{spec.target}' and are left out of the splits."
            found.insert(0, Anomaly("TargetNull", "Warning", spec.target, message, target.missing))
    chosen = resolve_split(spec, target.task if target else None)
    return replace(schema, split=chosen), target, found
