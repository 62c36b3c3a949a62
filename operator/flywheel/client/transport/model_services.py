"""Which InferenceService predicts for a model or a version, where it is, and which token may be sent to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.client.errors import FlywheelError, describe_condition
from flywheel.core.resource.api import Manifest

SERVICE_OPTION = "--service NAME (service=)"
# Reasons of Ready while servers of an earlier spec, perhaps of another spec.runtime, can still respond.
REPLACING = ("RollingOut", "RolloutStuck")


@dataclass(frozen=True)
class ServiceAudience:
    """For which audience a service wants a token. `own` is the Service's DNS name, and `declared` what its spec lists instead; neither: any token of an identity provider."""

    service: str
    own: str
    declared: tuple[str, ...] = ()
    by_provider: bool = False
    unsettled: str = ""  # why servers of an earlier spec may still respond, if they may

    @property
    def is_own(self) -> bool:
        """Whether a token that is good for this service alone will do."""
        return not self.by_provider and (not self.declared or self.own in self.declared)


def find_service(
    services: Sequence[Manifest], version: str | None = None, model: str | None = None, name: str | None = None
) -> Manifest:
    """Returns the InferenceService that serves a version, or the champion of a model; the one with that name, if one is given.

    Raises:
        FlywheelError: none does, or only by another runtime than Flywheel's own server; or several do and none is named.
    """
    serving = [each for each in services if _serves(each, version, model) and name in (None, _name(each))]
    subject = f"ModelVersion '{version}'" if version is not None else f"the champion of Model '{model}'"
    if not serving:
        who = f"InferenceService '{name}'" if name is not None else "InferenceService of the namespace"
        raise FlywheelError(
            f"no {who} serves {subject}; create one with spec.model or spec.version, or compute here, after 'flywheel download' or .load()",
            reason="NotServed",
        )
    ours = [each for each in serving if is_ours(each)]
    if not ours:
        raise _other_runtime(_name(serving[0]), subject)
    if len(ours) > 1:
        raise FlywheelError(
            f"{len(ours)} InferenceServices serve {subject}: {', '.join(sorted(map(_name, ours)))}; name the one that may get your rows with {SERVICE_OPTION}",
            reason="SeveralServices",
        )
    return ours[0]


def check_runtime(service: Manifest) -> None:
    """Checks that Flywheel's own server serves the model.

    Raises:
        FlywheelError: another runtime does.
    """
    if not is_ours(service):
        raise _other_runtime(_name(service), "its model")


def is_ours(service: Manifest) -> bool:
    """Whether Flywheel's own server serves the model."""
    runtime = service["spec"].get("runtime")
    return not runtime or "flywheel" in runtime


def service_host(service: Manifest, namespace: str) -> str:
    """Returns the DNS name of the Service of an InferenceService, which is also the audience of its tokens by default."""
    # It brings pydantic, which no function needs before it has read an object.
    from flywheel.core.resource.names import MAX_NAME_LENGTH, truncate

    return f"{truncate(_name(service), MAX_NAME_LENGTH)}.{namespace}.svc"


def service_audience(service: Manifest, namespace: str) -> ServiceAudience | None:
    """Returns for which audience a service wants a token, or None where it wants none."""
    auth = service["spec"].get("auth") or {}
    host = service_host(service, namespace)
    if auth.get("jwt") is not None:
        return ServiceAudience(_name(service), host, by_provider=True, unsettled=_describe_change(service))
    if auth.get("serviceAccount") is None:
        return None
    declared = tuple(map(str, auth["serviceAccount"].get("audiences") or ()))
    return ServiceAudience(_name(service), host, declared, unsettled=_describe_change(service))


def _describe_change(service: Manifest) -> str:
    """Returns why servers of an earlier spec may still respond, or nothing."""
    ready: Mapping[str, Any] = describe_condition(service)
    generation = service["metadata"].get("generation", 0)
    if (service.get("status") or {}).get("observedGeneration", generation) != generation:
        return "its status does not describe its spec yet"
    if ready.get("status") == "False" or ready.get("reason") in REPLACING:
        return f"{ready.get('reason')}: {ready.get('message')}".rstrip(".")
    return ""


def _serves(service: Manifest, version: str | None, model: str | None) -> bool:
    if "deletionTimestamp" in service["metadata"]:
        return False
    if version is not None:
        return (service.get("status") or {}).get("version") == version
    return bool(service["spec"].get("model") == model)


def _name(service: Manifest) -> str:
    return str(service["metadata"]["name"])


def _other_runtime(name: str, subject: str) -> FlywheelError:
    return FlywheelError(
        f"InferenceService '{name}' serves {subject} by spec.runtime, whose API has no rows by column names; call it as its own documentation says",
        reason="OtherRuntime",
    )
