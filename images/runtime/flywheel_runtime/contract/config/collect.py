"""The configuration of `collect`, in FLYWHEEL_COLLECT."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.contract.config import load_config
from flywheel_runtime.contract.config.track import TrackConfig
from flywheel_runtime.contract.errors import Failure

TRACKING = (
    "tracking"  # the output that collect makes of metrics, curves, facts, parameters, tags, logged files and the log
)
STARTUP_TRIALS = 5


@dataclass(frozen=True)
class Output:
    """A folder below `outputs` to upload."""

    name: str
    required: bool = False


@dataclass(frozen=True)
class UploadThreshold:
    """Outputs are uploaded only if `metric` reaches what other trials have, whose number is enough."""

    metric: str
    maximize: bool
    reach: float

    def admits(self, metrics: Mapping[str, float]) -> bool:
        """Whether the outputs of a result are uploaded. `reach` was rounded to ten digits, so equality has a tolerance."""
        value = metrics.get(self.metric)
        if value is None:
            return True
        gap = value - self.reach if self.maximize else self.reach - value
        return gap >= -1e-9 * abs(self.reach)


@dataclass(frozen=True)
class MedianRule:
    """Optuna's MedianPruner."""

    startup_trials: int = STARTUP_TRIALS
    warmup_steps: int = 0


@dataclass(frozen=True)
class PercentileRule:
    """Optuna's PercentilePruner: the best `percentile` percent go on."""

    percentile: float
    startup_trials: int = STARTUP_TRIALS
    warmup_steps: int = 0


@dataclass(frozen=True)
class PatientRule:
    """Optuna's PatientPruner."""

    patience: int
    min_delta: float = 0.0


@dataclass(frozen=True)
class RuleConfig:
    """Exactly one of the rules."""

    median: MedianRule | None = None
    percentile: PercentileRule | None = None
    patient: PatientRule | None = None

    def __post_init__(self) -> None:
        if sum(rule is not None for rule in (self.median, self.percentile, self.patient)) != 1:
            raise ValueError("prune.rule has not exactly one rule")


@dataclass(frozen=True)
class PruneConfig:
    """`group` is the key below `curves/` of the trials that are compared with each other."""

    metric: str
    maximize: bool
    group: str
    rule: RuleConfig

    def __post_init__(self) -> None:
        if not self.group or ".." in self.group or self.group.startswith("/"):
            raise ValueError(f"prune.group is {self.group!r}")


@dataclass(frozen=True)
class CheckpointConfig:
    """How often collect looks for a new checkpoint."""

    every_seconds: float


@dataclass(frozen=True)
class CollectConfig:
    """`timeout_seconds` None: main is never stopped.
    `audit`: what to record of a result that counts (audit/records.py).
    `leader`: the index of a group's pod whose outputs and metrics count, so that others need none.
    `keep` None: every result's outputs are uploaded. `checkpoint` None: no checkpoint is.
    `upload_patience_seconds`: for so long after main's end the outputs are kept and tried, if the store does not take them.
    `track` None: nothing is recorded of the step, as by an operator that knows no records."""

    timeout_seconds: float | None = None
    outputs: tuple[Output, ...] = ()
    audit: Mapping[str, Any] | None = None
    prune: PruneConfig | None = None
    leader: int | None = None
    checkpoint: CheckpointConfig | None = None
    keep: UploadThreshold | None = None
    upload_patience_seconds: float = 0
    track: TrackConfig | None = None

    @classmethod
    def parse(cls, text: str) -> "CollectConfig":
        """Raises Failure InternalError, OutputInvalid."""
        config = load_config(cls, "FLYWHEEL_COLLECT", text)
        for output in config.outputs:
            if output.name in ("", ".", "..", TRACKING) or "/" in output.name:
                raise Failure("OutputInvalid", f"no output may be named '{output.name}'; rename it")
        return config

    def follows(self, index: int | None) -> bool:
        """Whether another pod of the group reports for this one."""
        return self.leader is not None and index != self.leader
