"""Fields that all pods of Flywheel share, whether a Job or a Deployment runs them: from typed fields of a spec to fields of a pod.

Every pod satisfies Pod Security `restricted`. What a user writes reaches a pod only through the typed fields here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.schema import Placement, PullSecret, Resources, Variable
from flywheel.core.settings import Settings

USER_ID = 65532
# Of what has the store's key: pause, collect and fetch of step pods, the sink of servers. What runs others' code or models as USER_ID can
# neither signal nor read it.
CREDENTIALS_USER_ID = 65531
STOP_GRACE_SECONDS = 10  # between SIGTERM and SIGKILL for a main whose time is over
PROBE_PORT = 9911  # collect listens there and never answers
# watch enforces the timeout. Should main end watch, the kubelet ends main this much later.
PROBE_MARGIN_SECONDS = 20


def runner_pod(
    placement: Placement,
    pull_secrets: Sequence[PullSecret],
    grace_seconds: int,
    settings: Settings,
    user_id: int = USER_ID,
) -> dict[str, Any]:
    """Returns the fields of a Job's pod that does not depend on its containers: it runs once, without access to the API server."""
    return {
        "restartPolicy": "Never",
        "serviceAccountName": settings.runner_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds,
        "securityContext": pod_security_context(user_id),
        **scheduling_fields(placement),
        **pull_secret_fields(pull_secrets, settings),
    }


def step_env(resource: AnyResource, step: str, settings: Settings) -> dict[str, str]:
    """Returns the environment variables that say for which step of which resource a pod works."""
    return {
        "FLYWHEEL_KIND": resource.api.kind,
        "FLYWHEEL_NAME": resource.name,
        "FLYWHEEL_NAMESPACE": resource.namespace,
        "FLYWHEEL_UID": resource.uid,
        "FLYWHEEL_STEP": step,
        "FLYWHEEL_STORE_SECRET": settings.store_secret,
    }


def job_variable() -> dict[str, Any]:
    """Returns the variable with the uid of the pod's Job. The Job's controller sets the label, and policy flywheel-pods keeps it."""
    path = "metadata.labels['batch.kubernetes.io/controller-uid']"
    return {"name": "FLYWHEEL_JOB", "valueFrom": {"fieldRef": {"fieldPath": path}}}


def upgrade_env(resource: AnyResource, settings: Settings) -> dict[str, str]:
    """Returns until when results without a Job in their key count: a resource of this release has none."""
    upgraded_at = settings.upgraded_at
    is_older = bool(upgraded_at) and resource.created < datetime.fromisoformat(upgraded_at)
    return {"FLYWHEEL_UPGRADED_AT": upgraded_at} if is_older else {}


def pod_security_context(user_id: int = USER_ID) -> dict[str, Any]:
    """Returns what `restricted` requires of a pod. Volumes belong to the group USER_ID, which every container has."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user_id,
        "runAsGroup": user_id,
        "fsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context(
    *, read_only: bool = True, user_id: int | None = None, group_id: int | None = None
) -> dict[str, Any]:
    """Returns what `restricted` requires of a container. It has the pod's user and group where none are given."""
    ids = {"runAsUser": user_id, "runAsGroup": group_id}
    return {
        **{name: value for name, value in ids.items() if value is not None},
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": read_only,
    }


def scheduling_fields(placement: Placement) -> dict[str, Any]:
    """Returns where a pod may run, as fields of its spec. Empty fields are left out, since the server drops them."""
    fields = {
        "nodeSelector": dict(placement.node_selector),
        "tolerations": [
            toleration.model_dump(by_alias=True, exclude_none=True) for toleration in placement.tolerations
        ],
        "priorityClassName": placement.priority_class_name and str(placement.priority_class_name),
    }
    return {key: value for key, value in fields.items() if value}


def user_env(variables: Sequence[Variable]) -> list[dict[str, Any]]:
    """Returns the user's environment variables, sorted by name, since another order would be another pod template."""

    def entry(variable: Variable) -> dict[str, Any]:
        if variable.secret is not None:
            key = {"name": str(variable.secret.name), "key": variable.secret.key}
            return {"name": variable.name, "valueFrom": {"secretKeyRef": key}}
        return {"name": variable.name, "value": variable.value} if variable.value else {"name": variable.name}

    return [entry(variable) for variable in sorted(variables, key=lambda variable: variable.name)]


def literal_env(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns environment variables with exactly these values, sorted by name; an empty one has no value, as the server stores it.

    The values hold users' texts (columns, SQL), in which the kubelet would expand `$(AWS_SECRET_ACCESS_KEY)`; it reads `$$` as `$`.
    """
    literal = {name: value.replace("$", "$$") for name, value in sorted(values.items())}
    return [{"name": name, "value": value} if value else {"name": name} for name, value in literal.items()]


def resource_fields(resources: Resources) -> dict[str, Any]:
    """Returns `resources` of a container, without empty fields; nothing where there are neither requests nor limits."""
    given = (("requests", resources.requests), ("limits", resources.limits))
    found = {key: dict(value) for key, value in given if value}
    return {"resources": found} if found else {}


def module_command(module: str) -> tuple[str, ...]:
    """Returns the command of a module of ours, isolated (`-I`): Python imports from the image alone.

    Without it the working folder, PYTHONPATH and a user's site-packages would come before, and files that a container finds there would
    run as ours. `-u` replaces PYTHONUNBUFFERED, which `-I` ignores.
    """
    return ("python3", "-I", "-u", "-m", module)


def runtime_container(command: str, settings: Settings, env: Mapping[str, str]) -> dict[str, Any]:
    """Returns a container of the same name that runs a command of the runtime image."""
    return {
        "name": command,
        "image": settings.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*module_command("flywheel_runtime"), command],
        "env": literal_env(env),
        "securityContext": container_security_context(),
    }


def serving_container(name: str, module: str, args: Sequence[str], settings: Settings) -> dict[str, Any]:
    """Returns a container that runs a module of the serving image."""
    return {
        "name": name,
        "image": settings.serving_image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(module_command(module)),
        "args": list(args),
        "securityContext": container_security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def pull_secret_fields(pull_secrets: Sequence[PullSecret], settings: Settings) -> dict[str, Any]:
    """Returns `imagePullSecrets` of a pod: the user's and the installation's."""
    found = sorted({*(str(secret.name) for secret in pull_secrets), *settings.image_pull_secrets})
    return {"imagePullSecrets": [{"name": name} for name in found]} if found else {}


def deadline_probe(timeout: timedelta) -> dict[str, Any]:
    """Returns a probe that begins when main should have been stopped, and always fails: the kubelet then ends main, whatever main did to watch."""
    return {
        "httpGet": {"path": "/", "port": PROBE_PORT},
        "initialDelaySeconds": int(timeout.total_seconds()) + STOP_GRACE_SECONDS + PROBE_MARGIN_SECONDS,
        "periodSeconds": 5,
        "timeoutSeconds": 1,
        "failureThreshold": 1,
        "terminationGracePeriodSeconds": STOP_GRACE_SECONDS,
    }
