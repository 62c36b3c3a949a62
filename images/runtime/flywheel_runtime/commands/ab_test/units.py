"""The outcome of each unit of an A/B test: the mean over its rows, since rows of one user are no independent observations.

A unit counts once its outcome cannot change any more. Its rows are those of the time of `label_delay_seconds` from its first row on, and labels
count that came within `label_delay_seconds` of their row; so it counts from twice that time after its first row on, when the log has been
written. A unit without a label is left out and counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb
import numpy as np

from flywheel_runtime.commands.ab_test.config import ABTestConfig
from flywheel_runtime.monitoring.labels.label_matching import MICROSECONDS
from flywheel_runtime.monitoring.labels.losses import raw_losses
from flywheel_runtime.monitoring.labels.window_rows import (
    number_classes,
    scored_rows,
    select_probabilities,
    value_columns,
    window_tables,
)
from flywheel_runtime.statistics.metrics import Array, ScoredRows

LABEL = "label"  # the metric that takes the label itself as the outcome
ARMS = ("Champion", "Challenger")
LOG_SECONDS = 90  # until rows and labels are in the store: servers write those of a minute, and may have to try again
NUMBER_OF_LABEL = "coalesce(TRY_CAST(lowest AS DOUBLE), CASE lower(lowest) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END)"


@dataclass(frozen=True)
class ArmCounts:
    """The units that one arm has in the log, those of them that are `mature`, and those of these that are `labelled` and have an outcome.

    `answered_otherwise` of its `rows` had their answer from the other version.
    """

    units: int
    mature: int
    labelled: int
    rows: int
    answered_otherwise: int


@dataclass(frozen=True)
class TestOutcomes:
    """Outcomes (units,) from 0 (worst) to 1 in the order of the units' first rows, which of them are the challenger's, and the counts of both arms.

    And what was left out: rows without a unit, labels that are no outcome, and outcomes beyond the range, which count as its bound.
    """

    __test__ = False  # pytest: no tests in here

    outcomes: Array
    is_challenger: Array
    champion: ArmCounts
    challenger: ArmCounts
    unassigned: int = 0
    invalid: int = 0
    drawn: int = 0
    clipped: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


def create_units(connection: duckdb.DuckDBPyConnection, config: ABTestConfig) -> None:
    """Creates `units` (unit, arm, first, is_mature, and their place in the order of first), and `unit_rows` with their rows, from the table `logged` of one test."""
    delay, until = config.label_delay_seconds * MICROSECONDS, int(config.until.timestamp() * MICROSECONDS)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE units AS SELECT *, row_number() OVER (ORDER BY first, unit) - 1 AS place FROM ("
        "SELECT unit, min(arm) AS arm, min(time) AS first, "
        "min(time) + 2 * $1 + $4 <= $2 AS is_mature FROM logged WHERE test = $3 AND unit IS NOT NULL AND arm IN ('Champion', 'Challenger') AND time < $2 GROUP BY unit)",
        [delay, until, config.test, LOG_SECONDS * MICROSECONDS],
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE unit_rows AS SELECT logged.rowid AS number, place FROM logged "
        "JOIN (SELECT unit, place, first FROM units WHERE is_mature) AS mature USING (unit) "
        "WHERE test = $1 AND time < first + $2",
        [config.test, delay],
    )


def read_outcomes(
    connection: duckdb.DuckDBPyConnection,
    config: ABTestConfig,
    classes: Mapping[str, tuple[str, ...]],
    refused: Mapping[str, int],
) -> TestOutcomes:
    """The outcomes of the mature units, from the tables of `create_units` and the view `admitted`. `classes` are those of each version."""
    invalid = drawn = clipped = 0
    units: list[Array] = []
    values: list[Array] = []
    for version in (config.champion.version, config.challenger.version):
        rows = _version_rows(connection, config, version, classes[version])
        invalid, drawn = invalid + rows.invalid, drawn + rows.drawn
        scaled = _scale(config, rows.values, classes)
        clipped += int(((scaled < 0) | (scaled > 1)).sum())
        units.append(rows.units)
        values.append(np.clip(scaled, 0.0, 1.0))
    places, outcomes = _means(np.concatenate(units), np.concatenate(values))
    is_challenger = _assigned(connection)[places]
    [(unassigned,)] = connection.execute(
        "SELECT count(*) FROM logged WHERE test = $1 AND unit IS NULL", [config.test]
    ).fetchall()
    labelled = len(places) - int(is_challenger.sum()), int(is_challenger.sum())
    arms = [_count_arm(connection, config, *each) for each in zip(ARMS, labelled, strict=True)]
    return TestOutcomes(outcomes, is_challenger, arms[0], arms[1], int(unassigned), invalid, drawn, clipped, refused)


@dataclass(frozen=True)
class _VersionRows:
    """The rows that one version answered: the number of the unit (rows,), and the loss or reward (rows,) in its own unit."""

    units: Array
    values: Array
    invalid: int
    drawn: int


def _version_rows(
    connection: duckdb.DuckDBPyConnection, config: ABTestConfig, version: str, classes: tuple[str, ...]
) -> _VersionRows:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE window_rows AS SELECT logged.rowid AS number, unit_rows.place, logged.predicted, "
        "logged.probabilities, admitted.label AS lowest, admitted.probability IS NOT NULL AS is_drawn "
        "FROM logged JOIN unit_rows ON unit_rows.number = logged.rowid "
        "JOIN admitted ON admitted.number = logged.rowid WHERE logged.version = $1",
        [version],
    )
    [(rows, drawn)] = connection.execute("SELECT count(*), count(*) FILTER (is_drawn) FROM window_rows").fetchall()
    if config.metric == LABEL:
        usable = f"NOT is_drawn AND isfinite({NUMBER_OF_LABEL})"
        found = connection.execute(
            f"SELECT place, {NUMBER_OF_LABEL} AS value FROM window_rows WHERE {usable} ORDER BY number"
        ).fetchnumpy()
        units, values = np.asarray(found["place"], np.int64), np.asarray(found["value"], np.float64)
    else:
        units, scored = _score(connection, classes)
        values = raw_losses(config.metric, scored)
    return _VersionRows(units, values, int(rows - drawn - len(units)), int(drawn))


def _score(connection: duckdb.DuckDBPyConnection, classes: tuple[str, ...]) -> tuple[Array, ScoredRows]:
    """The number of the unit (rows,), and the rows with their true and their predicted target."""
    number_classes(connection, classes)
    truth, predicted, answered = value_columns(classes)
    columns = ", ".join(["place", f"{truth} AS truth", f"{predicted} AS predicted", *select_probabilities(classes)])
    found = connection.execute(
        f"SELECT {columns} FROM {window_tables(classes)} "
        f"WHERE NOT is_drawn AND {truth} IS NOT NULL AND {answered} ORDER BY window_rows.number"
    ).fetchnumpy()
    return np.asarray(found["place"], np.int64), scored_rows(found, classes)


def _scale(config: ABTestConfig, values: Array, classes: Mapping[str, tuple[str, ...]]) -> Array:
    """Outcomes (rows,) from 0, the worst of the range, to 1; beyond where the value is."""
    low, high = outcome_bounds(config, classes)
    share = (values - low) / (high - low)
    return share if config.metric == LABEL else 1 - share


def outcome_bounds(config: ABTestConfig, classes: Mapping[str, tuple[str, ...]]) -> tuple[float, float]:
    """Where outcomes lie, in the unit of the metric. The Brier score of more than two classes is at most 2."""
    if config.range is not None:
        return config.range.min, config.range.max
    return 0.0, 2.0 if config.metric == "brier" and any(len(each) > 2 for each in classes.values()) else 1.0


def _means(units: Array, values: Array) -> tuple[Array, Array]:
    """The places of the units that have rows, in ascending order, and the means of their values."""
    places, numbers = np.unique(units, return_inverse=True)
    sums = np.bincount(numbers, weights=values, minlength=len(places))
    return places, sums / np.bincount(numbers, minlength=len(places))


def _assigned(connection: duckdb.DuckDBPyConnection) -> Array:
    """Which of all units (units,) are the challenger's, by their place."""
    found = connection.execute("SELECT arm = $1 AS assigned FROM units ORDER BY place", [ARMS[1]]).fetchnumpy()
    return np.asarray(found["assigned"], np.bool_)


def _count_arm(connection: duckdb.DuckDBPyConnection, config: ABTestConfig, arm: str, labelled: int) -> ArmCounts:
    [(units, mature)] = connection.execute(
        "SELECT count(*), count(*) FILTER (is_mature) FROM units WHERE arm = $1", [arm]
    ).fetchall()
    own = config.champion.version if arm == ARMS[0] else config.challenger.version
    [(rows, otherwise)] = connection.execute(
        "SELECT count(*), count(*) FILTER (version IS DISTINCT FROM $1) FROM logged WHERE test = $2 AND arm = $3",
        [own, config.test, arm],
    ).fetchall()
    return ArmCounts(int(units), int(mature), labelled, int(rows), int(otherwise))
