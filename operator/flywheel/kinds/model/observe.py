"""Everything that matters to a Model, in one look: its versions, and who serves them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flywheel.core.diagnosis import outcome
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.pods.pod_spec import pods_of_job
from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, INFERENCE_SERVICE, JOB, MODEL_VERSION, POD, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.model_reference import find_users
from flywheel.core.settings import Settings
from flywheel.kinds.batchinference.schema import versions_in_use as batchinference
from flywheel.kinds.inferenceservice import schema as inferenceservice
from flywheel.kinds.model.children import Model, audit_attempt, next_unaudited, promote_step
from flywheel.kinds.modelversion.schema.gate_results import Approved, GatesResult
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus, Signature


@dataclass(frozen=True)
class Version:
    """One ModelVersion. `metrics` and `digest` stay known when a later verification fails.
    `used`: somebody serves it or scores with it; `owned`: it goes with its Model; `registered`: an Experiment made it.
    `rejected`: what a rollout found against it; None once somebody has cleared that. `data`: the artifact of the data that it was made from.
    `gates`: what its gates' Job measured last, and `gates_trouble` why it cannot. `approved`: who approves this very artifact;
    `void`: the digest of an approval of another one."""

    name: str
    uid: str
    created: str
    ready: bool
    reason: str = ""
    digest: str | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    test_digest: str | None = None
    used: bool = False
    owned: bool = False
    registered: bool = False
    rejected: str | None = None
    namespace: str = "default"
    archived: bool = False
    data: str | None = None
    signature: Signature | None = None
    gates: GatesResult | None = None
    gates_trouble: str | None = None
    approved: Approved | None = None
    void: str | None = None

    @property
    def barred(self) -> bool:
        """Whether it may be nobody's champion, whatever it can."""
        return self.archived or self.rejected is not None


@dataclass(frozen=True)
class Seen:
    """`versions` oldest first. `pinned_belongs_to`: the Model of the pinned version, where that is another one.
    `recording`: how the Job that records the next change of champion ended."""

    now: datetime
    versions: tuple[Version, ...] = ()
    pinned_belongs_to: str | None = None
    settings: Settings = field(default_factory=Settings)
    recording: Outcome | None = None


def observe(model: Model, cluster: Cluster) -> Seen:
    """One look at all versions of a Model."""
    raw = [
        each
        for each in cluster.referrers(MODEL_VERSION, model.reference)
        if each["spec"].get("model") == model.name and "deletionTimestamp" not in each["metadata"]
    ]
    found = [_version(model, each, _is_used(each, cluster)) for each in raw]
    return Seen(
        now=cluster.now,
        versions=tuple(sorted(found, key=lambda version: (version.created, version.name))),
        pinned_belongs_to=_other_model(model, cluster),
        settings=cluster.settings,
        recording=_recording(model, cluster),
    )


def _recording(model: Model, cluster: Cluster) -> Outcome | None:
    """How the Job `promote` ended that the next unrecorded change of champion has."""
    reign = next_unaudited(model.status)
    if reign is None:
        return None
    name = names.job(model, promote_step(reign), audit_attempt(model.status))
    job = cluster.get(Reference(JOB, model.namespace, name))
    return outcome.job_outcome(job, pods_of_job(name, cluster.children(model.uid, POD))) if job else None


def _version(model: Model, raw: Manifest, used: bool) -> Version:
    spec = ModelVersionSpec.model_validate(raw["spec"])
    status = ModelVersionStatus.model_validate(raw.get("status") or {})
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    return Version(
        name=raw["metadata"]["name"],
        uid=raw["metadata"]["uid"],
        created=raw["metadata"]["creationTimestamp"],
        ready=ready is not None and ready.status == "True" and status.digest is not None,
        reason=ready.reason if ready else "Pending",
        digest=status.digest,
        metrics=status.metrics,
        test_digest=status.test_digest,
        used=used,
        owned=any(owner["uid"] == model.uid for owner in raw["metadata"].get("ownerReferences") or ()),
        registered=spec.lineage is not None and (spec.lineage.experiment or spec.lineage.run) is not None,
        rejected=status.rejection.message or "no finding" if status.rejection else None,
        namespace=raw["metadata"]["namespace"],
        archived=spec.archived,
        data=spec.lineage.dataset_digest if spec.lineage else None,
        signature=status.signature,
        gates=status.gates,
        gates_trouble=status.gates_retry.message if status.gates_retry else None,
        approved=status.approval,
        void=spec.approval.digest if spec.approval and spec.approval.digest != status.digest else None,
    )


def _is_used(raw: Manifest, cluster: Cluster) -> bool:
    """Whether anybody serves it, scores with it, or is told to."""
    version = Reference(MODEL_VERSION, raw["metadata"]["namespace"], raw["metadata"]["name"])
    return bool(
        find_users(version, INFERENCE_SERVICE, inferenceservice.versions_in_use, cluster)
        or find_users(version, BATCH_INFERENCE, batchinference.versions_in_use, cluster)
    )


def _other_model(model: Model, cluster: Cluster) -> str | None:
    if model.spec.champion is None:
        return None
    pinned = cluster.get(Reference(MODEL_VERSION, model.namespace, model.spec.champion))
    other: str | None = pinned["spec"].get("model") if pinned else None
    return other if other != model.name else None
