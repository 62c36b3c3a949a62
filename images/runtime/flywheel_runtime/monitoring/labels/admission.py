"""Which posted labels count: the one place through which every label goes that a monitor, a gate or a rollout acts on.

A row has a label if all that were posted for it in time agree. Labels of trusted sources go before all others: where one is there, the
others say nothing, and the row is counted (`overruled`) where they differ. Between sources of one rank nobody wins: a row whose labels
differ has none (`conflicts`), so that a hostile source can take a row away, but never turn its label. One source that is not trusted decides
at most a share of the labelled rows of a version in a window by itself; the rows beyond have no label (`overShare`). Where sources are told
apart, the probability of a draw counts from trusted ones alone, since it is a weight that its poster names: rows that others say they drew
have no label (`untrustedDraw`). Numbers outside the range of a version's training are no label either (`outliers`).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import duckdb
import numpy as np

from flywheel_runtime.monitoring.labels.label_matching import Delay, match_labels
from flywheel_runtime.monitoring.labels.source_shares import (
    Flood,
    SourceShare,
    describe_sources,
    find_row_sources,
    place_rows,
    refuse_excess,
)

SERVICE_ACCOUNT = "system:serviceaccount:"
PSEUDONYM = re.compile("user-[0-9a-f]{16}")
MIN_NUMBERS = 30  # of test rows, from which a spread is taken
NORMAL_CONSISTENCY = 1.4826  # the standard deviation of a normal distribution in median absolute deviations


@dataclass(frozen=True)
class LabelPolicy:
    """Which labels count.

    `trusted_sources` are names as the labels' column `source` has them. `max_source_share` is the share of the labelled rows of a version in
    a window that one other source may decide by itself; 1 for no limit. `ranges` have the least and the largest number that is a label,
    by version; others have no limit.
    """

    delay: Delay = field(default_factory=Delay)
    trusted_sources: tuple[str, ...] = ()
    max_source_share: float = 1.0
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def tells_sources_apart(self) -> bool:
        """Whether some sources count for more than others."""
        return bool(self.trusted_sources) or self.max_source_share < 1


class LabelGuards(Protocol):
    """What a monitor's spec.groundTruth says of labels; with a `column` they are those of a Dataset."""

    @property
    def column(self) -> str | None: ...
    @property
    def trusted_sources(self) -> tuple[str, ...]: ...
    @property
    def max_source_share(self) -> float: ...
    @property
    def max_deviations(self) -> float | None: ...


def label_policy(
    guards: LabelGuards,
    delay: Delay,
    namespace: str,
    service: str,
    evaluations: Iterable[tuple[str, Mapping[str, Any]]],
) -> LabelPolicy:
    """The policy of these guards for the labels of a service. A Dataset's labels have one source, so that there is no share.

    `evaluations` are versions with their evaluation.json, which are read only where numbers are bounded.
    """
    trusted = tuple(name_source(each, namespace, service) for each in guards.trusted_sources)
    share = 1.0 if guards.column is not None else guards.max_source_share
    ranges: dict[str, tuple[float, float]] = {}
    if guards.max_deviations is not None:
        found = {version: find_range(evaluation, guards.max_deviations) for version, evaluation in evaluations}
        ranges = {version: bounds for version, bounds in found.items() if bounds is not None}
    return LabelPolicy(delay, trusted, share, ranges)


@dataclass(frozen=True)
class Admitted:
    """What became of the labels of the rows in the windows.

    `labels` rows have a label that counts. `refused` counts rows whose labels do not, by reason: ambiguous, conflicts, outliers, overShare,
    untrustedDraw.
    `overruled` of the rows that count had other labels beside that of a trusted source. `floods` are what sources brought beyond their share.
    """

    labels: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    overruled: int = 0
    sources: Sequence[SourceShare] = ()
    floods: Sequence[Flood] = ()


def admit_labels(
    connection: duckdb.DuckDBPyConnection, policy: LabelPolicy, starts: Sequence[int], window_seconds: int
) -> Admitted:
    """Decides for each row of the table `logged` in the windows that begin at `starts` (seconds since 1970) which label it has.

    Reads the tables `logged` and `posted` (sources.py). Creates the table `truths`, with what the labels of each row say; `refused`, with the
    `number` of each row whose labels do not count and the `reason`; and the view `admitted` of the rows whose label counts: `number` (that
    of the row, `logged.rowid`), `label` (text), `probability` (with which the row was drawn, null if it was not) and `undrawn` (how many labels
    came without a draw). All are pure functions of the files, whatever their order.
    """
    connection.execute("SET preserve_insertion_order = false")  # rows are put in order where they are fetched
    _match_by_rank(connection, policy)
    place_rows(connection, starts, window_seconds)
    _refuse_unclear(connection)
    _refuse_outliers(connection, policy.ranges)
    if policy.tells_sources_apart:
        _refuse_untrusted_draws(connection)
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW admitted AS SELECT truths.number, lowest AS label, probability, undrawn FROM truths "
        "SEMI JOIN placed USING (number) ANTI JOIN refused USING (number) WHERE labels > 0 AND lowest IS NOT NULL"
    )
    find_row_sources(connection, policy.delay.max_seconds)
    floods, largest = refuse_excess(connection, policy.max_source_share)
    refused = connection.execute(
        "SELECT reason, count(*) FROM refused SEMI JOIN placed USING (number) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    [(labels, overruled)] = connection.execute(
        "SELECT count(*), count(*) FILTER (is_overruled) FROM admitted JOIN truths USING (number)"
    ).fetchall()
    return Admitted(labels, dict(refused), overruled, describe_sources(connection, largest), floods)


def _match_by_rank(connection: duckdb.DuckDBPyConnection, policy: LabelPolicy) -> None:
    """Creates `truths`: what the labels of each row say, those of trusted sources where there are some in time, else all."""
    max_seconds = policy.delay.max_seconds
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE trusted AS SELECT DISTINCT unnest($1::VARCHAR[]) AS source",
        [list(policy.trusted_sources)],
    )
    if not policy.trusted_sources:
        match_labels(connection, max_seconds, "posted", "truths")
        for column in ("is_trusted", "is_overruled"):
            connection.execute(f"ALTER TABLE truths ADD COLUMN {column} BOOLEAN DEFAULT false")
        return
    match_labels(connection, max_seconds, "(FROM posted SEMI JOIN trusted USING (source))", "trusted_truths")
    match_labels(connection, max_seconds, "(FROM posted ANTI JOIN trusted USING (source))", "other_truths")
    chosen = ", ".join(
        f"CASE WHEN trusted_truths.labels > 0 THEN trusted_truths.{each} ELSE other_truths.{each} END AS {each}"
        for each in ("labels", "lowest", "highest", "probability", "least", "undrawn")
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE truths AS SELECT number, {chosen}, "
        "coalesce(trusted_truths.too_late, 0) + coalesce(other_truths.too_late, 0) AS too_late, "
        "coalesce(trusted_truths.labels > 0, false) AS is_trusted, "
        "coalesce(trusted_truths.labels > 0 AND other_truths.labels > 0 AND (other_truths.lowest <> trusted_truths.lowest "
        "OR other_truths.highest <> trusted_truths.highest), false) AS is_overruled "
        "FROM trusted_truths FULL JOIN other_truths USING (number)"
    )


def _refuse_unclear(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates `refused`, of rows whose labels name other rows too, or contradict each other."""
    connection.execute("CREATE OR REPLACE TEMP TABLE refused (number BIGINT, reason VARCHAR)")
    # A client that sends one id with several requests makes labels by that id say nothing.
    connection.execute(
        "INSERT INTO refused SELECT logged.rowid, 'ambiguous' FROM logged SEMI JOIN posted USING (id, row) "
        "SEMI JOIN (SELECT id, row FROM logged GROUP BY ALL HAVING count(*) > 1) USING (id, row)"
    )
    connection.execute(
        "INSERT INTO refused SELECT number, 'conflicts' FROM truths ANTI JOIN refused USING (number) WHERE lowest <> highest"
    )


def _refuse_outliers(connection: duckdb.DuckDBPyConnection, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuses rows whose label is a number outside the range of their version."""
    if not ranges:
        return
    connection.execute(
        "INSERT INTO refused SELECT truths.number, 'outliers' FROM truths ANTI JOIN refused USING (number) "
        "JOIN placed ON placed.number = truths.number JOIN (SELECT unnest($1::VARCHAR[]) AS version, unnest($2::DOUBLE[]) AS low, "
        "unnest($3::DOUBLE[]) AS high) AS ranges ON ranges.version = placed.version "
        "WHERE NOT coalesce(TRY_CAST(lowest AS DOUBLE) BETWEEN low AND high, true)",
        [list(ranges), [low for low, _ in ranges.values()], [high for _, high in ranges.values()]],
    )


def _refuse_untrusted_draws(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuses rows of which a source that is not trusted says how likely they were drawn: without that they are no fair sample."""
    connection.execute(
        "INSERT INTO refused SELECT number, 'untrustedDraw' FROM truths ANTI JOIN refused USING (number) "
        "WHERE labels > 0 AND probability IS NOT NULL AND NOT is_trusted"
    )


def name_source(caller: str, namespace: str, service: str) -> str:
    """The source of the labels of a caller, as the server writes it: a ServiceAccount by its name, others by a pseudonym."""
    if caller.startswith(SERVICE_ACCOUNT) or PSEUDONYM.fullmatch(caller):
        return caller
    return "user-" + hashlib.sha256(f"{namespace}/{service}\0{caller}".encode()).hexdigest()[:16]


def find_range(evaluation: Mapping[str, Any], max_deviations: float) -> tuple[float, float] | None:
    """The least and the largest number that is a label: the median of the test rows, and so many robust standard deviations to each side.

    The standard deviation is estimated by the median absolute deviation (Rousseeuw and Croux, 1993), which half of the rows cannot move far. None for
    classes, and where there are too few rows or more than half of them are equal.
    """
    sample = evaluation.get("predictionsSample")
    given = [each.get("actual") for each in sample if isinstance(each, dict)] if isinstance(sample, list) else []
    numbers = np.array([each for each in given if isinstance(each, int | float) and not isinstance(each, bool)], float)
    if len(numbers) < MIN_NUMBERS or len(numbers) < len(given) or not np.isfinite(numbers).all():
        return None
    median = float(np.median(numbers))
    spread = NORMAL_CONSISTENCY * float(np.median(np.abs(numbers - median)))
    return (median - max_deviations * spread, median + max_deviations * spread) if spread > 0 else None
