"""What `decide` may know of a ModelVersion: its Jobs, its Model, the rollouts that rejected it, and who uses it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flywheel.core.diagnosis.attempt_state import AttemptState, find_job
from flywheel.core.resource import names
from flywheel.core.resource.api import (
    BATCH_INFERENCE,
    INFERENCE_SERVICE,
    MODEL,
    MODEL_MONITOR,
    MODEL_VERSION,
    Manifest,
    Reference,
)
from flywheel.core.resource.conditions import READY, is_true
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.core.resource.model_reference import find_users
from flywheel.kinds.batchinference.schema import versions_in_use as batchinference
from flywheel.kinds.inferenceservice import schema as inferenceservice
from flywheel.kinds.inferenceservice.schema import InferenceServiceStatus
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import ModelStatus, Promotion
from flywheel.kinds.modelmonitor.schema.problems import ProblemKind, problem_kind, refuses_labels, summarize_finding
from flywheel.kinds.modelversion.children import CLEAR_REJECTION_ANNOTATION, VERIFY, VERIFY_ANNOTATION, ModelVersion
from flywheel.kinds.modelversion.gates.gates_job import Measurement, MeasurementRequest, gates_step
from flywheel.kinds.modelversion.gates.preparations import own_preparation
from flywheel.kinds.modelversion.gates.traffic import observe_traffic
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.modelversion.schema.status import Rejection

LABELS_REFUSED = "LabelsRefused"  # reason of a problem that labels are which do not count
RETURN_REASONS = ("RolledBack", "Archived", "Pinned")  # of promotions that no gain over another version decided


@dataclass(frozen=True)
class Champion:
    """The version is champion, `since` when it took over, also of the services' traffic.

    `has_returned`: a return or a pin made it champion, so that it does not count as new. `rollback_kinds`: the problems for which it is taken
    back within `bake_time`, if one of `rollback_monitors` finds them. `has_predecessor`: an earlier champion can take its place.
    `tolerated`: the problems (monitor, kind, since) for which it was not taken back before, but not labels that did not count.
    """

    since: datetime
    is_pinned: bool = False
    has_returned: bool = False
    rollback_kinds: tuple[str, ...] = ()
    rollback_monitors: tuple[str, ...] = ()
    bake_time: timedelta | None = None
    has_predecessor: bool = False
    tolerated: frozenset[tuple[str, str, datetime]] = frozenset()


@dataclass(frozen=True)
class FoundProblem:
    """What a monitor found of the version. `has_refused_labels`: labels that do not count, so that nobody knows whether it has the problem."""

    monitor: str
    service: str
    kind: ProblemKind
    since: datetime
    message: str
    has_refused_labels: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen(AttemptState, Observation):
    """`attempt` is the one that runs or comes next; `outcome` and `diagnosis` are of its Job.

    `verify_request` and `clear_request` are the values of the annotations by which users ask for another verification, and clear a
    rejection. `objective` is the Model's metric, for the summary. `champion` is None where the version is
    none. `rejections` are those of all rollouts, oldest first, and `problems` what monitors found of it. `measurement` is
    what the Model needs measured; None where it needs nothing.
    """

    attempt: int
    verify_request: str
    champion: Champion | None = None
    objective: str | None = None
    rejections: tuple[Rejection, ...] = ()
    problems: tuple[FoundProblem, ...] = ()
    clear_request: str = ""
    measurement: Measurement | None = None
    served_by: tuple[str, ...] = ()
    scored_by: tuple[str, ...] = ()


def observe(version: ModelVersion, cluster: Cluster) -> Seen:
    """Read the verify Job of the next attempt, the Model, and who uses the version."""
    attempt = (version.status.attempts or 0) + 1
    model = cluster.get(Reference(MODEL, version.namespace, version.spec.model)) or {}
    objective = ModelSpec.model_validate(model.get("spec") or {}).objective
    return Seen(
        **observe_basics(cluster),
        attempt=attempt,
        verify_request=version.annotations.get(VERIFY_ANNOTATION, "")[:128],
        champion=_champion(version, model, cluster),
        objective=objective.metric if objective else None,
        rejections=tuple(sorted(_rejections(version, cluster), key=lambda each: each.at)),
        problems=tuple(_problems(version, cluster)),
        clear_request=version.annotations.get(CLEAR_REJECTION_ANNOTATION, "")[:128],
        measurement=_measurement(version, model, cluster),
        served_by=find_users(version.reference, INFERENCE_SERVICE, inferenceservice.versions_in_use, cluster)[:50],
        scored_by=find_users(version.reference, BATCH_INFERENCE, batchinference.versions_in_use, cluster)[:50],
        **vars(find_job(version, names.job(version, VERIFY, attempt), cluster)),
    )


def _champion(version: ModelVersion, model: Manifest, cluster: Cluster) -> Champion | None:
    status, spec = (
        ModelStatus.model_validate(model.get("status") or {}),
        ModelSpec.model_validate(model.get("spec") or {}),
    )
    if status.champion != version.name:
        return None
    promoted = [each for each in status.history if each.version == version.name]
    # A service that rolls out step by step took the version up later than the Model.
    rollouts = [
        InferenceServiceStatus.model_validate(service.get("status") or {}).rollout
        for service in cluster.referrers(INFERENCE_SERVICE, version.reference)
    ]
    served = [each.since for each in rollouts if each and each.phase == "Promoted" and each.challenger == version.name]
    return Champion(
        since=max((*(each.since for each in promoted[-1:]), *served), default=version.created),
        is_pinned=spec.champion == version.name,
        has_returned=_has_returned(version, promoted),
        rollback_kinds=spec.rollback.when if spec.rollback else (),
        rollback_monitors=spec.rollback.monitors if spec.rollback else (),
        bake_time=spec.rollback.bake_time.timedelta if spec.rollback else None,
        has_predecessor=any(_can_return(version, each, cluster) for each in status.history),
        tolerated=frozenset(
            (each.monitor, each.kind, each.since)
            for each in status.tolerated
            if each.version == version.name and each.reason != LABELS_REFUSED
        ),
    )


def _has_returned(version: ModelVersion, promoted: Sequence[Promotion]) -> bool:
    """Whether a return or a pin is the last of its promotions, or it was champion before: a problem that it has is no news of it.

    A version whose rejection was cleared is offered anew.
    """
    was_champion = len(promoted) > 1 and version.status.rejection_cleared is None
    return bool(promoted) and (promoted[-1].reason in RETURN_REASONS or was_champion)


def _can_return(version: ModelVersion, promotion: Promotion, cluster: Cluster) -> bool:
    """Whether an earlier champion can be champion again: the same artifact, verified, and neither archived nor rejected."""
    found = cluster.get(Reference(MODEL_VERSION, version.namespace, promotion.version))
    if found is None or promotion.version == version.name or found["spec"].get("model") != version.spec.model:
        return False
    status = found.get("status") or {}
    is_barred = found["spec"].get("archived") or status.get("rejection")
    return is_true(found, READY) and not is_barred and status.get("digest") == promotion.digest


def _problems(version: ModelVersion, cluster: Cluster) -> Iterator[FoundProblem]:
    """The findings of monitors about this version that are problems of it and say since when."""
    for monitor in cluster.referrers(MODEL_MONITOR, version.reference):
        for found in (monitor.get("status") or {}).get("findings") or ():
            kind = problem_kind(found) if found.get("version") == version.name and found.get("since") else None
            if kind is not None:
                since = datetime.fromisoformat(found["since"])
                name, service = monitor["metadata"]["name"], str(monitor["spec"].get("inferenceService") or "")
                yield FoundProblem(name, service, kind, since, summarize_finding(found), refuses_labels(found))


def _measurement(version: ModelVersion, model: Manifest, cluster: Cluster) -> Measurement | None:
    """What is to be measured, if the Model nominates this version and its status is of its present gates."""
    status = ModelStatus.model_validate(model.get("status") or {})
    spec = ModelSpec.model_validate(model.get("spec") or {})
    challenger, data = status.challenger, version.spec.dataset_digest
    if challenger is None or challenger.version != version.name or challenger.gates != spec.gates_hash():
        return None
    if version.status.digest is None or (data is None and any(gate.needs_data for gate in spec.gates)):
        return None
    champion = _spec_of(version, challenger.champion, cluster)
    request = MeasurementRequest(
        model=version.spec.model,
        digest=str(version.status.digest),
        data=str(data) if data is not None else None,
        champion=challenger.champion,
        champion_digest=challenger.champion_digest,
        champion_data=champion.dataset_digest if champion is not None else None,
        gates=tuple(spec.measured_gates()),
        gates_hash=challenger.gates,
        objective=str(spec.objective.metric) if spec.objective else None,
        own=own_preparation(version.spec, champion) if champion is not None else None,
        traffic=observe_traffic(version, spec.traffic_gates, cluster) if challenger.champion is not None else None,
    )
    retry = version.status.gates_retry
    attempt = retry.attempts + 1 if retry and retry.question == request.short else 1
    state = find_job(version, names.job(version, gates_step(request), attempt), cluster)
    return Measurement(request=request, attempt=attempt, **vars(state))


def _spec_of(version: ModelVersion, name: str | None, cluster: Cluster) -> ModelVersionSpec | None:
    manifest = cluster.get(Reference(MODEL_VERSION, version.namespace, name)) if name else None
    return ModelVersionSpec.model_validate(manifest["spec"]) if manifest else None


def _rejections(version: ModelVersion, cluster: Cluster) -> Iterator[Rejection]:
    """The rejections of this version, which each InferenceService has of its own rollouts."""
    for service in cluster.referrers(INFERENCE_SERVICE, version.reference):
        rollout = inferenceservice.InferenceServiceStatus.model_validate(service.get("status") or {}).rollout
        for each in rollout.rejected if rollout else ():
            if each.version == version.name:
                name = service["metadata"]["name"]
                yield Rejection(service=name, at=each.at, message=each.message, numbers=each.numbers)
