"""The rows of one version in one window, as arrays: classes and groups are numbered in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np

from flywheel_runtime.datasets.sql import quote_literal
from flywheel_runtime.monitoring.labels.label_matching import MICROSECONDS
from flywheel_runtime.monitoring.labels.label_sample import LabelSample
from flywheel_runtime.monitoring.labels.sources import MISSING_GROUP
from flywheel_runtime.statistics.metrics import Array, ScoredRows

MAX_VALUE = 1e37  # of a true or predicted value, as of a feature: squares of its errors have a sum
MAX_LABEL_TEXTS = 10_000  # distinct ones that are read as classes; more are no classes
MAX_GROUPS = 50  # of a column, those with the most rows
OTHER_GROUP = "(other)"
NO_NUMBER = "(no number)"

Groups = dict[str, tuple[list[str], Array]]
"""For each column the names of its groups, and the number of the group of each row (rows,)."""


@dataclass(frozen=True)
class LoggedVersion:
    """How the logged rows of a version are read.

    `classes` are in the order of its probabilities; none where a value is predicted. `edges` are those between the groups of columns of
    numbers; other columns have a group for each value.
    """

    classes: Sequence[str] = ()
    edges: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class AnsweredRows:
    """All rows of one version in one window that have an answer, labelled or not, in the order of time and id; `logged` is how many rows there are."""

    start: int  # seconds since 1970
    version: str
    logged: int
    predicted: Array  # (rows,): class numbers, or values
    groups: Groups


def read_answered_rows(
    connection: duckdb.DuckDBPyConnection,
    versions: Mapping[str, LoggedVersion],
    starts: Sequence[int],
    window_seconds: int,
    group_columns: Sequence[str],
) -> list[AnsweredRows]:
    """The rows of the table `logged` (sources.py) in the windows that begin at `starts`, those without a row left out."""
    found = []
    for start in starts:
        for name, version in sorted(versions.items()):
            selected, parameters = select_window(version, name, start, window_seconds, group_columns)
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE window_rows AS SELECT *, NULL::VARCHAR AS lowest, NULL::DOUBLE AS probability, 1 AS undrawn FROM ({selected})",
                parameters,
            )
            number_classes(connection, version.classes)
            _, predicted, answered = value_columns(version.classes)
            [(logged,)] = connection.execute("SELECT count(*) FROM window_rows").fetchall()
            scored, groups, _ = fetch_rows(
                connection, window_tables(version.classes), answered, "0", predicted, version.classes, group_columns
            )
            if logged:
                found.append(AnsweredRows(start, name, int(logged), scored.predicted, groups))
    return found


def select_window(
    version: LoggedVersion, name: str, start: int, window_seconds: int, group_columns: Sequence[str]
) -> tuple[str, list[Any]]:
    """SQL for the rows of `logged` of one version in one window with their `number`, and its parameters; groups of numbers have the names of ranges."""
    expressions = [
        f"{_name_range(f'group_{index}', version.edges[column])} AS group_{index}"
        for index, column in enumerate(group_columns)
        if version.edges.get(column)
    ]
    replaced = f" REPLACE ({', '.join(expressions)})" if expressions else ""
    query = f"SELECT logged.* EXCLUDE (key){replaced}, rowid AS number FROM logged WHERE version = $1 AND time >= $2 AND time < $3"
    return query, [name, start * MICROSECONDS, (start + window_seconds) * MICROSECONDS]


def _name_range(text: str, edges: Sequence[float]) -> str:
    """SQL for the range that has the number in a column of texts."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    names = [f"< {edges[0]:.4g}", *(f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)), f"≥ {edges[-1]:.4g}"]
    cases = [f"WHEN {number} < {edge!r} THEN {quote_literal(name)}" for edge, name in zip(edges, names, strict=False)]
    missing = quote_literal(MISSING_GROUP)
    # DuckDB holds NaN for greater than every number.
    return (
        f"CASE WHEN {text} = {missing} OR isnan({number}) THEN {missing} WHEN {number} IS NULL THEN {quote_literal(NO_NUMBER)} "
        f"{' '.join(cases)} ELSE {quote_literal(names[-1])} END"
    )


def window_tables(classes: Sequence[str]) -> str:
    """SQL for what follows FROM: the window's rows with the numbers of their classes."""
    joins = (
        " LEFT JOIN class_numbers AS true_class ON true_class.text = lowest LEFT JOIN class_numbers AS predicted_class ON predicted_class.text = predicted"
        if classes
        else ""
    )
    return "window_rows" + joins


def value_columns(classes: Sequence[str]) -> tuple[str, str, str]:
    """SQL for the true value, the predicted one, and whether the row has an answer that can be compared."""
    if not classes:
        value = "TRY_CAST(lowest AS DOUBLE)"
        truth = f"CASE WHEN abs({value}) <= {MAX_VALUE} THEN {value} END"
        predicted = "TRY_CAST(predicted AS DOUBLE)"
        return truth, predicted, f"coalesce(abs({predicted}) <= {MAX_VALUE}, false)"
    known = f"coalesce(len(probabilities) = {len(classes)} AND list_bool_and(list_transform(probabilities, lambda p: isfinite(p))), false)"
    best = "list_position(probabilities, list_max(probabilities)) - 1"
    return "true_class.number", f"coalesce(predicted_class.number, {best}, {len(classes)})", known


def number_classes(connection: duckdb.DuckDBPyConnection, classes: Sequence[str]) -> None:
    """Creates `class_numbers`: the class of each text among the window's labels and predictions."""
    connection.execute("CREATE OR REPLACE TEMP TABLE class_numbers (text VARCHAR, number INTEGER)")
    if not classes:
        return
    texts = connection.execute(
        "SELECT lowest FROM window_rows WHERE lowest IS NOT NULL UNION SELECT predicted FROM window_rows WHERE predicted IS NOT NULL "
        f"ORDER BY 1 LIMIT {MAX_LABEL_TEXTS}"
    ).fetchall()
    numbers = [(text, number) for (text,) in texts if (number := find_class(text, classes)) is not None]
    connection.execute(
        "INSERT INTO class_numbers SELECT unnest($1::VARCHAR[]), unnest($2::INTEGER[])",
        [[text for text, _ in numbers], [number for _, number in numbers]],
    )


def find_class(text: str, classes: Sequence[str]) -> int | None:
    """The number of the class that a text names: its name, an equal number, or true and false for 1 and 0. None if it names none."""
    if text in classes:
        return list(classes).index(text)
    number = _as_number(text)
    return None if number is None else next((at for at, name in enumerate(classes) if _as_number(name) == number), None)


def _as_number(text: str) -> float | None:
    truth = {"true": 1.0, "false": 0.0}.get(text.strip().lower())
    if truth is not None:
        return truth
    try:
        return float(text)
    except ValueError:
        return None


def fetch_rows(
    connection: duckdb.DuckDBPyConnection,
    tables: str,
    compared: str,
    truth: str,
    predicted: str,
    classes: Sequence[str],
    group_columns: Sequence[str],
) -> tuple[ScoredRows, Groups, LabelSample]:
    """The compared rows as arrays. Text is numbered in the database: a million Python texts take longer than the join."""
    names = [_group_names(connection, index) for index in range(len(group_columns))]
    selected = [f"{truth} AS truth", f"{predicted} AS predicted", "probability AS chance", "undrawn > 0 AS undrawn"]
    selected += select_probabilities(classes)
    parameters: list[Any] = []
    for index, known in enumerate(names):
        parameters.append(known)
        selected.append(
            f"coalesce(list_position(${index + 1}::VARCHAR[], group_{index}), {len(known) + 1}) - 1 AS group_{index}"
        )
    found = connection.execute(
        f"SELECT {', '.join(selected)} FROM {tables} WHERE {compared} ORDER BY time, id, row", parameters
    ).fetchnumpy()
    groups = {
        column: ([*known, OTHER_GROUP], np.asarray(found[f"group_{index}"], np.int32))
        for index, (column, known) in enumerate(zip(group_columns, names, strict=True))
    }
    return scored_rows(found, classes), groups, LabelSample.from_columns(found["chance"], found["undrawn"])


def select_probabilities(classes: Sequence[str]) -> list[str]:
    """SQL for the columns of probabilities that `scored_rows` reads."""
    return [f"probabilities[{index + 1}] AS probability_{index}" for index in range(len(classes))]


def scored_rows(found: Mapping[str, Any], classes: Sequence[str]) -> ScoredRows:
    """The rows of a query with the columns `truth`, `predicted` (value_columns) and those of `select_probabilities`."""
    kind = np.int64 if classes else np.float64
    probabilities = [np.asarray(found[f"probability_{index}"], np.float64) for index in range(len(classes))]
    return ScoredRows(
        np.asarray(found["truth"], kind),
        np.asarray(found["predicted"], kind),
        np.stack(probabilities, axis=1) if classes else np.empty((len(found["truth"]), 0)),
    )


def _group_names(connection: duckdb.DuckDBPyConnection, index: int) -> list[str]:
    """The groups with the most rows of the window, in the order of their names."""
    found = connection.execute(
        f"SELECT group_{index}, count(*) FROM window_rows GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_GROUPS}"
    ).fetchall()
    return sorted(str(row[0]) for row in found)
