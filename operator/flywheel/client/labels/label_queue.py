"""The rows that are drawn to be labelled for a ModelMonitor, and how well their labels tell the answer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flywheel.client.errors import FlywheelError
from flywheel.client.labels.label_sampling import Allocation, RowClass, allocate_labels, count_labels_for
from flywheel.client.labels.logged_frame import ExpectedLoss, LoggedFrame, LoggedRow
from flywheel.client.labels.monitored_service import MonitoredService
from flywheel.client.objects.live_model import LiveModelVersion
from flywheel.client.objects.live_service import LiveService
from flywheel.client.session import Session
from flywheel.core.resource.values import format_time

MEANS = ("log_loss", "brier")  # metrics that are drawn for; others are drawn for the share of errors, or the mean error


@dataclass(frozen=True)
class LabelRequest:
    """What a user wants: `labels` rows in expectation, or as many as make half of the interval at most `half_width`.

    Each group of the columns `by` has labels. `version` is by default the one that is served.
    """

    labels: int | None = None
    half_width: float | None = None
    by: Sequence[str] = ()
    version: str | None = None


@dataclass(frozen=True)
class DrawnRow:
    """A row that was drawn with a probability."""

    probability: float
    content: LoggedRow

    @property
    def id(self) -> str:
        """The id of its request."""
        return str(self.content.get("id"))

    @property
    def row(self) -> int:
        """Its index in the request."""
        return int(self.content.get("row") or 0)


@dataclass(frozen=True)
class LabelQueue:
    """Drawn rows, in an order in which the first ones are a smaller draw. `logged` is how many rows they were drawn from, about.

    `half_width` is half of the 95 % interval of `quantity` that their labels are expected to give; None where nothing says so.
    """

    rows: Sequence[DrawnRow]
    logged: int
    version: str
    start: datetime
    end: datetime
    quantity: str
    half_width: float | None
    least_per_window: int

    @property
    def answer(self) -> str:
        """One sentence: what the labels of these rows tell."""
        rows = f"Label these {len(self.rows):,} rows"
        of = f"of version {self.version} on {self.logged:,} logged rows"
        if self.half_width is None:
            return f"{rows} to estimate the {self.quantity} {of}"
        share = self.quantity == "error rate"
        width = f"{100 * self.half_width:.2g} %" if share else f"{self.half_width:.2g}"
        return f"{rows} to know the {self.quantity} {of} to ±{width}"


def draw_queue(
    session: Session, monitored: MonitoredService, period: tuple[datetime, datetime], wanted: LabelRequest
) -> LabelQueue:
    """Returns the rows to label.

    Raises:
        FlywheelError: the service does not log rows, there are none in the period, or nothing says how many labels a width takes.
    """
    service = LiveService(session, monitored.service)
    manifest = service.manifest
    if not manifest["spec"].get("logging"):
        raise FlywheelError(f"{service} logs no predictions; spec.logging turns it on", reason="RowsNotLogged")
    version = wanted.version or str((manifest.get("status") or {}).get("version") or "")
    expected = ExpectedLoss(monitored.metric or "", _test_metrics(session, version))
    frame = LoggedFrame(monitored.uid, version, *period, expected, tuple(wanted.by) or monitored.by)
    frame.read(service.logged_rows(*period, None))
    rows = frame.classify()
    if not rows:
        raise FlywheelError(_describe_absence(service, frame), reason="NoRows")
    has_probabilities = any(_has_probabilities(row) for _, row, _ in rows)
    counts = {each: number / frame.bound for each, number in Counter(each for *_, each in rows).items()}
    is_known = has_probabilities or expected.is_known_for_values
    allocation = _allocate(counts, wanted, version, is_known=is_known)
    drawn = draw_rows(rows, allocation, frame.bound)
    mean = expected.metric if expected.metric in MEANS else "error rate"
    return LabelQueue(
        drawn,
        round(sum(counts.values())),
        version,
        *period,
        mean if has_probabilities else "mean absolute error",
        allocation.half_width if is_known else None,
        min(_count_by_window(drawn, period, monitored.window)),
    )


def draw_rows(
    rows: Sequence[tuple[float, LoggedRow, RowClass]], allocation: Allocation, bound: float = 1.0
) -> list[DrawnRow]:
    """Returns the rows whose random numbers are below their probabilities; no probability exceeds the `bound` of the numbers.

    They are in the order of number over probability: the first ones are those of a smaller draw, also if not all are labelled.
    """
    chances = {each: min(chance, bound) for each, chance in allocation.probabilities.items()}
    positions = sorted(
        (number / chances[each], at) for at, (number, _, each) in enumerate(rows) if number < chances[each]
    )
    return [DrawnRow(chances[rows[at][2]], rows[at][1]) for _, at in positions]


def _allocate(counts: Mapping[RowClass, float], wanted: LabelRequest, version: str, *, is_known: bool) -> Allocation:
    if wanted.half_width is None:
        return allocate_labels(counts, wanted.labels or 0)
    if not is_known:
        raise FlywheelError(
            f"ModelVersion '{version}' has no mae and rmse on test rows, so that nothing says how many labels a width takes; give --rows",
            reason="LossUnknown",
        )
    return allocate_labels(counts, count_labels_for(counts, wanted.half_width))


def _has_probabilities(row: LoggedRow) -> bool:
    outputs: Mapping[str, Any] = row.get("outputs") or {}
    return any(isinstance(each, list) for each in outputs.values())


def _count_by_window(rows: Sequence[DrawnRow], period: tuple[datetime, datetime], window: timedelta) -> list[int]:
    start, end = period
    counts = [0] * max(1, (end - start) // window)
    for each in rows:
        counts[(datetime.fromisoformat(str(each.content["time"])) - start) // window] += 1
    return counts


def _test_metrics(session: Session, version: str) -> Mapping[str, float]:
    """The metrics on test rows; none where the version is gone or may not be read, which only makes the interval unknown."""
    try:
        return LiveModelVersion(session, version).metrics if version else {}
    except FlywheelError:
        return {}


def _describe_absence(service: LiveService, frame: LoggedFrame) -> str:
    others = ", ".join(f"{name} ({count:,})" for name, count in frame.versions.most_common(3) if name != frame.version)
    said = f"; there are rows of {others}: name one with --version" if others else "; choose an earlier --since"
    period = f"from {format_time(frame.start)} until {format_time(frame.end)}"
    return f"{service} has logged no row of version {frame.version or '(none is served)'} with an output {period}{said}"
