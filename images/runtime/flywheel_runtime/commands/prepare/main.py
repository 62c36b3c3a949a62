"""The step `prepare`: one SELECT over data sets makes a data set (images/README.md, "prepare")."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import duckdb
from pydantic import Field, field_validator

from flywheel_runtime.commands.prepare.added_columns import find_added_columns
from flywheel_runtime.commands.prepare.feature_sets import add_features
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line, step_command
from flywheel_runtime.datasets import anomalies, sql, version
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.preparation import inherited_schema, query, split_rows
from flywheel_runtime.datasets.preparation.bound_query import BoundQuery, bind_parameters
from flywheel_runtime.datasets.schema import Schema
from flywheel_runtime.datasets.split import assign_splits
from flywheel_runtime.datasets.target import describe_target, find_leaks
from flywheel_runtime.datasets.version import Version
from flywheel_runtime.features.feature_sets.feature_inputs import FeatureSetInput
from flywheel_runtime.params import Params


class PrepareConfig(Params):
    """The configuration in params.json; `sample` is the fraction of the rows to use, None for all.

    `feature_sets` are those whose features become further columns of the result.
    """

    tables: tuple[str, ...] = Field(min_length=1)
    sql: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    run: dict[str, str] = Field(default_factory=dict)
    sample: float | None = Field(None, gt=0, le=1)
    seed: int = 0
    feature_sets: tuple[FeatureSetInput, ...] = ()

    @field_validator("tables")
    @classmethod
    def check_names(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(tables)) < len(tables):
            raise ValueError("a table is named twice")
        return tables


@step_command
def main(step: Step) -> None:
    """Run the SQL over the inputs and write output `data`; exits with 0 when data was written, 2 when the SQL or its tables must change, 1 when memory might do."""
    config = PrepareConfig.parse(step.params)
    log_line(f"prepare of {', '.join(config.tables)} started")
    inputs = [query.read_table(name, step.input(name)) for name in config.tables]
    bound = bind_parameters(_sql(config), config.parameters, config.run)
    with sql.scratch_folder() as folder, sql.translate_resource_errors():
        found = query.run_query(folder, inputs, bound, config.seed)
        with sql.connect(folder) as connection:
            joined, left_out = add_features(step, connection, config.feature_sets, inputs[0].schema.get("target"))
            if config.feature_sets:
                joined.write(step.output("data"))
            prepared = _describe_result(connection, inputs[0], config, bound, [*found, *left_out], joined.looked_up)
            anomalies.log_anomalies(prepared.anomalies)
            read = [name for each in config.feature_sets for name in each.tables.values()]
            tables = [*inputs, *(query.read_table(name, step.input(name)) for name in read)]
            show_values = all(table.schema.get("showValues") for table in tables)
            version.write_version(step, connection, prepared, show_values=show_values)
    log_line(f"prepared {prepared.total:,} rows, {len(prepared.anomalies)} warnings")


def _sql(config: PrepareConfig) -> str:
    if config.sql is not None:
        return config.sql
    if len(config.tables) > 1:
        listed = ", ".join(f"'{name}'" for name in config.tables)
        raise Failure("SqlInvalid", f"This step has the tables {listed} and no SQL that joins them; write prepare.sql.")
    return f"SELECT * FROM {sql.quote_identifier(config.tables[0])}"


def _describe_result(
    connection: duckdb.DuckDBPyConnection,
    first: query.Table,
    config: PrepareConfig,
    bound: BoundQuery,
    of_rows: list[Anomaly],
    looked_up: Collection[str],
) -> Version:
    """Fill the tables `data` and `splits` from the result; the version has warnings of the SQL first, then those of its values."""
    schema, carries, lost = inherited_schema.inherit_schema(connection, first)
    found = [*_volatile_warnings(bound), *of_rows, *lost]
    inherited_schema.fill_data(connection, schema, carries)
    found += _warnings(connection, schema, first)
    target = None
    if schema.target is not None:
        task = first.schema["task"] if first.schema["target"] == schema.target else None
        target = describe_target(connection, schema.target, schema.type_of(schema.target), task)
        found += find_leaks(connection, schema, target)
    if carries:
        rows = split_rows.carry_splits(connection, schema, first)
    else:
        division = assign_splits(connection, schema)
        rows = division.rows
        found += division.anomalies
    added = [column.name for column in schema.features if column.name not in looked_up]
    found += find_added_columns(bound.sql, first, added)
    if config.sample is not None:
        rows = split_rows.sample_rows(connection, schema, target, config.sample, config.seed)
    return Version(schema, target, rows, found)


def _volatile_warnings(bound: BoundQuery) -> list[Anomaly]:
    message = "The SQL calls {}, which differs in every run; use $(run.date), or REPEATABLE (7) with a sample."
    return [Anomaly("NotRepeatable", "Warning", None, message.format(each)) for each in bound.volatile]


def _warnings(connection: duckdb.DuckDBPyConnection, schema: Schema, first: query.Table) -> list[Anomaly]:
    """The errors of a check are warnings of a prepare: the SQL may intend them."""
    found = anomalies.find_column_anomalies(connection, schema, None)
    if set(schema.keys) == set(first.schema["keys"]):
        found += anomalies.find_duplicate_keys(connection, schema)
    return [replace(anomaly, severity="Warning") for anomaly in found]
