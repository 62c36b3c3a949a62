"""Jobs for steps, with pods as the contract of images/README.md wants them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flywheel.core.pods import checkpoints, queueing
from flywheel.core.pods.distributed import Checkpoint
from flywheel.core.pods.fetch import ROOT, Input, claim_mounts, claim_volumes, fetch_container, fetch_limit
from flywheel.core.pods.indexed_job import LEADER_RANK, Indexed, JobAdditions, RankGroup, index_env, job_additions
from flywheel.core.pods.pod_spec import (
    container_security_context,
    literal_env,
    pod_security_context,
    pull_secret_fields,
    resource_requirements,
    scheduling_fields,
    user_env,
)
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Placement, PullSecret, Quantity, Resources, Variable
from flywheel.core.settings import Settings

GRACE_SECONDS = 120  # for main to obey SIGTERM, and then for collect to upload
WAIT_FOR_COLLECT = f"until test -e {ROOT}/run/collecting; do sleep 0.02; done"
DEADLINE_MARGIN = timedelta(
    minutes=15
)  # collect enforces the timeout; a Job's own deadline deletes the pod and its message


@dataclass(frozen=True)
class Step:
    """One piece of work in a pod. `outputs` are those that must be there; `ours`: the image keeps a read-only root.
    `before` are commands of the runtime image that run between `fetch` and `main`, one after the other, and may change the inputs.
    `prune` tells collect which curve it compares with those of siblings, and by which rule (images/README.md).
    `keep` tells collect what a metric must reach for outputs to be kept; absent, they always are.
    `spread`: in several pods; a Group needs `spread.service(resource)` beside its Job. `queue`: the Job waits for Kueue's queue of that name.
    """

    name: str
    attempt: int
    image: str
    command: tuple[str, ...]
    params: Mapping[str, Any]
    args: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    timeout: timedelta | None = None
    resources: Resources = field(default_factory=Resources)
    placement: Placement = field(default_factory=Placement)
    env: tuple[Variable, ...] = ()
    pull_secrets: tuple[PullSecret, ...] = ()
    shared_memory: Quantity | None = None
    ours: bool = True
    before: tuple[str, ...] = ()
    prune: Mapping[str, Any] | None = None
    keep: Mapping[str, Any] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = (
        None  # what collect records of a result that counts (images/README.md, "The audit records")
    )
    indexed: Indexed | None = None
    checkpoint: Checkpoint | None = None
    queue: str | None = None

    @property
    def fetches(self) -> bool:
        """Where nothing comes before main, collect lets it in: a container less is a second less."""
        return bool(self.inputs or self.before or self.indexed or self.checkpoint)


def step_job(resource: AnyResource, step: Step, settings: Settings) -> Child:
    """The Job of one attempt: collect (sidecar), fetch if there is anything to bring, main. Never retried inside the Job; a new attempt is a new Job."""
    parts = job_additions(resource, step.name, step.attempt, step.indexed)
    labels = {names.STEP_LABEL: step.name, names.ATTEMPT_LABEL: str(step.attempt), **parts.labels}
    deadline = (
        {"activeDeadlineSeconds": int((step.timeout + DEADLINE_MARGIN).total_seconds()) + GRACE_SECONDS}
        if step.timeout
        else {}
    )
    manifest = {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": parts.name,
            "labels": {**labels, **queueing.queue_labels(step.queue)},
            "annotations": {**step.annotations, **parts.annotations},
        },
        "spec": {
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            **parts.spec,
            **deadline,
            **queueing.queue_fields(step.queue),
            "template": {"metadata": {"labels": labels}, "spec": _pod(resource, step, parts, settings)},
        },
    }
    return Child(JOB, manifest, create_only=True)


def _pod(resource: AnyResource, step: Step, parts: JobAdditions, settings: Settings) -> dict[str, Any]:
    variables = {
        "FLYWHEEL_KIND": resource.api.kind,
        "FLYWHEEL_NAME": resource.name,
        "FLYWHEEL_NAMESPACE": resource.namespace,
        "FLYWHEEL_UID": resource.uid,
        "FLYWHEEL_STEP": step.name,
        "FLYWHEEL_ATTEMPT": str(step.attempt),
        "FLYWHEEL_IMAGE": step.image,
        "FLYWHEEL_GRACE_SECONDS": str(GRACE_SECONDS),
        "FLYWHEEL_STORE_SECRET": settings.store_secret,
        **parts.variables,
        **checkpoints.environment(step.checkpoint),
    }
    shared = {"sizeLimit": step.shared_memory} if step.shared_memory else {}
    output_limit = step.resources.limits.get("ephemeral-storage", settings.output_limit)
    lets_in = {"FLYWHEEL_LETS_IN": step.before[-1]} if step.before else {}
    inits = [
        _collect(step, settings, variables),
        *([_fetch(step, settings, {**variables, **parts.of_fetch, **lets_in})] if step.fetches else []),
        *(_before(step, command, settings, {**variables, **lets_in}) for command in step.before),
    ]
    main = _main(step, {**variables, **parts.of_main}, parts.fields_of_main)
    return {
        "restartPolicy": "Never",
        "serviceAccountName": settings.runner_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security_context(),
        **parts.pod,
        **scheduling_fields(step.placement),
        **pull_secret_fields(step.pull_secrets, settings),
        "initContainers": [_with_place(each, parts.fields) for each in inits],
        "containers": [_with_place(main, parts.fields)],
        "volumes": [
            {"name": "flywheel", "emptyDir": {}},
            {"name": "outputs", "emptyDir": {"sizeLimit": str(output_limit)}},
            {"name": "tmp", "emptyDir": {}},
            *([{"name": "shared-memory", "emptyDir": {"medium": "Memory", **shared}}] if step.shared_memory else []),
            *checkpoints.volumes(step.checkpoint),
            *claim_volumes(step.inputs),
        ],
    }


def _with_place(container: dict[str, Any], index: Sequence[str]) -> dict[str, Any]:
    """Where it runs: its node, and the index of its pod under the names that are asked for."""
    node = {"name": "FLYWHEEL_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    return {**container, "env": [*container["env"], *index_env(index), node]}


def _fetch(step: Step, settings: Settings, variables: Mapping[str, str]) -> dict[str, Any]:
    return fetch_container(step.inputs, settings, variables, fetch_limit(step.resources, settings), step.params)


def _collect(step: Step, settings: Settings, variables: Mapping[str, str]) -> dict[str, Any]:
    timeout = int(step.timeout.total_seconds()) if step.timeout else None
    told = {
        "timeoutSeconds": timeout,
        "graceSeconds": 10,
        "outputs": [{"name": name, "required": True} for name in step.outputs],
        **({"audit": step.audit} if step.audit else {}),
        **({"prune": step.prune} if step.prune else {}),
        **({"keep": step.keep} if step.keep else {}),
        **({"leader": LEADER_RANK} if isinstance(step.indexed, RankGroup) else {}),
        **checkpoints.collect_config(step.checkpoint),
    }
    return {
        "name": "collect",
        "image": settings.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["python3", "-m", "flywheel_runtime", "collect"],
        "env": literal_env(
            {
                **variables,
                "FLYWHEEL_COLLECT": json.dumps(told, sort_keys=True),
                **({} if step.fetches else {"FLYWHEEL_PARAMS": json.dumps(step.params, sort_keys=True)}),
            }
        ),
        "envFrom": [{"secretRef": {"name": settings.store_secret}}],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": container_security_context(),
        # Before collect cannot be read by its neighbours, none of them starts. The kubelet heeds a probe a second later.
        "lifecycle": {"postStart": {"exec": {"command": ["timeout", "60", "sh", "-c", WAIT_FOR_COLLECT]}}},
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT},
            {"name": "outputs", "mountPath": f"{ROOT}/outputs"},
            {"name": "tmp", "mountPath": "/tmp", "subPath": "collect"},
            *checkpoints.mounts(step.checkpoint),
        ],
    }


def _before(step: Step, command: str, settings: Settings, variables: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": command,
        "image": settings.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "flywheel_runtime", command],
        "env": literal_env(variables),
        **({"resources": resource_requirements(step.resources)} if resource_requirements(step.resources) else {}),
        "securityContext": container_security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT},
            {"name": "tmp", "mountPath": "/tmp", "subPath": command},
        ],
    }


def _main(step: Step, variables: Mapping[str, str], index: Sequence[str]) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [
        {"name": "flywheel", "mountPath": ROOT, "readOnly": True},
        {"name": "outputs", "mountPath": f"{ROOT}/outputs"},
        *claim_mounts(step.inputs),
        {"name": "tmp", "mountPath": "/tmp", "subPath": "main"},
        *([{"name": "shared-memory", "mountPath": "/dev/shm"}] if step.shared_memory else []),
        *checkpoints.mounts(step.checkpoint),
    ]
    users = user_env(step.env)
    taken = {variable["name"] for variable in users}
    found = [*literal_env(variables), *index_env(index)]
    own = [variable for variable in found if variable["name"] not in taken]
    return {
        "name": "main",
        "image": step.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": list(step.command)} if step.command else {}),
        **({"args": list(step.args)} if step.args else {}),
        "env": [*own, *users],
        **({"resources": resource_requirements(step.resources)} if resource_requirements(step.resources) else {}),
        "securityContext": container_security_context(read_only=step.ours),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
