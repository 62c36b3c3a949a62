"""What a rollout adds to a service: the second slot's servers, their Services, the routes, and the judge Job."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config.promotion import CanaryAnalysisConfig
from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, JOB, POD
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.plan import Child, ExistingChild, Patch
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import Duration, Number, Percent
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.children import deployment, selecting_service
from flywheel.kinds.inferenceservice.rollout.context import RolloutInProgress
from flywheel.kinds.inferenceservice.rollout.look_job import look_job
from flywheel.kinds.inferenceservice.rollout.observe import ROUTE_ANNOTATION, RolloutSeen, judge_name, judge_step
from flywheel.kinds.inferenceservice.rollout.transition import Transition
from flywheel.kinds.inferenceservice.runtimes.container import HTTP_PORT
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema import rollout as schema
from flywheel.kinds.inferenceservice.schema.rollout import Rollout
from flywheel.kinds.inferenceservice.slots import ROLES, Slot, other_slot

NO_FORWARDING: Mapping[str, Any] = {"v": 1}
ROUTE_TIMEOUT = timedelta(minutes=2)  # the kubelet syncs a changed ConfigMap within its minute, if nothing triggers it
JUDGE_MARGIN = timedelta(minutes=2)
JUDGE_RESOURCES = Resources(requests={"cpu": "20m", "memory": "64Mi"})


def rollout_children(
    service: InferenceService, transition: Transition, settings: Settings
) -> tuple[Child | ExistingChild, ...]:
    """The objects beside those of the active slot; none for a service that never had a rollout."""
    challenger, before = transition.challenger, service.status.rollout
    found: list[Child | ExistingChild] = []
    for slot, content in _routes(service, transition).items():
        data = {"route.json": json.dumps(content, sort_keys=True)}
        found.append(Child(CONFIG_MAP, CONFIG_MAP.manifest(slots.route_name(service, slot), data=data)))
    if challenger is not None:
        # The judge reads the metrics of each pod, also of one that is not ready.
        headless = {"clusterIP": "None", "publishNotReadyAddresses": True}
        found += [selecting_service(service, slots.slot_service_name(service, slot), slot) for slot in ROLES]
        found += [
            selecting_service(service, slots.headless_service_name(service, slot), slot, **headless) for slot in ROLES
        ]
        slot = other_slot(transition.active)
        found.append(deployment(service, challenger, settings, slot, transition.challenger_replicas))
    if before is not None and transition.retain_judge:
        found.append(ExistingChild(JOB, judge_name(service, before)))
    if transition.judge is not None:
        judged, test = transition.judge, transition.judge.spec.ab_test
        found.append(look_job(judged, test) if test is not None else judge_job(judged))
    return tuple(found)


def route_touches(service: InferenceService, seen: RolloutSeen, transition: Transition) -> tuple[Patch, ...]:
    """Annotations with the digest of each pod's route: the kubelet syncs a ConfigMap at once when a pod's annotations change.

    Measured: 0.3 s instead of up to a minute.
    """
    wanted = {slot: _route_digest(content) for slot, content in _routes(service, transition).items()}
    initial = _route_digest(NO_FORWARDING)
    patches = []
    for pod in seen.pods if wanted else ():
        metadata, digest = pod["metadata"], wanted[slots.slot_of(pod) or "a"]
        if (metadata.get("annotations") or {}).get(ROUTE_ANNOTATION, initial) != digest:
            patches.append(Patch(POD, metadata["name"], metadata["uid"], {ROUTE_ANNOTATION: digest}))
    return tuple(patches)


def _routes(service: InferenceService, transition: Transition) -> dict[Slot, Mapping[str, Any]]:
    """The routes of both slots; every server mounts that of its slot, since before it existed."""
    spec = service.spec.rollout
    return {} if spec is None else {slot: _route(service, spec, transition, slot) for slot in ROLES}


def _route(service: InferenceService, spec: Rollout, transition: Transition, slot: Slot) -> Mapping[str, Any]:
    """The route of a slot's servers (images/README.md, "The route").

    Servers on standby forward everything, so that a client that keeps its connection to them gets the new version's responses too.
    """
    if transition.challenger is None:
        return NO_FORWARDING
    if slot == transition.active:
        percent = transition.percent
        if percent is None:
            return NO_FORWARDING
        test = transition.status.test if transition.status is not None else None
        return _challenge_route(service, spec, transition.challenger, slot, percent, test or "")
    if transition.status is None or transition.status.phase != "Promoted":
        return NO_FORWARDING
    return _forwarding_route(service, spec, transition.champion, slot, 100)


def _challenge_route(
    service: InferenceService, spec: Rollout, challenger: ResolvedVersion, slot: Slot, percent: int, test: str
) -> dict[str, Any]:
    content = _forwarding_route(service, spec, challenger, slot, percent)
    if spec.canary is not None and spec.canary.sticky is not None:
        content["sticky"] = {"header": spec.canary.sticky.header.lower()}
    if spec.ab_test is not None:
        content |= {"mode": "ABTest", "test": test}
        if spec.ab_test.sticky is not None:
            content["sticky"] = {"header": spec.ab_test.sticky.header.lower()}
    if spec.shadow is not None:
        tolerance = spec.shadow.tolerance or schema.Tolerance()
        content["mode"] = "Shadow"
        content["tolerance"] = {
            "absolute": Number(tolerance.absolute or schema.DEFAULT_ABSOLUTE_TOLERANCE).value,
            "relative": Number(tolerance.relative or schema.DEFAULT_RELATIVE_TOLERANCE).value,
        }
    return content


def _forwarding_route(
    service: InferenceService, spec: Rollout, to: ResolvedVersion, slot: Slot, percent: int
) -> dict[str, Any]:
    host = f"{slots.slot_service_name(service, other_slot(slot))}.{service.namespace}.svc"
    return {
        "v": 1,
        "mode": "Canary",
        "percent": percent,
        "challenger": {"version": to.version, "host": host, "port": HTTP_PORT},
        "timeoutSeconds": float(Duration(spec.timeout or schema.DEFAULT_TIMEOUT).seconds),
    }


def _route_digest(content: Mapping[str, Any]) -> str:
    return names.digest(dict(content))[:16]


def judge_job(rollout: RolloutInProgress) -> Child:
    """The Job that measures one step, from both sides' metrics."""
    service, status = rollout.service, rollout.status
    step = Step(
        name=judge_step(status),
        attempt=(status.judgements or 0) + 1,
        image=rollout.settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "judge"),
        params=_analysis(rollout).document(),
        outputs=("examples",) if status.mode == "Shadow" else (),
        timeout=rollout.max_duration + ROUTE_TIMEOUT + JUDGE_MARGIN,
        resources=JUDGE_RESOURCES,
        placement=service.spec.placement.model_copy(update={"node_selector": {}}),
        pull_secrets=service.spec.image_pull_secrets,
    )
    return step_job(service, step, rollout.settings)


def _analysis(rollout: RolloutInProgress) -> CanaryAnalysisConfig:
    """What the Job measures, and against which limits."""
    service, active = rollout.service, rollout.seen.active
    return CanaryAnalysisConfig.model_validate(
        {
            "mode": rollout.status.mode,
            "model": service.name,
            "percent": rollout.step.percent,
            "seconds": int(rollout.step.duration.timedelta.total_seconds()),
            "atMostSeconds": int(rollout.max_duration.total_seconds()),
            "takesUpSeconds": int(ROUTE_TIMEOUT.total_seconds()),
            "champion": _side(service, rollout.champion, active),
            "challenger": _side(service, rollout.wanted, other_slot(active)),
            "limits": limits(rollout.spec),
        }
    )


def limits(spec: Rollout) -> dict[str, Any]:
    """The limits as the judge reads them, shares as fractions."""
    if spec.shadow is not None:
        return {
            "maxDisagreement": Percent(spec.shadow.max_disagreement or schema.DEFAULT_MAX_DISAGREEMENT).fraction,
            "minRequests": spec.shadow.min_requests or schema.DEFAULT_MIN_REQUESTS,
        }
    analysis = (spec.canary.analysis if spec.canary else None) or schema.CanaryAnalysis()
    return {
        "maxErrorRate": Percent(analysis.max_error_rate or schema.DEFAULT_MAX_ERROR_RATE).fraction,
        "maxP99Ratio": Number(analysis.max_p99_ratio or schema.DEFAULT_MAX_P99_RATIO).value,
        "minRequests": analysis.min_requests or schema.DEFAULT_MIN_REQUESTS,
    }


def _side(service: InferenceService, target: ResolvedVersion, slot: Slot) -> dict[str, Any]:
    host = f"{slots.headless_service_name(service, slot)}.{service.namespace}.svc"
    return {"version": target.version, "host": host, "port": HTTP_PORT}
