"""What a rollout adds to a service: the second slot's servers, their Services, the routes, and the judge Job."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, JOB, POD, SERVICE
from flywheel.core.resource.model_reference import Target
from flywheel.core.resource.plan import Child, Kept, Touch
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import Duration, Number, Percent
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import slots
from flywheel.kinds.inferenceservice.children import deployment, named, ports
from flywheel.kinds.inferenceservice.rollout.observe import ROUTE_ANNOTATION, Facts, judge_name, judge_step
from flywheel.kinds.inferenceservice.rollout.transition import Move, at_most, step_now
from flywheel.kinds.inferenceservice.runtimes.ports import HTTP_PORT
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema import rollout as schema
from flywheel.kinds.inferenceservice.schema.rollout import Rollout, RolloutStatus
from flywheel.kinds.inferenceservice.slots import Arrangement, Slot, other

ALONE: Mapping[str, Any] = {"v": 1}
TAKES_UP = timedelta(minutes=2)  # the kubelet brings a changed ConfigMap within its minute, if nobody nudges it
MARGIN = timedelta(minutes=2)
JUDGE_RESOURCES = Resources(requests={"cpu": "20m", "memory": "64Mi"})


def arrangement(service: InferenceService, move: Move, settings: Settings, *, one_by_one: bool) -> Arrangement:
    """What stands where after this move. A service that never had a rollout has one slot and nothing more."""
    more: list[Child | Kept] = []
    if service.spec.rollout is not None:
        more += [route_map(service, slot, route(service, move, slot)) for slot in slots.ROLES]
    if move.challenger is not None:
        away = other(move.active)
        more += [make(service, slot) for make in (slot_service, pods_service) for slot in slots.ROLES]
        more.append(deployment(service, move.challenger, settings, away, move.count))
    before = service.status.rollout
    if before is not None and move.kept:
        more.append(Kept(JOB, judge_name(service, before)))
    if move.status is not None and move.judge and move.challenger is not None and move.champion is not None:
        more.append(judge_job(service, move, move.status, settings))
    both = move.active == "b" or move.challenger is not None
    return Arrangement(move.active, both=both, one_by_one=one_by_one, more=tuple(more))


def touches(service: InferenceService, facts: Facts, move: Move) -> tuple[Touch, ...]:
    """The kubelet brings a changed ConfigMap at once to a pod whose annotations change (measured: 0.3 s instead of up to a minute)."""
    if service.spec.rollout is None:
        return ()
    wanted = {slot: names.digest(dict(route(service, move, slot)))[:16] for slot in slots.ROLES}
    alone = names.digest(dict(ALONE))[:16]
    return tuple(
        Touch(POD, pod.name, pod.uid, {ROUTE_ANNOTATION: wanted[pod.slot]})
        for pod in facts.pods
        if (pod.route or alone) != wanted[pod.slot]
    )


def route(service: InferenceService, move: Move, slot: Slot) -> Mapping[str, Any]:
    """What a slot's servers are told (images/README.md, "The route").

    Those kept warm after a promotion send everything on: a client that keeps its connection to them gets the new version's answers too.
    """
    rollout = service.spec.rollout
    if rollout is None or move.challenger is None or move.champion is None:
        return ALONE
    if slot == move.active:
        return ALONE if move.percent is None else _shared(service, rollout, move.challenger, slot, move.percent)
    if move.status is None or move.status.phase != "Promoted":
        return ALONE
    return _forwarded(service, rollout, move.champion, slot, 100)


def _shared(
    service: InferenceService, rollout: Rollout, challenger: Target, slot: Slot, percent: int
) -> dict[str, Any]:
    told = _forwarded(service, rollout, challenger, slot, percent)
    if rollout.canary is not None and rollout.canary.sticky is not None:
        told["sticky"] = {"header": rollout.canary.sticky.header.lower()}
    if rollout.shadow is not None:
        tolerance = rollout.shadow.tolerance or schema.Tolerance()
        told["mode"] = "Shadow"
        told["tolerance"] = {
            "absolute": Number(tolerance.absolute or schema.ABSOLUTE).value,
            "relative": Number(tolerance.relative or schema.RELATIVE).value,
        }
    return told


def _forwarded(service: InferenceService, rollout: Rollout, to: Target, slot: Slot, percent: int) -> dict[str, Any]:
    host = f"{slots.host_name(service, other(slot))}.{service.namespace}.svc"
    return {
        "v": 1,
        "mode": "Canary",
        "percent": percent,
        "challenger": {"version": to.version, "host": host, "port": HTTP_PORT},
        "timeoutSeconds": float(Duration(rollout.timeout or schema.TIMEOUT).seconds),
    }


def route_map(service: InferenceService, slot: Slot, told: Mapping[str, Any]) -> Child:
    """Every server of the slot has mounted it since before it existed."""
    return named(
        CONFIG_MAP, slots.route_name(service, slot), {"data": {"route.json": json.dumps(told, sort_keys=True)}}
    )


def slot_service(service: InferenceService, slot: Slot) -> Child:
    """Whom the champion forwards to: one slot's ready servers."""
    return named(
        SERVICE, slots.host_name(service, slot), {"spec": {"ports": ports(), "selector": slots.selector(service, slot)}}
    )


def pods_service(service: InferenceService, slot: Slot) -> Child:
    """Headless: the judge asks each pod for its numbers, also one that is just not ready."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "ports": ports(),
        "selector": slots.selector(service, slot),
    }
    return named(SERVICE, slots.pods_name(service, slot), {"spec": spec})


def judge_job(service: InferenceService, move: Move, status: RolloutStatus, settings: Settings) -> Child:
    """Measures one step, from both sides' metrics."""
    rollout, length = service.spec.rollout, step_now(service, status).duration.timedelta
    longest = at_most(service, status)
    assert rollout is not None, "who has no rollout has no judge"
    assert move.champion is not None, "a judge compares with a champion"
    assert move.challenger is not None, "a judge compares a challenger"
    step = Step(
        name=judge_step(status),
        attempt=(status.judgements or 0) + 1,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "judge"),
        params={
            "mode": status.mode,
            "model": service.name,
            "percent": move.percent,
            "seconds": int(length.total_seconds()),
            "atMostSeconds": int(longest.total_seconds()),
            "takesUpSeconds": int(TAKES_UP.total_seconds()),
            "champion": _side(service, move.champion, move.active),
            "challenger": _side(service, move.challenger, other(move.active)),
            "limits": limits(rollout),
        },
        outputs=("examples",) if status.mode == "Shadow" else (),
        timeout=longest + TAKES_UP + MARGIN,
        resources=JUDGE_RESOURCES,
        placement=service.spec.placement.model_copy(update={"node_selector": {}}),
        pull_secrets=service.spec.image_pull_secrets,
    )
    return step_job(service, step, settings)


def limits(rollout: Rollout) -> dict[str, Any]:
    """As the judge reads them: shares as fractions."""
    if rollout.shadow is not None:
        return {
            "maxDisagreement": Percent(rollout.shadow.max_disagreement or schema.DISAGREEMENT).fraction,
            "minRequests": rollout.shadow.min_requests or schema.REQUESTS,
        }
    assert rollout.canary is not None, "the schema lets no rollout in without one of them"
    analysis = rollout.canary.analysis or schema.CanaryAnalysis()
    return {
        "maxErrorRate": Percent(analysis.max_error_rate or schema.ERROR_RATE).fraction,
        "maxP99Ratio": Number(analysis.max_p99_ratio or schema.P99_RATIO).value,
        "minRequests": analysis.min_requests or schema.REQUESTS,
    }


def _side(service: InferenceService, target: Target, slot: Slot) -> dict[str, Any]:
    host = f"{slots.pods_name(service, slot)}.{service.namespace}.svc"
    return {"version": target.version, "host": host, "port": HTTP_PORT}
