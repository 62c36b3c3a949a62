"""All facts that matter to an InferenceService."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial

from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource.api import MODEL_VERSION, Manifest, Reference
from flywheel.core.resource.conditions import READY, is_true
from flywheel.core.resource.kind import Cluster, Observation, observe_basics
from flywheel.core.resource.model_reference import (
    ResolvedVersion,
    UnresolvedReference,
    require_approval,
    resolve_version,
)
from flywheel.kinds.inferenceservice import explanations
from flywheel.kinds.inferenceservice.logging import prediction_logging
from flywheel.kinds.inferenceservice.model_health import CHECK_INTERVAL, IN_PROCESS_CHECK_INTERVAL, diagnose_model
from flywheel.kinds.inferenceservice.rollout import observe as rollout_observe
from flywheel.kinds.inferenceservice.runtimes import container
from flywheel.kinds.inferenceservice.scaling.observe import AutoscalerSeen, observe_autoscaler
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.servers import NO_SERVERS, Servers
from flywheel.kinds.inferenceservice.slots import Slot
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus


@dataclass(frozen=True)
class Seen(Observation):
    """What was observed of a service.

    `model_diagnosis` says whether calls of the model were ended lately, which is checked again after `model_check_interval`.
    `version`: what the spec's reference resolves to, or why it does not. `servers` and `diagnosis` are of the active slot, which the
    front Service selects. `rollout` has the other slot.
    """

    version: ResolvedVersion | UnresolvedReference
    servers: Servers = NO_SERVERS
    diagnosis: Diagnosis | None = None
    model_check_interval: timedelta | None = None
    model_diagnosis: Diagnosis | None = None
    logging_note: str = ""  # why no predictions are logged
    batching_note: str = ""  # why spec.batching has no effect
    explanation_note: str = ""  # by which method answers are explained, or why they are not
    autoscaler: AutoscalerSeen = field(default_factory=AutoscalerSeen)
    rollout: rollout_observe.RolloutSeen = field(default_factory=rollout_observe.RolloutSeen)

    @property
    def wanted(self) -> ResolvedVersion | None:
        """The version that the spec asks for, where it is available."""
        return self.version if isinstance(self.version, ResolvedVersion) else None

    @property
    def missing(self) -> UnresolvedReference | None:
        """Why the version that the spec asks for is not available."""
        return self.version if isinstance(self.version, UnresolvedReference) else None

    def with_active(self, slot: Slot) -> "Seen":
        """The same after the pointer has moved to that slot, if it is the other one."""
        if slot == self.rollout.active:
            return self
        rollout = replace(self.rollout, active=slot, other=self.servers, diagnosis=self.diagnosis)
        return replace(self, servers=self.rollout.other, diagnosis=self.rollout.diagnosis, rollout=rollout)


def observe(service: InferenceService, cluster: Cluster) -> Seen:
    """Read the Model or version, the Deployments with their pods, the autoscaler and the judge."""
    active = rollout_observe.active_slot(service, cluster)
    servers, diagnosis, pods = rollout_observe.observe_slot(service, cluster, active)
    version = resolve_version(service.namespace, service.spec.model, service.spec.version, cluster)
    if service.spec.version is not None:
        version = require_approval(service.namespace, version, cluster)
    status = _version_status(service, version, cluster)
    interval, model_diagnosis, unready_diagnosis = _observe_model(service, version, pods, cluster)
    return Seen(
        **observe_basics(cluster),
        version=version,
        servers=servers,
        diagnosis=diagnosis or unready_diagnosis,
        model_check_interval=interval,
        model_diagnosis=model_diagnosis,
        logging_note=_logging_note(service, status),
        batching_note=_batching_note(service, status),
        explanation_note=explanations.method_note(service.spec.explain, status.explanation),
        autoscaler=observe_autoscaler(service, cluster),
        rollout=rollout_observe.observe_rollout(service, cluster, active, pods, status),
    )


def _observe_model(
    service: InferenceService,
    version: ResolvedVersion | UnresolvedReference,
    pods: list[Manifest],
    cluster: Cluster,
) -> tuple[timedelta | None, Diagnosis | None, Diagnosis | None]:
    """When to check again, and what our servers report of their model: all, and those not ready.

    A model that may be computed in worker processes is checked more often. A version that an earlier build verified does not say
    whether its model is one.
    """
    if not container.is_ours(service.spec.runtime):
        return None, None, None
    name = version.version if isinstance(version, ResolvedVersion) else ""
    found = cluster.get(Reference(MODEL_VERSION, service.namespace, name)) if name else None
    isolated = found is not None and (found.get("status") or {}).get("isolated") != ""
    events = cache(partial(cluster.events, service.namespace))
    unready = diagnose_model([pod for pod in pods if not is_true(pod, READY)], events, cluster.now)
    interval = CHECK_INTERVAL if isolated else IN_PROCESS_CHECK_INTERVAL
    return interval, diagnose_model(pods, events, cluster.now), unready


def _version_status(
    service: InferenceService, version: ResolvedVersion | UnresolvedReference, cluster: Cluster
) -> ModelVersionStatus:
    """The status of the wanted ModelVersion, for services with logging, batching, explanations or a rollout; empty for others."""
    spec = service.spec
    is_needed = any(part is not None for part in (spec.logging, spec.batching, spec.explain, spec.rollout))
    if isinstance(version, UnresolvedReference) or not is_needed:
        return ModelVersionStatus()
    found = cluster.get(Reference(MODEL_VERSION, service.namespace, version.version)) or {}
    return ModelVersionStatus.model_validate(found.get("status") or {})


def _logging_note(service: InferenceService, status: ModelVersionStatus) -> str:
    """What in spec.logging does not match the version's signature, where that is known."""
    tensors = (*status.signature.inputs, *status.signature.outputs) if status.signature else ()
    return prediction_logging.mismatch_note(service.spec.logging, {each.name: each.datatype for each in tensors})


def _batching_note(service: InferenceService, status: ModelVersionStatus) -> str:
    """Why the server does not batch requests although spec.batching is set, as verification found it."""
    batching = service.spec.batching
    if batching is None or batching.max_batch_size == 1 or not status.row_mixing:
        return ""
    return f" Batching is off: {status.row_mixing}, so that a row's output could depend on the rows of other requests."
