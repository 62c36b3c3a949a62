"""The configuration of the gates' Job, in params.json; percentages are text, as messages repeat them."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from flywheel_runtime.datasets.preparation.repeated import Preparation
from flywheel_runtime.params import Params

ADVICE = "CallersMustBring"


class ChampionGate(Params):
    """Better than the champion by at least `min_gain`, at the lower end of the interval where `confidence` is given."""

    metric: str
    min_gain: float = 0
    confidence: str | None = None


class BaselineGate(Params):
    """Better than a constant prediction by at least `min_gain`, at the lower end of the interval. `metric` None: the objective."""

    metric: str | None = None
    min_gain: float
    confidence: str = "95%"


class SliceGate(Params):
    """The worst group of a column within its bound, of which there is one: min or max."""

    by: str
    metric: str
    min: float | None = None
    max: float | None = None
    min_rows: int


class FairnessGate(Params):
    """The greatest difference between groups of a column. `positive` None: the second of two classes."""

    by: str
    measure: Literal["DemographicParity", "EqualOpportunity"]
    max_gap: str
    positive: str | None = None
    min_rows: int


class CalibrationGate(Params):
    """The expected calibration error."""

    max_error: str


class DataGate(Params):
    """No anomaly in the data but those to ignore."""

    ignore: tuple[str, ...] = ()

    @property
    def ignored(self) -> tuple[str, ...]:
        """The kinds to ignore, and what `prepare` says of a query, which is no anomaly of its data."""
        return (*self.ignore, ADVICE)


class ReplayGate(Params):
    """At most `max_flips` of the decisions on the logged rows of a window flip, at the upper end of the interval.

    `by` is the column of groups, None for none. Values flip where they differ by more than `tolerance` of the champion's spread. Of more
    than `max_rows` rows so many are drawn.
    """

    window: str
    max_flips: str
    by: str | None = None
    tolerance: str = "5%"
    confidence: str = "95%"
    max_rows: int = 100_000


class LabelledGate(Params):
    """Better than the champion by at least `min_gain` on labelled rows, at the lower end of the interval where `confidence` is given."""

    metric: str
    min_gain: float
    window: str
    monitor: str | None = None
    confidence: str | None = None
    min_rows: int = 50


class Gate(Params):
    """One condition; an `optional` one passes where it cannot be measured."""

    name: str
    optional: bool = False
    champion: ChampionGate | None = None
    baseline: BaselineGate | None = None
    slice: SliceGate | None = None
    fairness: FairnessGate | None = None
    calibration: CalibrationGate | None = None
    data: DataGate | None = None
    replay: ReplayGate | None = None
    labelled: LabelledGate | None = None

    @property
    def on_traffic(self) -> bool:
        """Whether it is measured on logged requests."""
        return self.replay is not None or self.labelled is not None


class OwnPreparation(Params):
    """How the champion's own rows are made; `finding` is added where that cannot be.

    `direct`: it is then given the challenger's rows as they are, as earlier builds did.
    """

    direct: bool = False
    finding: str | None = None
    preparation: Preparation | None = None


class Champion(Params):
    """The champion's version. `own` None: it takes the challenger's rows as they are."""

    version: str
    digest: str
    own: OwnPreparation | None = None


class LoggedService(Params):
    """A service that serves the Model: the share of requests whose rows it logs (None: none), and what its log does to columns."""

    name: str
    sample: str | None = None
    protected: dict[str, Literal["Drop", "Hmac", "Bucket"]] = Field(default_factory=dict)


class LabelSource(Params):
    """Where the labels of a gate come from: what the monitor's service was posted, or a column of a Dataset. `problem` says why from nowhere."""

    gate: str
    monitor: str = ""
    service: str = ""
    key: str | None = None
    column: str | None = None
    probability: str | None = None
    max_delay_seconds: int = 7 * 86_400
    trusted_sources: tuple[str, ...] = ()
    max_source_share: float = 1.0
    max_deviations: float | None = None
    problem: str | None = None


class Traffic(Params):
    """The logs of the services that serve the Model; windows end at `until`."""

    until: datetime
    services: tuple[LoggedService, ...] = ()
    labels: tuple[LabelSource, ...] = ()


NO_TRAFFIC = Traffic(until=datetime(1970, 1, 1, tzinfo=UTC))  # of a Job without a gate on traffic


class GatesConfig(Params):
    """The gates, the Model's objective, and the digests of what is compared; `champion` None where there is none."""

    gates: tuple[Gate, ...]
    objective: str | None = None
    digest: str
    champion: Champion | None = None
    traffic: Traffic = NO_TRAFFIC


SECONDS_OF_UNIT = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_seconds(duration: str) -> int:
    """The seconds of `30m`, `24h` or `7d`."""
    return int(duration[:-1]) * SECONDS_OF_UNIT[duration[-1]]


def parse_fraction(percent: str) -> float:
    """The fraction of `2%`."""
    return float(percent.rstrip("%")) / 100
