"""What `decide` may know of a Model: its versions, and who uses them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flywheel.core.diagnosis.attempt_state import find_job
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, INFERENCE_SERVICE, MODEL_VERSION, Manifest, Reference
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.core.resource.model_reference import find_users
from flywheel.kinds.batchinference.schema import versions_in_use as batchinference
from flywheel.kinds.inferenceservice import schema as inferenceservice
from flywheel.kinds.model.children import Model, audit_attempt, next_unrecorded, promote_step
from flywheel.kinds.modelversion.schema.gate_results import ApprovalStatus, GatesResult
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus, MonitoredProblem, Signature


@dataclass(frozen=True)
class Version:
    """A ModelVersion. `metrics` and `digest` stay known when a later verification fails.

    `used`: an InferenceService or a BatchInference uses it. `owned`: it is deleted with its Model. `registered`: an Experiment or a
    TrainingRun made it. `rejected`: what a rollout found against it, None once that is cleared. `problem`: what a monitor found of
    it as champion, for which it was not taken back. `data`: the artifact of the data that it was trained on. `gates`: what its gates' Job measured last, and `measurement_failure` why it cannot. `approved`: the approval of this very
    artifact; `void`: the digest of an approval of another one.
    """

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
    problem: MonitoredProblem | None = None
    namespace: str = "default"
    archived: bool = False
    data: str | None = None
    signature: Signature | None = None
    gates: GatesResult | None = None
    measurement_failure: str | None = None
    approved: ApprovalStatus | None = None
    void: str | None = None

    @property
    def barred(self) -> bool:
        """Whether it can be no champion, however good it is."""
        return self.archived or self.rejected is not None

    def metric(self, name: str) -> float | None:
        """A metric, or None if the version does not report it."""
        value = self.metrics.get(name)
        return float(value) if value is not None else None


@dataclass(frozen=True)
class Seen(Observation):
    """`versions` are the oldest first. `pinned_belongs_to` is the Model of the pinned version, where that is another one.

    `promote_outcome` is how the Job ended that records the next promotion.
    """

    versions: tuple[Version, ...] = ()
    pinned_belongs_to: str | None = None
    promote_outcome: Outcome | None = None

    def version(self, name: str | None) -> Version | None:
        """The version of that name, if it is one of the Model's."""
        return next((version for version in self.versions if version.name == name), None)


def observe(model: Model, cluster: Cluster) -> Seen:
    """Read all versions of a Model."""
    manifests = [
        each
        for each in cluster.referrers(MODEL_VERSION, model.reference)
        if each["spec"].get("model") == model.name and "deletionTimestamp" not in each["metadata"]
    ]
    found = [_version(model, each, _is_used(each, cluster)) for each in manifests]
    return Seen(
        **observe_basics(cluster),
        versions=tuple(sorted(found, key=lambda version: (version.created, version.name))),
        pinned_belongs_to=_other_model(model, cluster),
        promote_outcome=_promote_outcome(model, cluster),
    )


def _promote_outcome(model: Model, cluster: Cluster) -> Outcome | None:
    """The outcome of the Job `promote` of the next promotion that has no audit record."""
    promotion = next_unrecorded(model.status)
    if promotion is None:
        return None
    return find_job(model, names.job(model, promote_step(promotion), audit_attempt(model.status)), cluster).outcome


def _version(model: Model, manifest: Manifest, used: bool) -> Version:
    spec = ModelVersionSpec.model_validate(manifest["spec"])
    status = ModelVersionStatus.model_validate(manifest.get("status") or {})
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    return Version(
        name=manifest["metadata"]["name"],
        uid=manifest["metadata"]["uid"],
        created=manifest["metadata"]["creationTimestamp"],
        ready=ready is not None and ready.status == "True" and status.digest is not None,
        reason=ready.reason if ready else "Pending",
        digest=status.digest,
        metrics=status.metrics,
        test_digest=status.test_digest,
        used=used,
        owned=any(owner["uid"] == model.uid for owner in manifest["metadata"].get("ownerReferences") or ()),
        registered=spec.lineage is not None and (spec.lineage.experiment or spec.lineage.run) is not None,
        rejected=status.rejection.message or "no finding" if status.rejection else None,
        problem=status.problem if status.problem and not status.problem.rolled_back else None,
        namespace=manifest["metadata"]["namespace"],
        archived=spec.archived,
        data=spec.dataset_digest,
        signature=status.signature,
        gates=status.gates,
        measurement_failure=status.gates_retry.message if status.gates_retry else None,
        approved=status.approval,
        void=spec.approval.digest if spec.approval and spec.approval.digest != status.digest else None,
    )


def _is_used(manifest: Manifest, cluster: Cluster) -> bool:
    """Whether an InferenceService or a BatchInference uses it or is about to."""
    version = Reference(MODEL_VERSION, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
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
