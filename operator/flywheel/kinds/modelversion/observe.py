"""Everything that matters to a ModelVersion, in one look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flywheel.core import names, outcome, trouble
from flywheel.core.api import JOB, MODEL, POD, Manifest, Reference
from flywheel.core.kind import Cluster
from flywheel.core.outcome import Outcome
from flywheel.core.settings import Settings
from flywheel.core.trouble import Trouble
from flywheel.kinds.model.schema import ModelSpec, ModelStatus
from flywheel.kinds.modelversion.children import VERIFY, ModelVersion

REQUEST_ANNOTATION = "flywheel.ml/verify-requested"


@dataclass(frozen=True)
class Seen:
    """`attempt` is the one that runs or comes next; `outcome` is None until it has ended.
    `objective` is the Model's metric, for the summary."""

    now: datetime
    settings: Settings
    attempt: int
    requested: str
    outcome: Outcome | None = None
    trouble: Trouble | None = None
    champion: bool = False
    objective: str | None = None


def observe(version: ModelVersion, cluster: Cluster) -> Seen:
    """One look at the verify Job of the next attempt, and at the Model."""
    attempt = (version.status.attempts or 0) + 1
    name = names.job(version, VERIFY, attempt)
    job = cluster.get(Reference(JOB, version.namespace, name))
    pods = [pod for pod in cluster.children(version.uid, POD) if _job_of(pod) == name]
    ended = outcome.read(job, pods) if job else None

    def events(uid: str) -> Sequence[Manifest]:
        return cluster.events(version.namespace, uid)

    model = cluster.get(Reference(MODEL, version.namespace, version.spec.model)) or {}
    objective = ModelSpec.model_validate(model.get("spec") or {}).objective
    return Seen(
        now=cluster.now,
        settings=cluster.settings,
        attempt=attempt,
        requested=version.annotations.get(REQUEST_ANNOTATION, "")[:128],
        outcome=ended,
        trouble=trouble.find(job, pods, events, cluster.now) if job and ended is None else None,
        champion=ModelStatus.model_validate(model.get("status") or {}).champion == version.name,
        objective=objective.metric if objective else None,
    )


def _job_of(pod: Manifest) -> str | None:
    name: str | None = pod["metadata"]["labels"].get("batch.kubernetes.io/job-name")
    return name
