"""The join of logged rows with labels: a pure function of immutable files, with the same bytes whatever their order.

Which label a row has is decided in admission.py. A window is first read `min_seconds` after its end, reopens with every run, and is tested
once, when it is frozen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import duckdb
import numpy as np

from flywheel_runtime.monitoring.labels.admission import Admitted, LabelPolicy, admit_labels
from flywheel_runtime.monitoring.labels.label_sample import NOT_DRAWN, LabelSample
from flywheel_runtime.monitoring.labels.window_rows import (
    Groups,
    LoggedVersion,
    fetch_rows,
    number_classes,
    select_window,
    value_columns,
    window_tables,
)
from flywheel_runtime.statistics.metrics import Array, ScoredRows


@dataclass(frozen=True)
class LabelCounts:
    """What became of the logged rows of one version in one window, and of the labels for them.

    `labelled` rows are those that are compared. The others have no label, labels that contradict each other (`conflicts`), a label that
    is no class or number, or whose probability no draw has (`invalid`), an id that several rows have (`ambiguous`), no output that could
    be compared (`unanswered`), a number that is an outlier (`outliers`), a label of a source beyond its share (`over_share`), or one of a draw that no trusted source
    made (`untrusted_draw`).
    `duplicates` are further equal labels of a row, `too_late` are labels that arrived after their window was frozen.
    `overruled` rows have a label of a trusted source, and others that differ from it.
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
    outliers: int = 0
    over_share: int = 0
    overruled: int = 0
    untrusted_draw: int = 0

    @property
    def coverage(self) -> float:
        """The share of rows that are compared."""
        return self.labelled / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, Any]:
        """The counts by name, with the coverage."""
        found = asdict(self)
        names = {"too_late": "tooLate", "over_share": "overShare", "untrusted_draw": "untrustedDraw"}
        renamed = {names.get(name, name): count for name, count in found.items()}
        return {**renamed, "coverage": round(self.coverage, 6)}


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

    `problem` is why there are none, as a sentence; empty where the labels could be read. `admitted` says which labels count.
    """

    windows: Sequence[LabelledRows]
    labels: int
    unknown: int
    problem: str = ""
    admitted: Admitted = field(default_factory=Admitted)


def join_labels(
    connection: duckdb.DuckDBPyConnection,
    versions: Mapping[str, LoggedVersion],
    starts: Sequence[int],
    window_seconds: int,
    policy: LabelPolicy,
    group_columns: Sequence[str] = (),
) -> JoinedWindows:
    """Joins the tables `logged` and `posted` (sources.py), for the windows that begin at `starts`.

    Rows of other versions and outside the windows are not compared, but labels of them are known.
    """
    admitted = admit_labels(connection, policy, starts, window_seconds)
    labels, known = connection.execute(
        "SELECT (SELECT count(*) FROM posted), (SELECT count(*) FROM posted SEMI JOIN logged USING (id, row)) "
        "+ (SELECT count(*) FROM (SELECT key FROM posted WHERE id IS NULL) SEMI JOIN logged USING (key))"
    ).fetchall()[0]
    windows = [
        _labelled_rows(connection, name, version, start, window_seconds, group_columns)
        for start in starts
        for name, version in sorted(versions.items())
    ]
    return JoinedWindows(
        [each for each in windows if each.counts.rows], int(labels), int(labels - known), admitted=admitted
    )


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
        "coalesce(truths.is_overruled, false) AS is_overruled, refused.reason AS refusal "
        f"FROM ({selected}) AS selected LEFT JOIN truths USING (number) LEFT JOIN refused ON refused.number = selected.number",
        parameters,
    )
    number_classes(connection, classes)
    usable = "labels > 0 AND lowest = highest AND refusal IS NULL"
    truth, predicted, answered = value_columns(classes)
    compared = f"{usable} AND {truth} IS NOT NULL AND {answered}"
    tables = window_tables(classes)
    counts = connection.execute(
        f"SELECT count(*), count(*) FILTER ({compared}), "
        "count(*) FILTER (refusal = 'conflicts'), "
        f"count(*) FILTER (labels > 0 AND refusal IS NULL AND (lowest IS NULL OR lowest = highest AND {truth} IS NULL)), "
        "count(*) FILTER (refusal = 'ambiguous'), "
        f"count(*) FILTER ({usable} AND {truth} IS NOT NULL AND NOT ({answered})), "
        "coalesce(sum(labels - 1) FILTER (labels > 1 AND lowest = highest), 0), coalesce(sum(too_late), 0), "
        f"count(*) FILTER ({compared} AND probability IS NOT NULL), count(*) FILTER ({compared} AND least < probability), 0, "
        f"count(*) FILTER (refusal = 'outliers'), count(*) FILTER (refusal = 'overShare'), count(*) FILTER ({compared} AND is_overruled), "
        f"count(*) FILTER (refusal = 'untrustedDraw') FROM {tables}"
    ).fetchall()[0]
    scored, groups, sample = fetch_rows(connection, tables, compared, truth, predicted, classes, group_columns)
    return LabelledRows(
        start, name, replace(LabelCounts(*map(int, counts)), capped=sample.capped), scored, groups, sample
    )
