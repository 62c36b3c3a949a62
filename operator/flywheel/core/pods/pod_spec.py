"""The parts that every pod of ours shares, whether a Job or a Deployment runs it: typed fields of a spec as fields of a pod.

Every pod satisfies Pod Security `restricted`; nothing a user writes passes into a pod but through the typed fields here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.schema import Placement, PullSecret, Resources, Variable
from flywheel.core.settings import Settings

USER = 65532
JOB_LABEL = "batch.kubernetes.io/job-name"


def pods_of_job(name: str, pods: Iterable[Manifest]) -> list[Manifest]:
    """Those that the Job of that name made."""
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(JOB_LABEL) == name]


def pod_security_context() -> dict[str, Any]:
    """The pod's part of `restricted`."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context(*, read_only: bool = True) -> dict[str, Any]:
    """The container's part of `restricted`."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": read_only}


def scheduling_fields(placement: Placement) -> dict[str, Any]:
    """Where a pod may run, as fields of its spec; empties are left out, since the server drops them."""
    fields = {
        "nodeSelector": dict(placement.node_selector),
        "tolerations": [
            toleration.model_dump(by_alias=True, exclude_none=True) for toleration in placement.tolerations
        ],
        "priorityClassName": placement.priority_class_name and str(placement.priority_class_name),
    }
    return {key: value for key, value in fields.items() if value}


def user_env(variables: Sequence[Variable]) -> list[dict[str, Any]]:
    """Sorted by name, since another order is another pod template."""

    def written(variable: Variable) -> dict[str, Any]:
        if variable.secret is not None:
            return {
                "name": variable.name,
                "valueFrom": {"secretKeyRef": {"name": str(variable.secret.name), "key": variable.secret.key}},
            }
        return {"name": variable.name, "value": variable.value} if variable.value else {"name": variable.name}

    return [written(variable) for variable in sorted(variables, key=lambda variable: variable.name)]


def literal_env(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Environment variables of ours, sorted; an empty one carries no value, as the server would have it.

    They hold users' words (columns, SQL), in which the kubelet would fill in `$(AWS_SECRET_ACCESS_KEY)`: `$$` is its word for `$`.
    """
    literal = {name: value.replace("$", "$$") for name, value in sorted(values.items())}
    return [{"name": name, "value": value} if value else {"name": name} for name, value in literal.items()]


def resource_requirements(resources: Resources) -> dict[str, Any]:
    """Requests and limits, without empties."""
    return {
        key: dict(value) for key, value in (("requests", resources.requests), ("limits", resources.limits)) if value
    }


def pull_secret_fields(pull_secrets: Sequence[PullSecret], settings: Settings) -> dict[str, Any]:
    """The user's pull secrets and the installation's, as a field of the pod's spec."""
    wanted = sorted({*(str(secret.name) for secret in pull_secrets), *settings.image_pull_secrets})
    return {"imagePullSecrets": [{"name": name} for name in wanted]} if wanted else {}
