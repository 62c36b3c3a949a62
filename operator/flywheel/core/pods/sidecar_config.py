"""The configuration of the containers beside main, `collect` and `watch`, in FLYWHEEL_COLLECT and FLYWHEEL_WATCH.

And what `collect` alone has to read the log of main: a token, and the values to mask (decision 30).
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from flywheel.core.pods.step_config.config import StepConfig
from flywheel.core.resource.schema import Variable

ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3600  # the kubelet renews it
MASK_PREFIX = "FLYWHEEL_MASK_"


class OutputConfig(StepConfig):
    """A folder below `outputs` to upload."""

    name: str
    required: bool


class UploadThreshold(StepConfig):
    """Outputs are uploaded only if `metric` reaches what other trials have."""

    metric: str
    maximize: bool
    reach: float


class PruneConfig(StepConfig):
    """Which curve is compared with those of the same group, and by which rule: median, percentile or patient with its fields."""

    metric: str
    maximize: bool
    group: str
    rule: Annotated[
        dict[Literal["median", "percentile", "patient"], dict[str, int | float]], Field(min_length=1, max_length=1)
    ]


class CheckpointConfig(StepConfig):
    """How often collect looks for a new checkpoint."""

    every_seconds: int


class ObjectiveConfig(StepConfig):
    """The metric that trials are compared by."""

    metric: str
    maximize: bool


class CodeConfig(StepConfig):
    """The revision of the trainer's code, as the user named it."""

    revision: str
    repository: str | None = None


class LogConfig(StepConfig):
    """How main's log is stored: the variables of collect whose values are masked in it."""

    masked_variables: tuple[str, ...] = ()


class TrackConfig(StepConfig):
    """What collect records of a step beside its result (images/README.md, "The tracking records")."""

    kind: str
    name: str
    trial: int | None = None
    repeat: int | None = None
    pipeline: str | None = None
    run: str | None = None
    run_uid: str | None = None
    dataset: str | None = None
    dataset_version: str | None = None
    dataset_digest: str | None = None
    objective: ObjectiveConfig | None = None
    estimator: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    code: CodeConfig | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    retention: str | None = None
    logs: LogConfig | None = None


class CollectConfig(StepConfig):
    """The variable FLYWHEEL_COLLECT; images/README.md has the meaning of each field."""

    timeout_seconds: int | None
    outputs: tuple[OutputConfig, ...]
    audit: dict[str, Any] | None = None
    prune: PruneConfig | None = None
    keep: UploadThreshold | None = None
    leader: int | None = None
    checkpoint: CheckpointConfig | None = None
    upload_patience_seconds: int
    track: TrackConfig | None = None


class WatchConfig(StepConfig):
    """The variable FLYWHEEL_WATCH."""

    timeout_seconds: int | None
    grace_seconds: int
    hold_seconds: int


def track_document(track: TrackConfig | None, variables: Sequence[Variable]) -> dict[str, Any] | None:
    """Returns the field `track` of FLYWHEEL_COLLECT for a step whose main has these variables."""
    logs = LogConfig(masked_variables=tuple(_masked_secrets(variables)))
    return track.model_copy(update={"logs": logs}).document() if track else None


def _masked_secrets(variables: Sequence[Variable]) -> dict[str, tuple[str, str]]:
    """Returns the variables of collect whose values are masked in main's log, with the Secret and key of each: those that main is given."""
    found = sorted({(str(each.secret.name), each.secret.key) for each in variables if each.secret is not None})
    return {f"{MASK_PREFIX}{number}": secret for number, secret in enumerate(found)}


def log_env(track: TrackConfig | None, variables: Sequence[Variable]) -> list[dict[str, Any]]:
    """Returns the variables with which collect reads and masks the log of its pod's main, which has these variables."""
    if track is None:
        return []
    pod = {"name": "FLYWHEEL_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    masks = [
        # Optional: main, which needs the key, says that it is missing; collect starts before main.
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}
        for name, (secret, key) in _masked_secrets(variables).items()
    ]
    return [pod, *masks]


def account_volumes(track: TrackConfig | None) -> list[dict[str, Any]]:
    """Returns the volume with the token of the runner's ServiceAccount, and the certificate of the API server."""
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}}
    items = [{"key": "ca.crt", "path": "ca.crt"}]
    certificate = {"configMap": {"name": "kube-root-ca.crt", "items": items, "optional": True}}
    return [{"name": "account", "projected": {"sources": [token, certificate]}}] if track else []


def account_mounts(track: TrackConfig | None) -> list[dict[str, Any]]:
    """Returns the mount of `account_volumes`, for collect alone."""
    return [{"name": "account", "mountPath": ACCOUNT_FOLDER, "readOnly": True}] if track else []
