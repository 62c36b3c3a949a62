"""The pod of a batch step: `fetch` brings model and plan, `server` predicts on loopback as it does online, `main` reads, predicts and writes.

The container that loads a model has no credentials; the one that has them loads none. They share no process namespace.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from flywheel.core.pods.bounds import bound_resources, bound_volume, inputs_volume
from flywheel.core.pods.fetch import (
    ROOT,
    SERVED_FILES,
    Input,
    claim_mounts,
    claim_volumes,
    fetch_container,
    fetch_limit,
)
from flywheel.core.pods.pod_spec import (
    resource_fields,
    runner_pod,
    runtime_container,
    serving_container,
    step_env,
)
from flywheel.core.pods.store_secret import (
    Role,
    foreign_env,
    foreign_mount,
    foreign_volume,
    store_env,
    store_mount,
    store_volume,
)
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import ObjectName
from flywheel.core.settings import Settings
from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec
from flywheel.kinds.batchinference.schema.status import BatchInferenceStatus, Run
from flywheel.kinds.featureset.schema.join_inputs import definition_inputs, table_inputs

PORT = 8080
PLAN_INPUT = "plan"
ROW_FILES = ("schema.json", "train.parquet", "validation.parquet", "test.parquet")
MAIN_RESOURCES = Resources(requests={"cpu": "100m", "memory": "256Mi"})
SERVER_RESOURCES = Resources(requests={"cpu": "250m", "memory": "256Mi"})
GRACE_SECONDS = 30
RUN_SECONDS = 3600


def batch_pod(
    batch: Resource[BatchInferenceSpec, BatchInferenceStatus],
    run: Run,
    step: str,
    params: Mapping[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    """The pod's spec."""
    spec = batch.spec
    variables = {**step_env(batch, step, settings), "FLYWHEEL_ATTEMPT": str(run.number)}
    predicts = step != "finish"
    inputs = _inputs(run, step)
    claims = _claims(spec, run)
    return {
        **runner_pod(spec.placement, spec.image_pull_secrets, GRACE_SECONDS, settings),
        "initContainers": [
            fetch_container(inputs, settings, variables, fetch_limit(spec.resources, settings), params),
            *([_server(batch.name, run, spec.resources, settings)] if predicts else []),
        ],
        "containers": [_main(step, spec, claims, variables, settings)],
        "volumes": [
            {"name": "flywheel", **inputs_volume(spec.resources, settings, restores_checkpoint=False)},
            {"name": "tmp", **bound_volume(spec.resources, settings.tmp_limit)},
            store_volume(settings),
            *(foreign_volume(role, name) for role, name in _secrets(spec).items()),
            *claim_volumes(claims),
        ],
    }


def _inputs(run: Run, step: str) -> tuple[Input, ...]:
    """What fetch downloads. Which columns are features of FeatureSets is in `features.json`; the plan reads no rows of Datasets."""
    plan = (Input(PLAN_INPUT, artifact=str(run.plan)),) if run.plan is not None else ()
    if step == "finish":
        return plan
    model = Input("model", artifact=str(run.digest), files=(*SERVED_FILES, "features.json"))
    tables = table_inputs(run.feature_sets, ("schema.json",) if step == "plan" else ROW_FILES)
    return (model, *plan, *definition_inputs(run.feature_sets, optional=True), *tables)


def _secrets(spec: BatchInferenceSpec) -> dict[Role, str]:
    """The Secrets of other stores, by what they are for."""
    source = spec.input.s3.secret_name if spec.input.s3 is not None else None
    given: dict[Role, ObjectName | None] = {"source": source, "output": spec.output.s3.secret_name}
    return {role: str(name) for role, name in given.items() if name is not None}


def _claims(spec: BatchInferenceSpec, run: Run) -> tuple[Input, ...]:
    if spec.input.pvc is None:
        return ()
    return (Input("source", volume=run.input, claim=str(spec.input.pvc.claim_name)),)


def _server(name: str, run: Run, resources: Resources, settings: Settings) -> dict[str, Any]:
    """A native sidecar: it is there before main starts, and goes when main has ended."""
    flags = {
        "--model": f"{ROOT}/inputs/model",
        "--name": name,
        "--version": run.version,
        "--http": f"127.0.0.1:{PORT}",
        "--drain-seconds": "0",
        "--grace-seconds": "2",
        "--max-run-seconds": str(RUN_SECONDS),  # of one request, with as many rows as main sends at once
    }
    return {
        **serving_container("server", "flywheel_serving", [*chain(*flags.items())], settings),
        "restartPolicy": "Always",
        **resource_fields(bound_resources(resources.or_default(SERVER_RESOURCES), settings)),
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp", "subPath": "server"},
        ],
    }


def _main(
    step: str, spec: BatchInferenceSpec, claims: tuple[Input, ...], variables: Mapping[str, str], settings: Settings
) -> dict[str, Any]:
    env = {**variables, **store_env(settings), "FLYWHEEL_SERVER": f"127.0.0.1:{PORT}"}
    secrets = _secrets(spec)
    for role in secrets:
        env |= foreign_env(role)
    return {
        **runtime_container(f"batch-{step}", settings, env),
        "name": "main",
        **resource_fields(bound_resources(MAIN_RESOURCES, settings)),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT},
            store_mount(),
            *(foreign_mount(role) for role in secrets),
            *claim_mounts(claims),
            {"name": "tmp", "mountPath": "/tmp", "subPath": "main"},
        ],
    }
