"""Who posted the labels, and how many rows of a window one source may decide by itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb

from flywheel_runtime.monitoring.labels.label_matching import ALWAYS, MICROSECONDS


@dataclass(frozen=True)
class SourceShare:
    """What one source brought for the rows in the windows.

    It labelled `rows`, of which it decided `alone` those that neither another source nor a trusted one labelled, or that are its own of several
    sources (find_row_sources). `largest` is the largest share of the labelled rows of one version in one window that it decided alone. `refused` counts rows by the reason why its label does not count.
    """

    source: str
    is_trusted: bool
    rows: int
    alone: int
    largest: float
    refused: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What the report says."""
        return {
            "source": self.source,
            "trusted": self.is_trusted,
            "rows": self.rows,
            "alone": self.alone,
            "largestShare": round(self.largest, 6),
            "refused": dict(self.refused),
        }


@dataclass(frozen=True)
class Flood:
    """A source that decided more rows of a version alone than its share: `refused` rows of the windows from `start` (seconds since 1970) on.

    `share` is the largest of one window, of the labelled rows before any was refused.
    """

    source: str
    version: str
    start: int
    share: float
    refused: int


def find_row_limit(alone: Collection[int], others: int, max_share: float) -> int:
    """How many rows one source may decide alone, in a window where sources decide so many `alone` and `others` are decided otherwise.

    It is the largest whole number c with c ≤ max_share * (others + sum of min(n, c) over `alone`), so that what is left has the share.
    """
    if max_share >= 1:
        return max(alone, default=0)
    low, high = 0, max(alone, default=0)
    while low < high:  # what may be is concave in c and at least 0 at 0, so that it holds up to one c
        middle = (low + high + 1) // 2
        if middle <= max_share * (others + sum(min(each, middle) for each in alone)):
            low = middle
        else:
            high = middle - 1
    return low


def place_rows(connection: duckdb.DuckDBPyConnection, starts: Sequence[int], window_seconds: int) -> None:
    """Creates `placed`: the `number` and `version` of each row of `logged` in the windows, and the `start` of its window."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE placed AS SELECT number, version, start FROM (SELECT rowid AS number, version, "
        "(time // $1 - $2) // $3 * $3 + $2 AS start FROM logged WHERE version IS NOT NULL) "
        "SEMI JOIN (SELECT unnest($4::BIGINT[]) AS start) USING (start)",
        [MICROSECONDS, min(starts, default=0), window_seconds, list(starts)],
    )


def find_row_sources(connection: duckdb.DuckDBPyConnection, max_seconds: int) -> None:
    """Creates `row_sources`, with each source of a label that came in time for a row of `placed`, and `deciders`, with one row for each such row.

    A subject has a row for each of its sources, however often they posted. `owner` is the source whose share the row counts for: its only one, if
    that is not trusted. Where sources are trusted, others that agree are not told from one caller with several names: the first by name has the row.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE row_sources (number BIGINT, source VARCHAR)")
    for subject, chosen in ((("id", "row"), "id IS NOT NULL"), (("key",), "id IS NULL")):
        columns = ", ".join(subject)
        connection.execute(
            f"INSERT INTO row_sources SELECT placed.number, first_posts.source FROM placed JOIN logged ON logged.rowid = placed.number "
            f"JOIN (SELECT {columns}, source, min(coalesce(time, {ALWAYS})) AS first FROM posted WHERE {chosen} GROUP BY {columns}, source) "
            f"AS first_posts USING ({columns}) WHERE first_posts.first <= logged.time + $1",
            [max_seconds * MICROSECONDS],
        )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE deciders AS SELECT number, count(DISTINCT row_sources.source) AS sources, "
        "CASE WHEN NOT bool_or(trusted.source IS NOT NULL) AND (sources = 1 OR EXISTS (FROM trusted)) THEN min(row_sources.source) END AS owner "
        "FROM row_sources LEFT JOIN trusted USING (source) GROUP BY number"
    )


def refuse_excess(connection: duckdb.DuckDBPyConnection, max_share: float) -> tuple[list[Flood], dict[str, float]]:
    """Refuses the rows beyond what a source may decide alone; returns what was refused, and the largest share of a window by source.

    Which rows are left is drawn by the hash of their ids and keys, which says nothing of their labels.
    """
    found = connection.execute(
        "SELECT version, start, owner, count(*) "
        "FROM admitted JOIN placed USING (number) JOIN deciders USING (number) GROUP BY ALL"
    ).fetchall()
    windows: dict[tuple[str, int], dict[str | None, int]] = {}
    for version, start, source, rows in found:
        windows.setdefault((version, start), {})[source] = rows
    largest: dict[str, float] = {}
    limits: list[tuple[str, int, int]] = []
    floods: dict[tuple[str, str], Flood] = {}
    for (version, start), rows_of in sorted(windows.items()):
        alone = {source: rows for source, rows in rows_of.items() if source is not None}
        total = sum(rows_of.values())
        for source, rows in alone.items():
            largest[source] = max(largest.get(source, 0.0), rows / total)
        limit = find_row_limit(alone.values(), rows_of.get(None, 0), max_share)
        beyond = {source: rows for source, rows in alone.items() if rows > limit}
        limits += [(version, start, limit)] if beyond else []
        for source, rows in beyond.items():
            known = floods.get((source, version), Flood(source, version, start, 0.0, 0))
            share, refused = max(known.share, rows / total), known.refused + rows - limit
            floods[source, version] = replace(known, share=share, refused=refused)
    if limits:
        _refuse_beyond(connection, limits)
    return [floods[each] for each in sorted(floods)], largest


def _refuse_beyond(connection: duckdb.DuckDBPyConnection, limits: Sequence[tuple[str, int, int]]) -> None:
    """Refuses the rows of each source beyond the limit: (version, start of the window, rows)."""
    connection.execute(
        "INSERT INTO refused SELECT number, 'overShare' FROM (SELECT placed.number, most, row_number() OVER (PARTITION BY placed.version, "
        "placed.start, owner ORDER BY md5(concat_ws('/', id, row, key)), logged.time, id, row) AS place "
        "FROM admitted JOIN placed USING (number) JOIN deciders USING (number) JOIN logged ON logged.rowid = placed.number "
        "JOIN (SELECT unnest($1::VARCHAR[]) AS version, unnest($2::BIGINT[]) AS start, unnest($3::BIGINT[]) AS most) AS limits "
        "ON limits.version = placed.version AND limits.start = placed.start WHERE owner IS NOT NULL) WHERE place > most",
        [list(column) for column in zip(*limits, strict=True)],
    )


def describe_sources(connection: duckdb.DuckDBPyConnection, largest: Mapping[str, float]) -> list[SourceShare]:
    """What each source brought, in the order of the rows that it labelled."""
    totals = connection.execute(
        "SELECT row_sources.source, bool_or(trusted.source IS NOT NULL), count(DISTINCT number), "
        "count(DISTINCT number) FILTER (sources = 1 OR owner = row_sources.source) "
        "FROM row_sources JOIN deciders USING (number) LEFT JOIN trusted ON trusted.source = row_sources.source GROUP BY 1 ORDER BY 3 DESC, 1"
    ).fetchall()
    refused: dict[str, dict[str, int]] = {}
    for source, reason, rows in connection.execute(
        "SELECT source, reason, count(DISTINCT number) FROM refused JOIN row_sources USING (number) GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        refused.setdefault(source, {})[reason] = rows
    return [
        SourceShare(source, is_trusted, rows, alone, largest.get(source, 0.0), refused.get(source, {}))
        for source, is_trusted, rows, alone in totals
    ]
