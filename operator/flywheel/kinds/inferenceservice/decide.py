"""What an InferenceService needs next.

Ready says: every server that should run answered a warm-up request. While a new template rolls out, old servers answer until a new one
does, so Ready stays True and Reconciling says what goes on. Nothing that goes missing upstream stops a server that answers.
"""

from datetime import timedelta

from flywheel.core.resource import names
from flywheel.core.resource.model_reference import Target
from flywheel.core.resource.plan import Plan
from flywheel.kinds.inferenceservice import children, slots
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.pod import host
from flywheel.kinds.inferenceservice.rollout import state_machine
from flywheel.kinds.inferenceservice.rollout.plan import after, rollout_goes_on, with_rollout
from flywheel.kinds.inferenceservice.runtimes.ports import HTTP_PORT
from flywheel.kinds.inferenceservice.scaling import replicas as scaling
from flywheel.kinds.inferenceservice.schema import InferenceService, InferenceServiceStatus
from flywheel.kinds.inferenceservice.servers import Servers

SOON = timedelta(seconds=15)  # events of a pod that cannot start do not wake us
LATER = timedelta(seconds=60)  # nothing tells us that somebody installs an API
NONE = Servers(target=None, inputs="", settled=False)


def decide(service: InferenceService, seen: Seen) -> Plan:
    """The plan for what is seen: what a rollout makes of it, and then how the champion's servers are."""
    move = state_machine.move(service, seen)
    target = move.champion
    if target is None:
        return nothing_was_ever_served(service, seen)
    seen = after(seen, move)
    plan = (
        nobody_should_answer(service, seen, target)
        or some_servers_do_not_answer(service, seen, target)
        or the_autoscaler_changes_their_number(service, seen, target)
        or new_servers_replace_old_ones(service, seen, target)
        or rollout_goes_on(service, seen, move, _plan)
        or what_is_served_is_no_longer_offered(service, seen, target)
        or the_autoscaler_cannot_measure(service, seen, target)
        or all_servers_answer(service, seen, target)
    )
    return with_rollout(service, seen, move, plan)


def nothing_was_ever_served(service: InferenceService, seen: Seen) -> Plan:
    """It waits for a first version."""
    assert seen.missing is not None, "either something is wanted, or it is said why not"
    return Plan(
        ready=False,
        reason=seen.missing.reason,
        message=f"Waiting to serve: {seen.missing.message}",
        status=InferenceServiceStatus(url=url(service), selector=selector(service, seen), replicas=0, ready_replicas=0),
        summary="waiting for a model",
        children=None,  # a Deployment that cannot be read is better left alone
    )


def nobody_should_answer(service: InferenceService, seen: Seen, target: Target) -> Plan | None:
    """Stopped by the user; not a failure, and not on its way to anywhere. None of none answer, so replicas: 0 is Ready."""
    if wanted(service, seen) > 0:
        return None
    field = "spec.suspend is true" if service.spec.suspend else "spec.replicas is 0"
    step = "set it to false" if service.spec.suspend else "raise it"
    return _plan(
        service,
        seen,
        target,
        ready=not service.spec.suspend,
        progressing=(seen.servers or NONE).existing > 0,
        reason="Suspended" if service.spec.suspend else "NoReplicas",
        message=f"InferenceService '{service.name}' has no servers because {field}; {step} to serve version '{target.version}'.",
        summary=f"{'suspended' if service.spec.suspend else 'scaled to 0'}, {target.version}",
    )


def some_servers_do_not_answer(service: InferenceService, seen: Seen, target: Target) -> Plan | None:
    """Fewer than asked for, of whatever version."""
    ready, needed = (seen.servers or NONE).ready, scaling.needed(service)
    if ready >= needed:
        return None
    reason, words = "Starting", f"Servers of version '{target.version}' start."
    if seen.diagnosis is not None and seen.servers is not None:
        reason, words = seen.diagnosis.reason, seen.diagnosis.message
    return _plan(
        service,
        seen,
        target,
        ready=False,
        reason=reason,
        message=f"{ready} of {needed} servers answer. {words}{_held(seen)}",
        look_again=SOON,
    )


def the_autoscaler_changes_their_number(service: InferenceService, seen: Seen, target: Target) -> Plan | None:
    """At least the fewest allowed answer, all of them with the newest template, and the others come or go."""
    servers, asked = seen.servers or NONE, wanted(service, seen)
    like_each_other = _is_current(service, seen, target) and servers.settled and servers.updated == servers.existing
    if service.spec.scaling is None or not like_each_other or is_rolled_out(service, seen, target):
        return None
    words = f" {seen.diagnosis.message}" if seen.diagnosis else ""
    return _plan(
        service,
        seen,
        target,
        ready=True,
        progressing=True,
        reason="ScalingStuck" if seen.diagnosis else "Scaling",
        message=f"{servers.ready} servers answer with version '{target.version}', and the autoscaler asks for {asked}.{words}{_held(seen)}",
        look_again=SOON,
    )


def new_servers_replace_old_ones(service: InferenceService, seen: Seen, target: Target) -> Plan | None:
    """As many as asked for answer, but not all of them are what was asked for."""
    servers, asked = seen.servers or NONE, wanted(service, seen)
    if is_rolled_out(service, seen, target):
        return None
    updated = servers.updated if _is_current(service, seen, target) and servers.settled else 0
    words = f" {seen.diagnosis.message}" if seen.diagnosis else ""
    return _plan(
        service,
        seen,
        target,
        ready=True,
        progressing=True,
        reason="RolloutStuck" if seen.diagnosis else "RollingOut",
        message=f"Version '{target.version}' rolls out: {min(updated, asked)} of {asked} servers are replaced, and {servers.ready} answer meanwhile.{words}{_held(seen)}",
        look_again=SOON,
    )


def what_is_served_is_no_longer_offered(service: InferenceService, seen: Seen, target: Target) -> Plan | None:
    """The Model, its champion or the version is gone or in doubt; the servers stay."""
    if seen.missing is None:
        return None
    return _plan(
        service,
        seen,
        target,
        ready=True,
        progressing=True,
        reason=seen.missing.reason,
        message=f"All servers answer.{_held(seen)}",
    )


def the_autoscaler_cannot_measure(service: InferenceService, seen: Seen, target: Target) -> Plan | None:
    """The servers that there are go on; only their number cannot follow the load."""
    blind = seen.autoscaler.blind
    if blind is None:
        return None
    return _plan(
        service,
        seen,
        target,
        ready=True,
        progressing=True,
        reason=blind.reason,
        message=f"{_who_answers(service, seen)}. {blind.message}",
        look_again=LATER,
    )


def all_servers_answer(service: InferenceService, seen: Seen, target: Target) -> Plan:
    """Nothing to do."""
    return _plan(
        service,
        seen,
        target,
        ready=True,
        reason="Serving",
        message=f"{_who_answers(service, seen)} with version '{target.version}' at {url(service)}.",
        look_again=SOON if seen.autoscaler.unsure else None,
    )


def wanted(service: InferenceService, seen: Seen) -> int:
    """How many servers should run now."""
    return scaling.wanted(service, (seen.servers or NONE).replicas)


def is_rolled_out(service: InferenceService, seen: Seen, target: Target) -> bool:
    """Whether there are exactly the servers that should be, all of the newest template, and all of them answer."""
    servers = seen.servers or NONE
    counts = {servers.replicas, servers.existing, servers.updated, servers.ready}
    return _is_current(service, seen, target) and servers.settled and counts == {wanted(service, seen)}


def url(service: InferenceService) -> str:
    """Where HTTP is answered inside the cluster."""
    return f"http://{host(service)}:{HTTP_PORT}"


def selector(service: InferenceService, seen: Seen) -> str:
    """The servers' labels as autoscalers read them."""
    return ",".join(f"{label}={value}" for label, value in sorted(slots.selector(service, seen.rollout.active).items()))


def _is_current(service: InferenceService, seen: Seen, target: Target) -> bool:
    """The engine writes the first digits of the inputs' hash onto the Deployment."""
    written = (seen.servers or NONE).inputs
    return bool(written) and names.digest(dict(children.inputs(service, target, seen.settings))).startswith(written)


def _who_answers(service: InferenceService, seen: Seen) -> str:
    count = wanted(service, seen)
    return f"All {count} servers answer" if count > 1 else "The server answers"


def _held(seen: Seen) -> str:
    return (
        f" What is served now goes on, since nothing can take its place: {seen.missing.message}" if seen.missing else ""
    )


def _plan(
    service: InferenceService,
    seen: Seen,
    target: Target,
    *,
    ready: bool,
    reason: str,
    message: str,
    summary: str = "",
    progressing: bool | None = None,
    look_again: timedelta | None = None,
) -> Plan:
    servers = seen.servers or NONE
    status = InferenceServiceStatus(
        url=url(service),
        version=target.version,
        digest=target.digest,
        replicas=servers.existing,
        ready_replicas=servers.ready,
        selector=selector(service, seen),
    )
    asked = wanted(service, seen)
    answering = f"{min(servers.ready, asked)}/{asked} ready"
    return Plan(
        ready=ready,
        reason=reason,
        message=message + seen.note,
        status=status,
        summary=summary or f"{answering}, {target.version}",
        progressing=progressing,
        look_again=look_again,
    )
