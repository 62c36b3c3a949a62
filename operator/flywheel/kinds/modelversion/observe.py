"""Everything that matters to a ModelVersion, in one look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from flywheel.core import names, outcome, trouble
from flywheel.core.api import INFERENCE_SERVICE, JOB, MODEL, POD, Manifest, Reference
from flywheel.core.kind import Cluster
from flywheel.core.outcome import Outcome
from flywheel.core.settings import Settings
from flywheel.core.trouble import Trouble
from flywheel.kinds.inferenceservice.schema import InferenceServiceStatus
from flywheel.kinds.model.schema import ModelSpec, ModelStatus
from flywheel.kinds.modelversion.children import VERIFY, ModelVersion
from flywheel.kinds.modelversion.schema import Rejection

REQUEST_ANNOTATION = "flywheel.ml/verify-requested"
CLEAR_ANNOTATION = "flywheel.ml/clear-rejection"


@dataclass(frozen=True)
class Seen:
    """`attempt` is the one that runs or comes next; `outcome` is None until it has ended.
    `objective` is the Model's metric, for the summary. `rejections`: what rollouts found against it, oldest first;
    `clear`: the value by which somebody clears that."""

    now: datetime
    settings: Settings
    attempt: int
    requested: str
    outcome: Outcome | None = None
    trouble: Trouble | None = None
    champion: bool = False
    objective: str | None = None
    rejections: tuple[Rejection, ...] = ()
    clear: str = ""


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
        rejections=tuple(sorted(_rejections(version, cluster), key=lambda each: each.at)),
        clear=version.annotations.get(CLEAR_ANNOTATION, "")[:128],
    )


def _rejections(version: ModelVersion, cluster: Cluster) -> Iterator[Rejection]:
    """Each InferenceService keeps those of its own rollouts."""
    for service in cluster.referring(INFERENCE_SERVICE, version.reference):
        rollout = InferenceServiceStatus.model_validate(service.get("status") or {}).rollout
        for each in rollout.rejected if rollout else ():
            if each.version == version.name:
                name = service["metadata"]["name"]
                yield Rejection(service=name, at=each.at, message=each.message, numbers=each.numbers)


def _job_of(pod: Manifest) -> str | None:
    name: str | None = pod["metadata"]["labels"].get("batch.kubernetes.io/job-name")
    return name
