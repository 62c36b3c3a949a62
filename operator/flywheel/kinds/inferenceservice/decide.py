"""What an InferenceService needs next.

Ready means: every server that should run has responded to a warm-up request. While a new template rolls out, old servers serve until a
new one is ready, so Ready stays True and Reconciling reports the progress. Nothing that goes missing upstream stops a server.
"""

from dataclasses import replace
from datetime import timedelta

from flywheel.core.requeue import PENDING_CHECK_INTERVAL
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.core.resource.plan import Decision, Plan
from flywheel.core.resource.restrictions import find_violation
from flywheel.kinds.inferenceservice import messages
from flywheel.kinds.inferenceservice.children import service_children
from flywheel.kinds.inferenceservice.environment import refused_names
from flywheel.kinds.inferenceservice.model_health import CHECK_INTERVAL
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.rollout.capacity import ONE_BY_ONE_MESSAGE, replaces_one_by_one
from flywheel.kinds.inferenceservice.rollout.children import rollout_children, route_touches
from flywheel.kinds.inferenceservice.rollout.context import RolloutContext
from flywheel.kinds.inferenceservice.rollout.state_machine import next_transition
from flywheel.kinds.inferenceservice.rollout.transition import Transition
from flywheel.kinds.inferenceservice.scaling.replicas import desired_replicas, replica_limits
from flywheel.kinds.inferenceservice.schema import InferenceService, InferenceServiceStatus
from flywheel.kinds.inferenceservice.slots import Layout, slot_labels

API_CHECK_INTERVAL = timedelta(seconds=60)  # the installation of an API causes no reconcile


def decide(service: InferenceService, seen: Seen) -> Plan:
    """The plan for what is observed: the transition of a rollout, then the state of the champion's servers."""
    transition = _transition(service, seen)
    if isinstance(transition, UnresolvedReference):
        return nothing_was_ever_served(service, seen, transition)
    refused = refused_names(service, seen.settings)
    if refused and _served_version(service, seen) is None:
        return environment_is_refused(service, seen, refused)
    target, seen = transition.champion, seen.with_active(transition.active)
    decision = (
        no_server_should_run(service, seen, target)
        or servers_are_not_ready(service, seen, target)
        or autoscaler_changes_replicas(service, seen, target)
        or new_servers_replace_old_ones(service, seen, target)
        or (transition.decision if seen.missing is None else None)
        or served_version_is_unavailable(seen)
        or autoscaler_cannot_measure(service, seen)
        or model_calls_were_ended(service, seen)
        or variables_are_ignored(service, seen, refused)
        or all_servers_are_ready(service, seen, target)
    )
    return _plan(service, seen, transition, decision)


def _transition(service: InferenceService, seen: Seen) -> Transition | UnresolvedReference:
    """The transition of this pass; or why there is still nothing to serve."""
    champion = _served_version(service, seen)
    if champion is None:
        return (
            Transition(seen.version, seen.rollout.active) if isinstance(seen.version, ResolvedVersion) else seen.version
        )
    if service.spec.rollout is None:
        # Of a forbidden spec the servers stay as they are, and so does the version.
        forbidden = find_violation(service.spec, seen.settings) is not None
        return Transition(champion if forbidden else seen.wanted or champion, seen.rollout.active)
    return next_transition(
        RolloutContext(
            service=service,
            spec=service.spec.rollout,
            settings=seen.settings,
            now=seen.now,
            champion=champion,
            servers=seen.servers,
            wanted=seen.wanted,
            status=service.status.rollout,
            seen=seen.rollout,
        )
    )


def _served_version(service: InferenceService, seen: Seen) -> ResolvedVersion | None:
    """The version of the active slot's servers; without a Deployment, that of the status."""
    if seen.servers.target is not None:
        return seen.servers.target
    status = service.status
    return ResolvedVersion(status.version, str(status.digest)) if status.version and status.digest else None


def nothing_was_ever_served(service: InferenceService, seen: Seen, missing: UnresolvedReference) -> Plan:
    """The service waits for a first version."""
    return Plan(
        ready=False,
        reason=missing.reason,
        message=f"Waiting to serve: {missing.message}",
        status=_status(service, seen),
        summary="waiting for a model",
        children=None,  # a Deployment that cannot be read is better left alone
    )


def environment_is_refused(service: InferenceService, seen: Seen, refused: tuple[str, ...]) -> Plan:
    """A service that never served, with a variable that our own server must not get: no server starts."""
    return Plan(
        ready=False,
        reason="EnvNotAllowed",
        message=messages.refused_environment(refused, seen.settings),
        status=_status(service, seen),
        summary="env is not allowed",
        children=None,
    )


def no_server_should_run(service: InferenceService, seen: Seen, target: ResolvedVersion) -> Decision | None:
    """A user suspended the service or scaled it to 0, which is no failure; 0 of 0 servers are ready, so replicas: 0 is Ready."""
    if _desired_replicas(service, seen) > 0:
        return None
    return Decision(
        ready=not service.spec.suspend,
        progressing=seen.servers.existing > 0,
        reason="Suspended" if service.spec.suspend else "NoReplicas",
        message=messages.no_servers(service, target),
    )


def servers_are_not_ready(service: InferenceService, seen: Seen, target: ResolvedVersion) -> Decision | None:
    """Fewer servers are ready than required, whatever their version."""
    ready, required = seen.servers.ready, replica_limits(service)[0]
    if ready >= required:
        return None
    reason, message = "Starting", f"Servers of version '{target.version}' start."
    if seen.diagnosis is not None:
        reason, message = seen.diagnosis.reason, seen.diagnosis.message
    return Decision(
        ready=False,
        reason=reason,
        message=f"{ready} of {required} servers are ready. {message}{messages.unavailable(seen.missing)}",
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def autoscaler_changes_replicas(service: InferenceService, seen: Seen, target: ResolvedVersion) -> Decision | None:
    """Enough servers are ready, all have the newest template, and others start or stop."""
    servers, count = seen.servers, _desired_replicas(service, seen)
    same_template = servers.updated == servers.existing and servers.has_template_of(service, target, seen.settings)
    if (
        service.spec.scaling is None
        or not same_template
        or not servers.settled
        or _is_rolled_out(service, seen, target)
    ):
        return None
    message = f"{servers.ready} servers are ready with version '{target.version}', and the autoscaler asks for {count}."
    return _servers_change(seen, "ScalingStuck" if seen.diagnosis else "Scaling", message)


def new_servers_replace_old_ones(service: InferenceService, seen: Seen, target: ResolvedVersion) -> Decision | None:
    """Enough servers are ready, but not all of them have the newest template."""
    servers, count = seen.servers, _desired_replicas(service, seen)
    if _is_rolled_out(service, seen, target):
        return None
    current = servers.settled and servers.has_template_of(service, target, seen.settings)
    replaced = min(servers.updated, count) if current else 0
    message = f"Version '{target.version}' rolls out: {replaced} of {count} servers are replaced, and {servers.ready} are ready meanwhile."
    return _servers_change(seen, "RolloutStuck" if seen.diagnosis else "RollingOut", message)


def _servers_change(seen: Seen, reason: str, message: str) -> Decision:
    diagnosis = f" {seen.diagnosis.message}" if seen.diagnosis else ""
    return Decision(
        ready=True,
        progressing=True,
        reason=reason,
        message=f"{message}{diagnosis}{messages.unavailable(seen.missing)}",
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def served_version_is_unavailable(seen: Seen) -> Decision | None:
    """The Model, its champion or the version is missing or not verified; the servers stay."""
    if seen.missing is None:
        return None
    message = f"All servers are ready.{messages.unavailable(seen.missing)}"
    return Decision(ready=True, progressing=True, reason=seen.missing.reason, message=message)


def autoscaler_cannot_measure(service: InferenceService, seen: Seen) -> Decision | None:
    """The servers go on; only their number does not follow the load."""
    problem = seen.autoscaler.problem
    if problem is None:
        return None
    message = f"{messages.all_ready(_desired_replicas(service, seen))}. {problem.message}"
    return Decision(
        ready=True, progressing=True, reason=problem.reason, message=message, requeue_after=API_CHECK_INTERVAL
    )


def variables_are_ignored(service: InferenceService, seen: Seen, refused: tuple[str, ...]) -> Decision | None:
    """All servers are ready, and spec.env names what no server gets any more.

    A service of an earlier build has such variables: its pods keep them until its next template, since no server restarts for this.
    """
    if not refused:
        return None
    ready = messages.all_ready(_desired_replicas(service, seen))
    message = f"{ready}, and new ones get no refused variable. {messages.refused_environment(refused, seen.settings)}"
    return Decision(ready=True, reason="EnvNotAllowed", message=message)


def model_calls_were_ended(service: InferenceService, seen: Seen) -> Decision | None:
    """Calls ran into the time limit, or ended their worker process; the servers go on."""
    diagnosis = seen.model_diagnosis
    if diagnosis is None:
        return None
    message = f"{messages.all_ready(_desired_replicas(service, seen))}. {diagnosis.message}"
    return Decision(ready=True, reason=diagnosis.reason, message=message, requeue_after=CHECK_INTERVAL)


def all_servers_are_ready(service: InferenceService, seen: Seen, target: ResolvedVersion) -> Decision:
    """Nothing is left to do."""
    ready = messages.all_ready(_desired_replicas(service, seen))
    starting = PENDING_CHECK_INTERVAL if seen.autoscaler.starting else None
    return Decision(
        ready=True,
        reason="Serving",
        message=f"{ready} with version '{target.version}' at {messages.url(service)}.",
        requeue_after=starting or seen.model_check_interval,
    )


def _desired_replicas(service: InferenceService, seen: Seen) -> int:
    return desired_replicas(service, seen.servers.replicas)


def _is_rolled_out(service: InferenceService, seen: Seen, target: ResolvedVersion) -> bool:
    count = _desired_replicas(service, seen)
    return seen.servers.all_ready(service, target, seen.settings, count)


def _plan(service: InferenceService, seen: Seen, transition: Transition, decision: Decision) -> Plan:
    target, servers = transition.champion, seen.servers
    one_by_one = replaces_one_by_one(service, seen.servers, seen.diagnosis, target, seen.settings)
    layout = Layout(
        active=transition.active,
        both_slots=transition.active == "b" or transition.challenger is not None,
        one_by_one=one_by_one,
        rollout_children=rollout_children(service, transition, seen.settings),
        running=servers.replicas,
        autoscaled=seen.autoscaler.exists,
    )
    checks = [each for each in (decision.requeue_after, transition.requeue_after) if each is not None]
    complete = replace(
        decision,
        message=f"{decision.message}{seen.logging_note}{seen.batching_note}{seen.explanation_note}{ONE_BY_ONE_MESSAGE if one_by_one else ''}",
        events=(*decision.events, *transition.events),
        requeue_after=min(checks, default=None),
    )
    served = {"version": target.version, "digest": target.digest, "rollout": transition.status}
    return complete.plan(
        _status(service, seen).model_copy(update={**served, "slot": "b" if transition.active == "b" else None}),
        summary=messages.summary(service, servers.ready, _desired_replicas(service, seen), target),
        children=service_children(service, target, seen.settings, layout),
        patches=route_touches(service, seen.rollout, transition),
    )


def _status(service: InferenceService, seen: Seen) -> InferenceServiceStatus:
    servers, labels = seen.servers, slot_labels(service, seen.rollout.active)
    return InferenceServiceStatus(
        url=messages.url(service),
        replicas=servers.existing,
        ready_replicas=servers.ready,
        selector=",".join(f"{label}={value}" for label, value in sorted(labels.items())),
    )
