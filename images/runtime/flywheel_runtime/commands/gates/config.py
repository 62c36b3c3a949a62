"""The configuration of the gates' Job, in params.json; percentages are text, as messages repeat them."""

from typing import Literal

from flywheel_runtime.datasets.preparation.repeated import Preparation
from flywheel_runtime.params import Params


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


class GatesConfig(Params):
    """The gates, the Model's objective, and the digests of what is compared; `champion` None where there is none."""

    gates: tuple[Gate, ...]
    objective: str | None = None
    digest: str
    champion: Champion | None = None
