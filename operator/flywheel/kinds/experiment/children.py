"""What an Experiment becomes: a Job for each attempt of a trial, and in the end a Model and a ModelVersion that belong to nobody."""

import json
import math
from typing import Any

from flywheel.core.pods.distributed import Distributed
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.indexed_job import RankGroup, headless_service
from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource.api import MODEL, MODEL_VERSION
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import Data, ExperimentStatus, Trial
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.search.space import Point, values

Experiment = Resource[ExperimentSpec, ExperimentStatus]

TRIAL_ANNOTATION = "flywheel.ml/trial"  # what a trial's Job tries, so that a lost status can be made again from it
REPEAT = "r"  # trial-7-r2
USUAL_RESOURCES = Resources(requests={"cpu": "500m", "memory": "512Mi"})


def trial_job(
    experiment: Experiment,
    setup: Setup,
    data: Data,
    point: Point,
    trial: int,
    attempt: int,
    settings: Settings,
    repeat: int = 1,
    keep: dict[str, Any] | None = None,
) -> Child:
    """The Job of one attempt of a trial; another attempt has the same parameters, another repeat another seed."""
    spec = experiment.spec
    container = spec.trainer.container
    made = {"fingerprint": fingerprint(spec), "point": list(point)}
    step = Step(
        name=f"trial-{trial}" if repeat == 1 else f"trial-{trial}-{REPEAT}{repeat}",
        attempt=attempt,
        image=container.image if container else settings.runtime_image,
        command=container.command if container else ("python3", "-m", "flywheel_runtime", "train"),
        args=container.args if container else (),
        params=params(experiment, setup, point, repeat),
        inputs=(Input("data", artifact=data.digest),),
        outputs=("model",) if container is None or container.model is not None else (),
        timeout=spec.trial_timeout.timedelta if spec.trial_timeout else None,
        resources=spec.resources if spec.resources.requests or spec.resources.limits else USUAL_RESOURCES,
        placement=spec.placement,
        env=container.env if container else (),
        pull_secrets=spec.image_pull_secrets,
        shared_memory=spec.shared_memory,
        ours=container is None,
        prune=_prune(spec, setup, point),
        keep=keep,
        annotations={TRIAL_ANNOTATION: json.dumps(made)},
        indexed=_group(spec.distributed),
        checkpoint=spec.checkpoint,
        queue=spec.placement.queue_name,
    )
    return step_job(experiment, step, settings)


def _prune(spec: ExperimentSpec, setup: Setup, point: Point) -> dict[str, Any] | None:
    """Trials are compared within one search and one estimator: what a step is differs between them."""
    group = f"{fingerprint(spec)}/{int(point[0])}"
    return spec.pruner.told(setup.metric, group, maximize=setup.maximize) if spec.pruner else None


def _group(distributed: Distributed | None) -> RankGroup | None:
    if distributed is None:
        return None
    return RankGroup(distributed.framework, distributed.nodes, distributed.processes_per_node)


def of_ranks(experiment: Experiment) -> tuple[Child, ...]:
    """What the ranks of distributed trials find one another by."""
    return (headless_service(experiment),) if experiment.spec.distributed else ()


def model(experiment: Experiment, name: str, metric: str) -> Child:
    """The registry entry, made where there is none. It compares versions as the search compared trials."""
    said = experiment.spec.objective.direction if experiment.spec.objective else None
    objective = {"metric": metric, **({"direction": said} if said else {})}
    return Child(
        MODEL,
        {
            "apiVersion": MODEL.api_version,
            "kind": MODEL.kind,
            "metadata": {"name": name},
            "spec": {"objective": objective},
        },
        create_only=True,
        owned=False,
    )


def version_name(spec: ExperimentSpec, digest: Digest) -> str:
    """A version is named by what it is."""
    return f"{spec.register_}-{digest.short}{'-int8' if spec.quantize else ''}"


def model_version(
    experiment: Experiment, model_name: str, data: Data, best: Trial, digest: Digest, settings: Settings
) -> Child:
    """The best trial's model as a version that says where it comes from."""
    container = experiment.spec.trainer.container
    parameters = {**({"estimator": best.estimator} if best.estimator else {}), **best.parameters}
    lineage: dict[str, Any] = {
        "experiment": experiment.name,
        "experimentUid": experiment.uid,
        "trial": best.trial,
        **({"dataset": str(experiment.spec.dataset)} if experiment.spec.dataset is not None else {}),
        "datasetVersion": data.version,
        "datasetDigest": str(data.digest),
        "image": best.image or (container.image if container else settings.runtime_image),
        **({"parameters": parameters} if parameters else {}),
    }
    path = {"path": container.model.path} if container and container.model else {}
    # A container's artifact tells no metrics of its own; what the trial reported is what is known.
    declared = {"metrics": dict(sorted(best.metrics.items())[:32])} if container and best.metrics else {}
    return Child(
        MODEL_VERSION,
        {
            "apiVersion": MODEL_VERSION.api_version,
            "kind": MODEL_VERSION.kind,
            "metadata": {"name": version_name(experiment.spec, digest)},
            "spec": {
                "model": model_name,
                "format": "ONNX",
                "source": {"artifact": {"digest": str(digest)}},
                **path,
                **({"quantize": experiment.spec.quantize} if experiment.spec.quantize else {}),
                **declared,
                "lineage": lineage,
            },
        },
        create_only=True,
        owned=False,
    )


def params(experiment: Experiment, setup: Setup, point: Point, repeat: int = 1) -> dict[str, Any]:
    """`params.json` of a trial: the step train's (images/README.md), or the container's own parameters, all flat."""
    seed = setup.seed + repeat - 1
    spec, (name, searched) = experiment.spec, values(setup.space, point)
    if spec.trainer.container is not None:
        told = {**spec.trainer.container.parameters, **searched}
        given = {parameter: literal(value) for parameter, value in told.items()}
        return {**given, "seed": seed} if spec.repeats else given
    features = spec.trainer.sklearn.features if spec.trainer.sklearn else None
    return {
        "estimator": name,
        "parameters": {**setup.estimators[int(point[0])].parameters, **searched},
        "task": setup.task,
        "features": features.model_dump(mode="json") if features else None,
        "objective": {"metric": setup.metric},
        "validation": spec.validation.model_dump(exclude_none=True) if spec.validation else {"holdout": "Validation"},
        "seed": seed,
        **({"curve": True} if spec.pruner else {}),
    }


def literal(value: float | int | str) -> Any:
    """A string that reads as a JSON number, boolean, null or string is that; any other is itself."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        return value
    no_json = isinstance(read, float) and not math.isfinite(read)
    return value if no_json or isinstance(read, dict | list) else read
