"""What an InferenceService needs next. The first rule that applies gives the plan.

What is served stays served: while nothing better can be had, the Deployment goes on with the version in status.
"""

from datetime import timedelta

from flywheel.core.plan import Plan
from flywheel.core.trouble import Trouble
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.observe import InferenceService, Seen, Servers, Version
from flywheel.kinds.inferenceservice.schema import InferenceServiceStatus

SOON = timedelta(seconds=10)  # events of a pod in trouble do not wake us


def decide(service: InferenceService, seen: Seen) -> Plan:
    """The plan for what is seen."""
    version = seen.wanted or _served(service)
    if version is None:
        return nothing_to_serve(service, seen)
    return (
        servers_are_stopped(service, seen, version)
        or servers_start(service, seen, version)
        or servers_are_in_trouble(service, seen, version)
        or servers_roll_out(service, seen, version)
        or upstream_is_missing(service, seen, version)
        or servers_answer(service, seen, version)
    )


def nothing_to_serve(service: InferenceService, seen: Seen) -> Plan:
    """There is no verified version yet, and there never was one."""
    missing = seen.missing or Trouble("VersionNotFound", "There is no version to serve.")
    return Plan(
        ready=False,
        reason=missing.reason,
        message=missing.message,
        status=InferenceServiceStatus(),
        summary=_nothing(service),
    )


def servers_are_stopped(service: InferenceService, seen: Seen, version: Version) -> Plan | None:
    """By spec.suspend, or by replicas: 0."""
    if not service.spec.suspend and service.spec.replicas > 0:
        return None
    left = seen.servers.total if seen.servers else 0
    if service.spec.suspend:
        return _plan(
            service,
            seen,
            version,
            False,
            "Suspended",
            f"All servers of '{service.name}' are stopped by spec.suspend; set it to false to start them.",
            progressing=left > 0,
        )
    return _plan(
        service,
        seen,
        version,
        True,
        "NoReplicas",
        f"'{service.name}' serves nobody, since spec.replicas is 0.",
        progressing=left > 0,
    )


def servers_start(service: InferenceService, seen: Seen, version: Version) -> Plan | None:
    """The Deployment does not exist, or its controller has not looked at it yet."""
    if seen.servers is not None and seen.servers.settled:
        return None
    old = seen.servers is not None and seen.servers.ready >= service.spec.replicas
    return _plan(
        service,
        seen,
        version,
        old,
        "RollingOut" if old else "Starting",
        f"Servers with {version.name} are being started.",
        progressing=True,
    )


def servers_are_in_trouble(service: InferenceService, seen: Seen, version: Version) -> Plan | None:
    """Some server does not come up, and why. If enough old ones answer, users notice nothing."""
    servers, trouble = seen.servers, seen.trouble
    if servers is None or trouble is None or _complete(service, servers):
        return None
    if servers.ready >= service.spec.replicas:
        message = f"{servers.ready} servers go on answering, but {version.name} does not come up. {trouble.message}"
        return _plan(service, seen, version, True, "RolloutStuck", message, progressing=True, look_again=SOON)
    return _plan(service, seen, version, False, trouble.reason, trouble.message, progressing=True, look_again=SOON)


def servers_roll_out(service: InferenceService, seen: Seen, version: Version) -> Plan | None:
    """The new ones are warming up, or the old ones are on their way out."""
    servers = seen.servers
    if servers is None or _complete(service, servers):
        return None
    want = service.spec.replicas
    if servers.ready >= want:
        message = (
            f"{servers.current_ready} of {want} servers answer with {version.name}; the old ones answer until all do."
        )
        return _plan(service, seen, version, True, "RollingOut", message, progressing=True, look_again=SOON)
    message = f"{servers.ready} of {want} servers have answered a warm-up request with {version.name}."
    return _plan(service, seen, version, False, "Starting", message, progressing=True, look_again=SOON)


def upstream_is_missing(service: InferenceService, seen: Seen, version: Version) -> Plan | None:
    """All servers answer, with what was wanted once; what is wanted now cannot be had."""
    if seen.missing is None:
        return None
    message = f"{version.name} goes on being served. {seen.missing.message}"
    return _plan(service, seen, version, True, seen.missing.reason, message, progressing=True)


def servers_answer(service: InferenceService, seen: Seen, version: Version) -> Plan:
    """As asked for."""
    count = service.spec.replicas
    servers = "1 server has" if count == 1 else f"{count} servers have"
    return _plan(service, seen, version, True, "Serving", f"{servers} answered a warm-up request with {version.name}.")


def _complete(service: InferenceService, servers: Servers) -> bool:
    want = service.spec.replicas
    return servers.current == want and servers.total == want and servers.ready == want


def _served(service: InferenceService) -> Version | None:
    status = service.status
    return Version(status.version, str(status.digest)) if status.version and status.digest else None


def _nothing(service: InferenceService) -> str:
    return f"0/{service.spec.replicas} ready"


def _plan(
    service: InferenceService,
    seen: Seen,
    version: Version,
    ready: bool,
    reason: str,
    message: str,
    *,
    progressing: bool = False,
    look_again: timedelta | None = None,
) -> Plan:
    counted = seen.servers or Servers(settled=False, total=0, current=0, ready=0, current_ready=0)
    status = InferenceServiceStatus.model_validate(
        {
            "url": f"http://{service.name}.{service.namespace}.svc:{children.HTTP}",
            "version": version.name,
            "digest": version.digest,
            "replicas": counted.total,
            "ready_replicas": counted.ready,
            "selector": children.selector_text(service),
        }
    )
    return Plan(
        ready=ready,
        reason=reason,
        message=message,
        status=status,
        summary=f"{counted.ready}/{service.spec.replicas} ready, {version.name}",
        children=children.all_of(service, version, seen.settings),
        progressing=progressing,
        look_again=look_again,
    )
