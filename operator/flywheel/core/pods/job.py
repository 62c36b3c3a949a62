"""Jobs for steps. images/README.md specifies what their pods find and report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from flywheel.core.pods.bounds import bound_resources, bound_volume, inputs_volume
from flywheel.core.pods.distributed import Checkpoint, Distributed
from flywheel.core.pods.fetch import (
    ROOT,
    SIDECAR_RESOURCES,
    Input,
    claim_mounts,
    claim_volumes,
    fetch_container,
    fetch_limit,
    secret_volumes,
)
from flywheel.core.pods.indexed_job import Indexed, JobAdditions, index_env, job_additions
from flywheel.core.pods.pod_spec import (
    CREDENTIALS_USER_ID,
    STOP_GRACE_SECONDS,
    USER_ID,
    container_security_context,
    deadline_probe,
    job_variable,
    literal_env,
    resource_fields,
    runner_pod,
    runtime_container,
    step_env,
    upgrade_env,
    user_env,
)
from flywheel.core.pods.sidecar_config import (
    CollectConfig,
    TrackConfig,
    WatchConfig,
    account_mounts,
    account_volumes,
    log_env,
    track_document,
)
from flywheel.core.pods.source_file import source_mounts, source_volumes
from flywheel.core.pods.store_secret import identity_annotations, store_env, store_mount, store_volume
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Placement, PullSecret, Quantity, Resources, Variable
from flywheel.core.resource.values import Duration
from flywheel.core.settings import Settings

GRACE_SECONDS = 120  # for main to obey SIGTERM, and then for collect to upload
CHECKPOINT_FOLDER = f"{ROOT}/checkpoints"  # main writes here, and collect uploads
RESTORED_CHECKPOINT_FOLDER = f"{ROOT}/inputs/checkpoint"  # of the newest one, which fetch brings back if there is any
WAIT_FOR_COLLECT = f"until test -e {ROOT}/run/collecting; do sleep 0.02; done"
# The Job's own deadline comes this much later, since it deletes the pod and its message.
DEADLINE_MARGIN = timedelta(minutes=15)


@dataclass(frozen=True)
class Step:
    """One attempt of a piece of work in a pod.

    `outputs` are those that must exist at the end. `read_only_root`: main's image writes nothing outside of its mounts.
    `pre_commands` are commands of the runtime image that run between `fetch` and `main`, in order, and may change the inputs.
    `prune` configures which curve collect compares with those of sibling trials, and by which rule (images/README.md).
    `keep` configures what a metric must reach for collect to keep outputs; without it they are always kept.
    `audit` is the record that collect writes of a result that counts (images/README.md, "The audit records").
    `indexed`: the step runs in several pods; Distributed needs `headless_service(resource)` beside its Job.
    `track` is what collect records of the step's end in the index of the store; without it, nothing is recorded.
    `queue`: the Job waits in Kueue's queue of that name, which unsuspends it.
    `source`: code of main, which needs `source_config_map(resource, source)` beside the Job.
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
    read_only_root: bool = True
    pre_commands: tuple[str, ...] = ()
    prune: Mapping[str, Any] | None = None
    keep: Mapping[str, Any] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = None
    indexed: Indexed | None = None
    checkpoint: Checkpoint | None = None
    queue: str | None = None
    source: str | None = None
    track: TrackConfig | None = None

    @property
    def needs_fetch(self) -> bool:
        """Whether there is a container fetch. Without one collect lets main start, which saves a second."""
        return bool(self.inputs or self.pre_commands or self.indexed or self.checkpoint)


def step_job(resource: AnyResource, step: Step, settings: Settings) -> Child:
    """Returns the Job of one attempt: collect (sidecar), fetch if it is needed, main and watch. The Job retries nothing; another attempt is
    another Job."""
    step = replace(step, resources=bound_resources(step.resources, settings))
    additions = job_additions(resource, step.name, step.attempt, step.indexed)
    labels = {names.STEP_LABEL: step.name, names.ATTEMPT_LABEL: str(step.attempt), **additions.labels}
    deadline = step.timeout + DEADLINE_MARGIN + _hold_time(settings) if step.timeout else None
    metadata = {
        "labels": {**labels, **({names.QUEUE_LABEL: str(step.queue)} if step.queue else {})},
        "annotations": {**step.annotations, **additions.annotations},
    }
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    pod = _pod(resource, step, additions, settings)
    spec = {
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [disrupted]},
        **additions.spec,
        **({"activeDeadlineSeconds": int(deadline.total_seconds())} if deadline else {}),
        # A Job is written once, so Kueue owns `suspend` from then on.
        **({"suspend": True} if step.queue else {}),
        "template": {"metadata": {"labels": labels, "annotations": identity_annotations(pod)}, "spec": pod},
    }
    return Child(JOB, JOB.manifest(additions.name, metadata=metadata, spec=spec), create_only=True)


def _pod(resource: AnyResource, step: Step, additions: JobAdditions, settings: Settings) -> dict[str, Any]:
    # Main is the first one: the kubelet starts it before watch, which costs it no time.
    containers = [
        _with_location(_main(resource, step, additions, settings), additions.index_names),
        _watch(step, settings),
    ]
    init_containers = _init_containers(resource, step, additions, settings)
    outputs = bound_volume(step.resources, settings.output_limit)
    shared_memory = {"medium": "Memory", "sizeLimit": step.shared_memory}
    return {
        **runner_pod(step.placement, step.pull_secrets, GRACE_SECONDS, settings, CREDENTIALS_USER_ID),
        "shareProcessNamespace": True,
        **additions.pod,
        "initContainers": [_with_location(each, additions.index_names) for each in init_containers],
        "containers": containers,
        "volumes": [
            {"name": "flywheel", **inputs_volume(step.resources, settings, restores_checkpoint=bool(step.checkpoint))},
            {"name": "outputs", **outputs},
            {"name": "tmp", **bound_volume(step.resources, settings.tmp_limit)},
            store_volume(settings),
            *account_volumes(step.track),
            *([{"name": "shared-memory", "emptyDir": shared_memory}] if step.shared_memory else []),
            *([{"name": "checkpoints", **outputs}] if step.checkpoint else []),
            *source_volumes(resource, step.source),
            *secret_volumes(step.inputs),
            *claim_volumes(step.inputs),
        ],
    }


def _env(resource: AnyResource, step: Step, additions: JobAdditions, settings: Settings) -> dict[str, str]:
    return {
        **step_env(resource, step.name, settings),
        "FLYWHEEL_ATTEMPT": str(step.attempt),
        "FLYWHEEL_IMAGE": step.image,
        "FLYWHEEL_GRACE_SECONDS": str(GRACE_SECONDS),
        **additions.env,
        **({"FLYWHEEL_CHECKPOINT": RESTORED_CHECKPOINT_FOLDER} if step.checkpoint else {}),
    }


def _init_containers(
    resource: AnyResource, step: Step, additions: JobAdditions, settings: Settings
) -> list[dict[str, Any]]:
    env = _env(resource, step, additions, settings)
    containers = [_collect(resource, step, settings, env)]
    if step.needs_fetch:
        limit = fetch_limit(step.resources, settings)
        containers.append(fetch_container(step.inputs, settings, {**env, **additions.fetch_env}, limit, step.params))
    return [*containers, *(_pre_command(step, command, settings, env) for command in step.pre_commands)]


def _with_location(container: dict[str, Any], index_names: Sequence[str]) -> dict[str, Any]:
    """Adds environment variables with the node of the pod, and with its completion index under these names."""
    node = {"name": "FLYWHEEL_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    return {**container, "env": [*container["env"], *index_env(index_names), node]}


def _collect(resource: AnyResource, step: Step, settings: Settings, env: Mapping[str, str]) -> dict[str, Any]:
    optional = {
        "audit": step.audit or None,
        "prune": step.prune or None,
        "keep": step.keep or None,
        "leader": names.LEADER_RANK if isinstance(step.indexed, Distributed) else None,
        "checkpoint": {"everySeconds": step.checkpoint.every.seconds} if step.checkpoint else None,
        "track": track_document(step.track, step.env),
    }
    config = CollectConfig.model_validate(
        {
            "timeoutSeconds": int(step.timeout.total_seconds()) if step.timeout else None,
            "outputs": [{"name": name, "required": True} for name in step.outputs],
            "uploadPatienceSeconds": Duration(settings.upload_patience).seconds,
            **{name: value for name, value in optional.items() if value is not None},
        }
    )
    params = {} if step.needs_fetch else {"FLYWHEEL_PARAMS": json.dumps(step.params, sort_keys=True)}
    variables = {**env, **store_env(settings), "FLYWHEEL_COLLECT": config.to_json(), **params}
    container = runtime_container("collect", settings, {**variables, **upgrade_env(resource, settings)})
    return {
        **container,
        "env": [*container["env"], job_variable(), *log_env(step.track, step.env)],
        "restartPolicy": "Always",
        "resources": SIDECAR_RESOURCES,
        # No neighbour starts before collect has made itself unreadable to it. The kubelet would act on a probe a second later.
        "lifecycle": {"postStart": {"exec": {"command": ["timeout", "60", "sh", "-c", WAIT_FOR_COLLECT]}}},
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT},
            {"name": "outputs", "mountPath": f"{ROOT}/outputs"},
            store_mount(),
            *account_mounts(step.track),
            {"name": "tmp", "mountPath": "/tmp", "subPath": "collect"},
            *_optional_mounts(step),
        ],
    }


def _optional_mounts(step: Step) -> list[dict[str, Any]]:
    checkpoints = [{"name": "checkpoints", "mountPath": CHECKPOINT_FOLDER}] if step.checkpoint else []
    return [*checkpoints, *source_mounts(step.source)]


def _pre_command(step: Step, command: str, settings: Settings, env: Mapping[str, str]) -> dict[str, Any]:
    """Returns a container that changes inputs. Its user is main's, since it reads others' files; its group tells it from main."""
    security = container_security_context(user_id=USER_ID, group_id=CREDENTIALS_USER_ID)
    return {
        **runtime_container(command, settings, env),
        **resource_fields(step.resources),
        "securityContext": security,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT},
            {"name": "tmp", "mountPath": "/tmp", "subPath": command},
        ],
    }


def _main(resource: AnyResource, step: Step, additions: JobAdditions, settings: Settings) -> dict[str, Any]:
    env = {**_env(resource, step, additions, settings), **additions.main_env}
    ours = [*literal_env(env), *index_env(additions.main_index_names)]
    users = user_env(step.env)
    overridden = {variable["name"] for variable in users}
    return {
        "name": "main",
        "image": step.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": list(step.command)} if step.command else {}),
        **({"args": list(step.args)} if step.args else {}),
        "env": [*(variable for variable in ours if variable["name"] not in overridden), *users],
        **resource_fields(step.resources),
        "securityContext": container_security_context(read_only=step.read_only_root, user_id=USER_ID, group_id=USER_ID),
        **({"livenessProbe": deadline_probe(step.timeout)} if step.timeout else {}),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT, "readOnly": True},
            {"name": "outputs", "mountPath": f"{ROOT}/outputs"},
            *claim_mounts(step.inputs),
            {"name": "tmp", "mountPath": "/tmp", "subPath": "main"},
            *([{"name": "shared-memory", "mountPath": "/dev/shm"}] if step.shared_memory else []),
            *_optional_mounts(step),
        ],
    }


def _hold_time(settings: Settings) -> timedelta:
    """Returns how long a pod may stay after main's end: for outputs that wait for the store, and to end."""
    return Duration(settings.upload_patience).timedelta + timedelta(seconds=GRACE_SECONDS)


def _watch(step: Step, settings: Settings) -> dict[str, Any]:
    """Returns the container that stops, measures and opens up main: it has main's user, and no credentials."""
    timeout = int(step.timeout.total_seconds()) if step.timeout else None
    hold_seconds = int(_hold_time(settings).total_seconds())
    config = WatchConfig(timeout_seconds=timeout, grace_seconds=STOP_GRACE_SECONDS, hold_seconds=hold_seconds)
    return {
        **runtime_container("watch", settings, {"FLYWHEEL_WATCH": config.to_json()}),
        "securityContext": container_security_context(user_id=USER_ID, group_id=USER_ID),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT, "readOnly": True},
            {"name": "flywheel", "mountPath": f"{ROOT}/watch", "subPath": "watch"},
            {"name": "outputs", "mountPath": f"{ROOT}/outputs"},
            *_optional_mounts(step),
        ],
    }
