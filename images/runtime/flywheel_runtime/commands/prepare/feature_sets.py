"""The features of FeatureSets as further columns of the result: what could be looked up at the time of each row."""

from collections.abc import Mapping
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.datasets.formats.parquet import UNTYPED, column_type
from flywheel_runtime.datasets.preparation.query import RESULT
from flywheel_runtime.datasets.sql import count_rows, describe_columns
from flywheel_runtime.features.feature_sets.definition import Definition, LookedUpSpec
from flywheel_runtime.features.feature_sets.feature_inputs import FeatureSetInput, read_source
from flywheel_runtime.features.feature_sets.joined_sets import JoinedSet, JoinedSets
from flywheel_runtime.features.feature_sets.point_in_time import join_features

INVALID = "FeatureSetInvalid"
CHECKED_AGAIN = "it is checked again by itself, and the next training takes the new definition."


def add_features(
    step: Step, connection: duckdb.DuckDBPyConnection, wanted: tuple[FeatureSetInput, ...], target: str | None
) -> tuple[JoinedSets, list[Anomaly]]:
    """Add the features to the table `#result`, whose column to be predicted is `target`, and return the sets, and a warning for rows that are left out."""
    joined: list[JoinedSet] = []
    found: list[Anomaly] = []
    for each in wanted:
        source = read_source(step.inputs, each, CHECKED_AGAIN)
        _check_columns(source.definition, describe_columns(connection, RESULT), target)
        left_out = join_features(connection, RESULT, source)
        if left_out:
            found.append(_left_out(source.definition, left_out))
        if not count_rows(connection, RESULT):
            raise _no_rows(source.definition)
        joined.append(JoinedSet(digest=each.digest, definition=source.definition))
        log_line(f"FeatureSet '{each.name}' adds {', '.join(source.definition.looked_up) or 'no column'}")
    return JoinedSets(feature_sets=tuple(joined)), found


def _check_columns(definition: Definition, stated: Mapping[str, str], target: str | None) -> None:
    """Raises Failure FeatureSetInvalid where the data lacks an input, has a column with the name of a feature, or predicts an input."""
    types = {name: "String" if kind in UNTYPED else column_type(name, kind) for name, kind in stated.items()}
    problems = [problem for each in definition.inputs if (problem := _input_problem(each.name, each.type, types))]
    if target in definition.input_types:
        problems.append(
            f"its input '{target}' is the column to be predicted, which no caller has; remove it from the inputs of the set"
        )
    for name in (*definition.looked_up, *definition.rowwise):
        if same := find_same(name, types):
            problems.append(f"the data has a column '{same}'; rename feature '{name}'")
    if problems:
        raise Failure(
            INVALID, f"FeatureSet '{definition.name}' does not fit the data of the training: {'; '.join(problems)}."
        )


def _input_problem(name: str, kind: str, types: Mapping[str, Any]) -> str | None:
    if name not in types:
        near = find_same(name, types)
        advice = f"rename its column '{near}'" if near else "select it, or remove it from the inputs of the set"
        return f"the data has no column '{name}', an input of type {kind}; {advice}"
    if types[name] != kind:
        return f"column '{name}' is {types[name]}, and the input {kind}; correct the type in one of them"
    return None


def _left_out(definition: Definition, rows: int) -> Anomaly:
    looked_up: list[LookedUpSpec] = [*definition.aggregates, *definition.lookups]
    refusing = [each.name for each in looked_up if each.missing == "Refuse"]
    message = f"{rows:,} rows are left out, since {', '.join(refusing)} of FeatureSet '{definition.name}' has no value for them, and serving refuses such requests (missing: Refuse)."
    return Anomaly("FeatureMissing", "Warning", None, message, rows)


def _no_rows(definition: Definition) -> Failure:
    message = f"FeatureSet '{definition.name}' has missing: Refuse, and no row of the data has all of its features; see that the Datasets have rows of the same keys before these times, or write missing: Null."
    return Failure("NoRows", message)
