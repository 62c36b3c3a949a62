"""The match of logged rows with posted labels: what the labels of each row say, whatever the order of their files.

A label belongs to a row by the id of the response and the row's index, or by the row's key. It was drawn with the largest of its
probabilities, which is that of rows that are drawn again with a larger number (flywheel/client/labels/label_sampling.py). Nothing tells
such a draw from a second post that takes weight away, as one with another label takes the row away: both are counted. A label is too late
if it arrived more than `max_seconds` after the prediction: then its window is frozen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

MICROSECONDS = 1_000_000
ALWAYS = -(2**62)  # microseconds: the time of labels that have none, since they are never too late
LABEL_TOTALS = (
    "count(*){0} AS labels, min(label){0} AS lowest, max(label){0} AS highest, max(probability){0} AS probability, "
    "min(probability){0} AS least, count(*) FILTER (WHERE probability IS NULL AND label IS NOT NULL){0} AS undrawn"
)


@dataclass(frozen=True)
class Delay:
    """How long after a prediction its label is expected, and until when it counts."""

    min_seconds: int = 0
    max_seconds: int = 7 * 86_400


def match_labels(connection: duckdb.DuckDBPyConnection, max_seconds: int, posted: str, table: str) -> None:
    """Creates `table` from the table `posted` or a part of it: for each row of `logged` that has a label there, what its labels say.

    The columns are `number` (of the row), `labels` in time, `too_late`, `lowest` and `highest` label, the largest and the least `probability`,
    and how many labels came `undrawn`.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} (number BIGINT, labels BIGINT, too_late BIGINT, lowest VARCHAR, highest VARCHAR, "
        "probability DOUBLE, least DOUBLE, undrawn BIGINT, is_settled BOOLEAN)"
    )
    by_id, by_key = connection.execute(f"SELECT count(id), count(*) - count(id) FROM {posted}").fetchall()[0]
    if by_id:
        _match_by(connection, ("id", "row"), f"{posted} WHERE id IS NOT NULL", max_seconds, table)
    if by_key:
        _match_by(connection, ("key",), f"{posted} WHERE id IS NULL", max_seconds, table)
    if by_id and by_key:  # else each row is there once
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT number, sum(labels) AS labels, sum(too_late) AS too_late, "
            "max(probability) AS probability, min(least) AS least, sum(undrawn) AS undrawn, "
            f"min(lowest) AS lowest, max(highest) AS highest, true AS is_settled FROM {table} GROUP BY number"
        )


def _match_by(
    connection: duckdb.DuckDBPyConnection, subject: Sequence[str], posted: str, max_seconds: int, table: str
) -> None:
    """Adds to `table`, for each logged row, the labels of its `subject`: how many came in time and too late, and the bounds of those in time.

    Most rows have all labels of their subject in time. Each other row takes the running totals of its subject at the end of its delay, so
    that there is never a row for each pair of row and label, and a subject that many rows and labels share costs no more than others.
    """
    columns, time = ", ".join(subject), f"coalesce(time, {ALWAYS})"
    end = f"logged.time + {max_seconds * MICROSECONDS}"
    totals, running = (
        " AND ".join(f"logged.{each} = {other}.{each}" for each in subject) for other in ("totals", "running")
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE totals AS SELECT {columns}, min({time}) AS first, max({time}) AS last, {LABEL_TOTALS.format('')} "
        f"FROM {posted} GROUP BY {columns}"
    )
    connection.execute(
        f"INSERT INTO {table} SELECT logged.rowid, totals.labels, 0, lowest, highest, probability, least, undrawn, {end} >= totals.last "
        f"FROM logged JOIN totals ON {totals}"
    )
    [(unsettled,)] = connection.execute(f"SELECT count(*) FROM {table} WHERE NOT is_settled").fetchall()
    if unsettled:
        connection.execute(f"DELETE FROM {table} WHERE NOT is_settled")
        arrived = (
            f"SELECT DISTINCT {columns}, {time} AS time, {LABEL_TOTALS.format(' OVER so_far')} "
            f"FROM (FROM {posted}) SEMI JOIN (FROM totals WHERE first < last) USING ({columns}) "
            f"WINDOW so_far AS (PARTITION BY {columns} ORDER BY {time})"
        )
        connection.execute(
            f"INSERT INTO {table} SELECT logged.rowid, coalesce(running.labels, 0), totals.labels - coalesce(running.labels, 0), "
            "running.lowest, running.highest, running.probability, running.least, running.undrawn, true "
            f"FROM logged JOIN totals ON {totals} AND {end} < totals.last "
            f"ASOF LEFT JOIN ({arrived}) AS running ON {running} AND {end} >= running.time"
        )
    connection.execute("DROP TABLE totals")
