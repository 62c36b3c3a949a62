"""The configuration of a monitor's run, in params.json."""

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flywheel_runtime.monitoring.fairness.measures import RATES, FairnessTarget
from flywheel_runtime.monitoring.layout import LATENCY_BOUNDS_SECONDS
from flywheel_runtime.monitoring.methods.look_observer import Method
from flywheel_runtime.monitoring.seasonal.hour_of_week import HOUR_SECONDS
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimatedMetric
from flywheel_runtime.params import Params


class FalseAlarms(Params):
    """At most `count` false alarms are expected in `per_seconds`, over all signals, features and windows together."""

    count: float = Field(default=1, gt=0)
    per_seconds: float = Field(default=365 * 86_400, gt=0)


class DataQuality(Params):
    """By how much the share of missing, invalid, out-of-range or unseen values may exceed the reference's."""

    max_share: float = Field(default=0.01, gt=0, lt=1)


class Drift(Params):
    """The population stability index up to which a distribution counts as unchanged."""

    psi: float = Field(default=0.1, gt=0)


class Performance(Params):
    """By how much a metric of labelled predictions may be worse than on the version's test rows."""

    metric: str
    max_drop: float = Field(gt=0)


class EstimatedPerformance(Params):
    """By how much a metric that is estimated without labels may be worse than on the reference's rows."""

    metric: EstimatedMetric
    max_drop: float = Field(gt=0)


class Latency(Params):
    """That share of responses, the quantile, takes at most `max_seconds`, a bound of the servers' buckets."""

    quantile: float = Field(gt=0, lt=1)
    max_seconds: float

    @field_validator("max_seconds")
    @classmethod
    def check_bound(cls, value: float) -> float:
        """Servers count responses up to certain latencies."""
        if value not in LATENCY_BOUNDS_SECONDS:
            raise ValueError(f"is none of the bounds {', '.join(f'{each:g}' for each in LATENCY_BOUNDS_SECONDS)}")
        return value


class Service(Params):
    """The share of requests that may fail, and the latency. What is null is not tested."""

    max_error_share: float | None = Field(default=None, gt=0, lt=1)
    latency: Latency | None = None


class Fairness(Params):
    """How far apart the groups of each column in `by` may be in a measure; `positive` is a class, absent the second of two."""

    by: tuple[str, ...] = Field(min_length=1, max_length=4)
    measure: str
    max_gap: float = Field(gt=0)
    positive: str | None = None

    @field_validator("measure")
    @classmethod
    def check_measure(cls, value: str) -> str:
        """The measure is known."""
        if value not in RATES:
            raise ValueError(f"'{value}' is none of {', '.join(RATES)}")
        return value

    @property
    def target(self) -> FairnessTarget:
        """What is tested."""
        return FairnessTarget(self.measure, self.max_gap, self.positive or "")


class SeasonalReference(Params):
    """What drift is measured from in place of the training's data: the same hour of the week in a version's first four weeks."""

    seasonal: Literal["HourOfWeek"]


class GroundTruth(Params):
    """Where labels come from: a Dataset's `column`, by its column `key` (the log's key), else those that were posted.

    The Dataset's column `probability` has the probability with which a row was drawn to be labelled, none in rows that were not drawn.
    They are expected `min_delay_seconds` after a window, and count until `max_delay_seconds` after the prediction. Where labels could not be
    read, windows that were frozen up to `retry_seconds` before `from` are tested yet, since the inputs have their rows.

    Which labels count (monitoring/labels/admission.py): `trusted_sources` are names of callers, or pseudonyms of labels. A number is an
    outlier further than `max_deviations` robust standard deviations from the median of the version's test rows; null for no limit.
    """

    key: str | None = None
    column: str | None = None
    probability: str | None = None
    min_delay_seconds: int = Field(default=0, ge=0)
    max_delay_seconds: int = Field(default=7 * 86_400, ge=0)
    retry_seconds: int = Field(default=0, ge=0)
    trusted_sources: tuple[str, ...] = Field(default=(), max_length=16)
    max_source_share: float = Field(default=1, ge=0, le=1)
    max_deviations: float | None = Field(default=None, gt=0)


class Signals(Params):
    """What is tested. Data quality always is; what is null is not."""

    data_quality: DataQuality = DataQuality()
    feature_drift: Drift | None = None
    prediction_drift: Drift | None = None
    estimated_performance: EstimatedPerformance | None = None
    performance: Performance | None = None
    service: Service | None = None
    fairness: Fairness | None = None


class MonitoredVersion(Params):
    """A version that the service has in a slot, or had in the windows of this run; or before, so that only labels come for it."""

    name: str
    digest: str
    labels_only: bool = False


class BatchRun(Params):
    """The output of a run of a BatchInference, in the input of that name."""

    input: str
    version: str
    digest: str
    finished_at: datetime


class StoredRows(Params):
    """Rows in the store in place of count documents: a log in the inputs `rows…`, or outputs of batch runs."""

    source: Literal["Log", "Batch"]
    runs: tuple[BatchRun, ...] = ()


class MonitorConfig(Params):
    """The windows from `from` until `until`, each of `window_seconds`; `skipped` windows before them were too old."""

    service: str
    namespace: str
    from_: datetime = Field(alias="from")
    until: datetime
    window_seconds: int = Field(ge=60, le=7 * 86_400)
    min_rows: int = Field(default=300, ge=1)
    skipped: int = Field(default=0, ge=0)
    state_expected: bool = False  # whether an earlier run has left a state
    false_alarms: FalseAlarms = FalseAlarms()
    method: Method = "Sequential"
    reference: SeasonalReference | None = None
    signals: Signals = Signals()
    ground_truth: GroundTruth | None = None
    stored_rows: StoredRows | None = None
    versions: tuple[MonitoredVersion, ...] = ()

    @field_validator("from_", "until")
    @classmethod
    def check_time(cls, value: datetime) -> datetime:
        """Times have a zone."""
        if value.tzinfo is None:
            raise ValueError("has no time zone; write it as 2026-01-31T17:00:00Z")
        return value.astimezone(UTC)

    @model_validator(mode="after")
    def check_windows(self) -> Self:
        """There is at least one window, and the last one is complete."""
        seconds = (self.until - self.from_).total_seconds()
        if seconds <= 0 or seconds % self.window_seconds:
            raise ValueError(f"from and until are {seconds:g} s apart, which is no multiple of windowSeconds")
        if self.reference is not None and HOUR_SECONDS % self.window_seconds:
            raise ValueError("a reference for each hour of the week needs windows of which an hour has a whole number")
        return self

    @property
    def needs_rows(self) -> bool:
        """Whether a signal reads logged rows."""
        fairness = self.signals.fairness
        needs_labels = self.signals.performance is not None or (fairness is not None and fairness.target.needs_labels)
        has_unlabelled = fairness is not None and not fairness.target.needs_labels
        return has_unlabelled or (self.ground_truth is not None and needs_labels)

    @property
    def served_versions(self) -> frozenset[str]:
        """The names of the versions that may have traffic in these windows."""
        return frozenset(each.name for each in self.versions if not each.labels_only)

    @property
    def starts(self) -> list[int]:
        """The start of each window, in seconds since 1970."""
        return list(range(int(self.from_.timestamp()), int(self.until.timestamp()), self.window_seconds))
