"""The join of logged rows with labels: a pure function of immutable files, with the same bytes whatever their order.

A label belongs to a row by the id of the response and the row's index, or by the row's key. A row has a label if all that were posted for it
in time agree; of the others it is counted why not. It was drawn with the largest of their probabilities, which is that of rows that are
drawn again with a larger number (flywheel/client/labels/label_sampling.py). Nothing tells such a draw from a second post that takes weight
away, as one with another label takes the row away: both are counted. A label is too late if it arrived more than `max_seconds` after the
prediction: then its window is frozen. A window is first read `min_seconds` after its end, reopens with every run, and is tested once, when it is frozen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import duckdb
import numpy as np

from flywheel_runtime.monitoring.labels.label_sample import NOT_DRAWN, LabelSample
from flywheel_runtime.monitoring.labels.window_rows import (
    MICROSECONDS,
    Groups,
    LoggedVersion,
    fetch_rows,
    number_classes,
    select_window,
    value_columns,
    window_tables,
)
from flywheel_runtime.statistics.metrics import Array, ScoredRows

LABEL_TOTALS = (
    "count(*){0} AS labels, min(label){0} AS lowest, max(label){0} AS highest, max(probability){0} AS probability, "
    "min(probability){0} AS least, count(*) FILTER (WHERE probability IS NULL AND label IS NOT NULL){0} AS undrawn"
)
ALWAYS = -(2**62)  # microseconds: the time of labels that have none, since they are never too late


@dataclass(frozen=True)
class Delay:
    """How long after a prediction its label is expected, and until when it counts."""

    min_seconds: int = 0
    max_seconds: int = 7 * 86_400


@dataclass(frozen=True)
class LabelCounts:
    """What became of the logged rows of one version in one window, and of the labels for them.

    `labelled` rows are those that are compared. The others have no label, labels that contradict each other (`conflicts`), a label that
    is no class or number, or whose probability no draw has (`invalid`), an id that several rows have (`ambiguous`), or no output that could
    be compared (`unanswered`).
    `duplicates` are further equal labels of a row, `too_late` are labels that arrived after their window was frozen.
    `drawn` of the labelled rows were drawn to be labelled, with known probabilities: `redrawn` of these with several, of which the largest
    counts, and `capped` of these weigh less than their probability says.
    """

    rows: int
    labelled: int
    conflicts: int = 0
    invalid: int = 0
    ambiguous: int = 0
    unanswered: int = 0
    duplicates: int = 0
    too_late: int = 0
    drawn: int = 0
    redrawn: int = 0
    capped: int = 0

    @property
    def coverage(self) -> float:
        """The share of rows that are compared."""
        return self.labelled / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, Any]:
        """The counts by name, with the coverage."""
        found = asdict(self)
        return {**found, "tooLate": found.pop("too_late"), "coverage": round(self.coverage, 6)}


@dataclass(frozen=True)
class LabelledRows:
    """The labelled rows of one version in one window, in the order of time and id.

    `groups` has for each column the names of its groups, and the number of the group of each row (rows,). `weights` (rows,) make up for
    draws of rows to be labelled; None where no row was drawn.
    """

    start: int  # seconds since 1970
    version: str
    counts: LabelCounts
    scored: ScoredRows
    groups: Groups
    sample: LabelSample = NOT_DRAWN

    @property
    def weights(self) -> Array | None:
        """The weights (rows,)."""
        return self.sample.weights

    def content(self) -> bytes:
        """All values, of which equal inputs give equal bytes."""
        arrays = [self.scored.y_true, self.scored.predicted, self.scored.probabilities]
        arrays += [numbers for _, numbers in self.groups.values()]
        arrays += [] if self.weights is None else [self.weights]
        names = repr((self.start, self.version, self.counts, [names for names, _ in self.groups.values()])).encode()
        return names + b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)


@dataclass(frozen=True)
class JoinedWindows:
    """The labelled rows by window and version. `unknown` labels name none of the rows that were read.

    `problem` is why there are none, as a sentence; empty where the labels could be read.
    """

    windows: Sequence[LabelledRows]
    labels: int
    unknown: int
    problem: str = ""


def join_labels(
    connection: duckdb.DuckDBPyConnection,
    versions: Mapping[str, LoggedVersion],
    starts: Sequence[int],
    window_seconds: int,
    delay: Delay,
    group_columns: Sequence[str] = (),
) -> JoinedWindows:
    """Joins the tables `logged` and `posted` (sources.py), for the windows that begin at `starts`.

    Rows of other versions and outside the windows are not compared, but labels of them are known.
    """
    connection.execute("SET preserve_insertion_order = false")  # rows are put in order where they are fetched
    _match(connection, delay)
    labels, known = connection.execute(
        "SELECT (SELECT count(*) FROM posted), (SELECT count(*) FROM posted SEMI JOIN logged USING (id, row)) "
        "+ (SELECT count(*) FROM (SELECT key FROM posted WHERE id IS NULL) SEMI JOIN logged USING (key))"
    ).fetchall()[0]
    windows = [
        _labelled_rows(connection, name, version, start, window_seconds, group_columns)
        for start in starts
        for name, version in sorted(versions.items())
    ]
    return JoinedWindows([each for each in windows if each.counts.rows], int(labels), int(labels - known))


def _match(connection: duckdb.DuckDBPyConnection, delay: Delay) -> None:
    """Creates `truths` (what the labels of a row say) and `ambiguous` rows."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE truths (number BIGINT, labels BIGINT, too_late BIGINT, lowest VARCHAR, highest VARCHAR, "
        "probability DOUBLE, least DOUBLE, undrawn BIGINT, is_settled BOOLEAN)"
    )
    by_id, by_key = connection.execute("SELECT count(id), count(*) - count(id) FROM posted").fetchall()[0]
    if by_id:
        _match_by(connection, ("id", "row"), "id IS NOT NULL", delay)
    if by_key:
        _match_by(connection, ("key",), "id IS NULL", delay)
    if by_id and by_key:  # else each row is there once
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE truths AS SELECT number, sum(labels) AS labels, sum(too_late) AS too_late, "
            "max(probability) AS probability, min(least) AS least, sum(undrawn) AS undrawn, "
            "min(lowest) AS lowest, max(highest) AS highest FROM truths GROUP BY number"
        )
    # A client that sends one id with several requests makes labels by that id say nothing.
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE ambiguous AS SELECT logged.rowid AS number FROM logged SEMI JOIN posted USING (id, row) "
        "SEMI JOIN (SELECT id, row FROM logged GROUP BY ALL HAVING count(*) > 1) USING (id, row)"
    )


def _match_by(connection: duckdb.DuckDBPyConnection, subject: Sequence[str], posted: str, delay: Delay) -> None:
    """Adds to `truths`, for each logged row, the labels of its `subject`: how many came in time and too late, and the bounds of those in time.

    Most rows have all labels of their subject in time. Each other row takes the running totals of its subject at the end of its delay, so
    that there is never a row for each pair of row and label, and a subject that many rows and labels share costs no more than others.
    """
    columns, time = ", ".join(subject), f"coalesce(time, {ALWAYS})"
    end = f"logged.time + {delay.max_seconds * MICROSECONDS}"
    totals, running = (
        " AND ".join(f"logged.{each} = {table}.{each}" for each in subject) for table in ("totals", "running")
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE totals AS SELECT {columns}, min({time}) AS first, max({time}) AS last, {LABEL_TOTALS.format('')} "
        f"FROM posted WHERE {posted} GROUP BY {columns}"
    )
    connection.execute(
        f"INSERT INTO truths SELECT logged.rowid, totals.labels, 0, lowest, highest, probability, least, undrawn, {end} >= totals.last "
        f"FROM logged JOIN totals ON {totals}"
    )
    [(unsettled,)] = connection.execute("SELECT count(*) FROM truths WHERE NOT is_settled").fetchall()
    if unsettled:
        connection.execute("DELETE FROM truths WHERE NOT is_settled")
        arrived = (
            f"SELECT DISTINCT {columns}, {time} AS time, {LABEL_TOTALS.format(' OVER so_far')} "
            f"FROM posted SEMI JOIN (FROM totals WHERE first < last) USING ({columns}) WHERE {posted} "
            f"WINDOW so_far AS (PARTITION BY {columns} ORDER BY {time})"
        )
        connection.execute(
            "INSERT INTO truths SELECT logged.rowid, coalesce(running.labels, 0), totals.labels - coalesce(running.labels, 0), "
            "running.lowest, running.highest, running.probability, running.least, running.undrawn, true "
            f"FROM logged JOIN totals ON {totals} AND {end} < totals.last "
            f"ASOF LEFT JOIN ({arrived}) AS running ON {running} AND {end} >= running.time"
        )
    connection.execute("DROP TABLE totals")


def _labelled_rows(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    version: LoggedVersion,
    start: int,
    window_seconds: int,
    group_columns: Sequence[str],
) -> LabelledRows:
    classes = version.classes
    selected, parameters = select_window(version, name, start, window_seconds, group_columns)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE window_rows AS SELECT selected.* EXCLUDE (version), coalesce(truths.labels, 0) AS labels, "
        "coalesce(truths.too_late, 0) AS too_late, truths.lowest, truths.highest, truths.probability, truths.least, coalesce(truths.undrawn, 0) AS undrawn, "
        "ambiguous.number IS NOT NULL AS is_ambiguous "
        f"FROM ({selected}) AS selected LEFT JOIN truths USING (number) LEFT JOIN ambiguous ON ambiguous.number = selected.number",
        parameters,
    )
    number_classes(connection, classes)
    usable = "labels > 0 AND lowest = highest AND NOT is_ambiguous"
    truth, predicted, answered = value_columns(classes)
    compared = f"{usable} AND {truth} IS NOT NULL AND {answered}"
    tables = window_tables(classes)
    counts = connection.execute(
        f"SELECT count(*), count(*) FILTER ({compared}), "
        "count(*) FILTER (lowest <> highest AND NOT is_ambiguous), "
        f"count(*) FILTER (labels > 0 AND NOT is_ambiguous AND (lowest IS NULL OR lowest = highest AND {truth} IS NULL)), "
        "count(*) FILTER (is_ambiguous), "
        f"count(*) FILTER ({usable} AND {truth} IS NOT NULL AND NOT ({answered})), "
        "coalesce(sum(labels - 1) FILTER (labels > 1 AND lowest = highest), 0), coalesce(sum(too_late), 0), "
        f"count(*) FILTER ({compared} AND probability IS NOT NULL), count(*) FILTER ({compared} AND least < probability) FROM {tables}"
    ).fetchall()[0]
    scored, groups, sample = fetch_rows(connection, tables, compared, truth, predicted, classes, group_columns)
    return LabelledRows(
        start, name, replace(LabelCounts(*map(int, counts)), capped=sample.capped), scored, groups, sample
    )
