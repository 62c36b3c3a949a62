"""What an Experiment becomes: a Job for each attempt of a trial, and in the end a Model and a ModelVersion without an owner."""

import json
from collections.abc import Sequence
from typing import Any

from flywheel.core.pods.bounds import bound_time
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.indexed_job import headless_service
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.sidecar_config import TrackConfig
from flywheel.core.pods.source_file import SOURCE_COMMAND, source_config_map, source_digest
from flywheel.core.pods.step_config.training import PrepareConfig, TrainConfig
from flywheel.core.resource import names
from flywheel.core.resource.api import MODEL, MODEL_VERSION
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources, Variable
from flywheel.core.settings import Settings
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import Attempt, Data, ExperimentStatus, Join, Trial
from flywheel.kinds.experiment.schema.trainer import Features
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.search.literals import parse_literal
from flywheel.kinds.experiment.search.space import Point, parameters_of
from flywheel.kinds.featureset.schema.join_inputs import definition_inputs, feature_set_params, table_inputs
from flywheel.kinds.featureset.schema.pins import FeatureSetPin

Experiment = Resource[ExperimentSpec, ExperimentStatus]

JOIN_STEP = "features"
JOIN_ANNOTATION = "flywheel.ml/join"  # the question of a join, so that a lost status can be made again from its Job
TRIAL_ANNOTATION = "flywheel.ml/trial"  # what a trial's Job tries, so that a lost status can be made again from it
REPEAT_PREFIX = "r"  # trial-7-r2
DEFAULT_RESOURCES = Resources(requests={"cpu": "500m", "memory": "512Mi"})


def trial_job(
    experiment: Experiment,
    setup: Setup,
    data: Data,
    attempt: Attempt,
    point: Point,
    settings: Settings,
    keep: dict[str, Any] | None = None,
) -> Child:
    """The Job of one attempt of a trial at this point; another attempt has the same parameters, another repeat another seed.

    `keep` is what its metric must reach for its model to be uploaded.
    """
    spec, container, (trial, repeat) = experiment.spec, experiment.spec.trainer.container, attempt.key
    step = Step(
        name=f"trial-{trial}" if repeat == 1 else f"trial-{trial}-{REPEAT_PREFIX}{repeat}",
        attempt=attempt.attempt,
        image=trainer_image(spec, settings),
        command=_command(spec),
        args=container.args if container else (),
        params=trial_params(experiment, setup, point, repeat),
        inputs=(Input("data", artifact=data.digest),),
        outputs=("model",) if container is None or container.model is not None else (),
        timeout=bound_time(spec.trial_timeout, settings.training_timeout),
        resources=spec.resources.or_default(DEFAULT_RESOURCES),
        placement=spec.placement,
        env=(*(container.env if container else ()), *_code_variables(spec)),
        pull_secrets=spec.image_pull_secrets,
        shared_memory=spec.shared_memory,
        read_only_root=container is None,
        prune=_pruner(spec, setup, point),
        keep=keep,
        annotations={TRIAL_ANNOTATION: json.dumps({"fingerprint": fingerprint(spec), "point": list(point)})},
        indexed=spec.distributed,
        checkpoint=spec.checkpoint,
        queue=spec.placement.queue_name,
        source=container.source if container else None,
        track=_track(experiment, setup, data, attempt, point),
    )
    return step_job(experiment, step, settings)


def join_job(
    experiment: Experiment, data: Data, pins: Sequence[FeatureSetPin], join: Join, settings: Settings
) -> Child:
    """The Job that adds the features of FeatureSets to the data, as of the time of each row."""
    step = Step(
        name=JOIN_STEP,
        attempt=join.number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "prepare"),
        params=_join_params(pins),
        inputs=(Input("data", artifact=str(data.digest)), *definition_inputs(pins), *table_inputs(pins)),
        outputs=("data",),
        timeout=bound_time(experiment.spec.trial_timeout, settings.training_timeout),
        resources=experiment.spec.resources.or_default(DEFAULT_RESOURCES),
        placement=experiment.spec.placement,
        queue=experiment.spec.placement.queue_name,
        annotations={JOIN_ANNOTATION: join.question},
    )
    return step_job(experiment, step, settings)


def _join_params(pins: Sequence[FeatureSetPin]) -> dict[str, Any]:
    """`params.json` of the step prepare."""
    every: dict[str, Any] = {"tables": ["data"], "sql": None, "parameters": {}, "run": {}, "sample": None, "seed": 0}
    return PrepareConfig.model_validate({**every, "featureSets": feature_set_params(pins)}).document()


def trainer_image(spec: ExperimentSpec, settings: Settings) -> str:
    """The image of a trial: that of the container, else the runtime image."""
    return (spec.trainer.container and spec.trainer.container.image) or settings.runtime_image


def _command(spec: ExperimentSpec) -> tuple[str, ...]:
    container = spec.trainer.container
    if container is None:
        return ("python3", "-m", "flywheel_runtime", "train")
    return container.command or (SOURCE_COMMAND if container.source is not None else ())


def trainer_source(experiment: Experiment) -> tuple[Child, ...]:
    """The ConfigMap with `trainer.container.source`, which the pods of trials mount."""
    container = experiment.spec.trainer.container
    if container is None or container.source is None:
        return ()
    return (source_config_map(experiment, container.source),)


def _track(experiment: Experiment, setup: Setup, data: Data, attempt: Attempt, point: Point) -> TrackConfig:
    """What the record of a trial has beside its result."""
    spec, (trial, repeat) = experiment.spec, attempt.key
    params = trial_params(experiment, setup, point, repeat)
    container = spec.trainer.container is not None
    in_run = names.RUN_ANNOTATION in experiment.annotations
    known = {
        "pipeline": experiment.annotations.get(names.PIPELINE_ANNOTATION),
        "run": experiment.annotations.get(names.RUN_ANNOTATION),
        "runUid": experiment.labels.get(names.UID_LABEL) if in_run else None,
        "dataset": spec.dataset and str(spec.dataset),
        "estimator": None if container else params["estimator"],
        "code": _tracked_code(spec),
        "tags": names.user_labels(experiment.labels) or None,
        "retention": spec.retention and str(spec.retention),
    }
    return TrackConfig.model_validate(
        {
            "kind": experiment.api.kind,
            "name": experiment.name,
            "trial": trial,
            "repeat": repeat,
            "datasetVersion": data.version,
            "datasetDigest": str(data.digest),
            "objective": {"metric": setup.metric, "maximize": setup.maximize},
            "parameters": params if container else params["parameters"],
            "seed": setup.seed + repeat - 1,
            **{name: value for name, value in known.items() if value is not None},
        }
    )


def _tracked_code(spec: ExperimentSpec) -> dict[str, str] | None:
    """The revision of the code as the user named it, else the digest of the source in the spec."""
    if spec.code is not None:
        return spec.code.model_dump(mode="json", exclude_none=True)
    container = spec.trainer.container
    return {"revision": source_digest(container.source)} if container and container.source is not None else None


def _code_variables(spec: ExperimentSpec) -> tuple[Variable, ...]:
    """The revision of the trainer's code, which trainer sklearn writes to run.json."""
    name, own = "FLYWHEEL_GIT_REVISION", spec.trainer.container.env if spec.trainer.container else ()
    if spec.code is None or any(each.name == name for each in own):
        return ()
    return (Variable(name=name, value=spec.code.revision),)


def _pruner(spec: ExperimentSpec, setup: Setup, point: Point) -> dict[str, Any] | None:
    """Trials are compared within one search and one estimator, since a step means something else in another."""
    group = f"{fingerprint(spec)}/{int(point[0])}"
    return spec.pruner.collect_config(setup.metric, group, maximize=setup.maximize) if spec.pruner else None


def rank_service(experiment: Experiment) -> tuple[Child, ...]:
    """The headless Service by which the ranks of distributed trials find one another."""
    return (headless_service(experiment),) if experiment.spec.distributed else ()


def new_model(experiment: Experiment, name: str, metric: str) -> Child:
    """The Model, made where there is none. It compares versions as the search compared trials."""
    direction = experiment.spec.objective.direction if experiment.spec.objective else None
    objective = {"metric": metric, **({"direction": direction} if direction else {})}
    return Child(MODEL, MODEL.manifest(name, spec={"objective": objective}), create_only=True, owned=False)


def version_name(spec: ExperimentSpec, best: Trial) -> str | None:
    """The ModelVersion that the best trial's model is registered as; None where `register` does not ask for it, or there is no model.

    A version is named by its digest.
    """
    if spec.register_ is None or best.model is None:
        return None
    return f"{spec.register_}-{best.model.short}{'-int8' if spec.quantize else ''}"


def new_model_version(experiment: Experiment, name: str, data: Data, best: Trial, settings: Settings) -> Child:
    """The best trial's model as a ModelVersion, with its lineage."""
    container = experiment.spec.trainer.container
    parameters = {**({"estimator": best.estimator} if best.estimator else {}), **best.parameters}
    lineage: dict[str, Any] = {
        "experiment": experiment.name,
        "experimentUid": experiment.uid,
        "trial": best.trial,
        **({"dataset": str(experiment.spec.dataset)} if experiment.spec.dataset is not None else {}),
        "datasetVersion": data.version,
        "datasetDigest": str(data.digest),
        **({"featureSets": [each.document() for each in data.feature_sets]} if data.feature_sets else {}),
        **_code_lineage(experiment.spec),
        "image": best.image or trainer_image(experiment.spec, settings),
        **({"parameters": parameters} if parameters else {}),
    }
    spec = {
        "model": str(experiment.spec.register_),
        "format": "ONNX",
        "source": {"artifact": {"digest": str(best.model)}},
        **({"path": container.model.path} if container and container.model else {}),
        **({"quantize": experiment.spec.quantize} if experiment.spec.quantize else {}),
        # A container's artifact has no metrics of its own; what the trial reported is what is known.
        **({"metrics": dict(sorted(best.metrics.items())[:32])} if container and best.metrics else {}),
        "lineage": lineage,
    }
    return Child(MODEL_VERSION, MODEL_VERSION.manifest(name, spec=spec), create_only=True, owned=False)


def _feature_columns(features: Features) -> dict[str, list[str]]:
    """The columns by how they are prepared; `text` only where there are some, as earlier releases wrote it."""
    columns = features.model_dump(mode="json")
    return columns if columns["text"] else {name: columns[name] for name in ("numeric", "categorical")}


def _code_lineage(spec: ExperimentSpec) -> dict[str, str]:
    found = {"gitRevision": spec.code.revision, "gitRepository": spec.code.repository} if spec.code else {}
    return {name: value for name, value in found.items() if value is not None}


def trial_params(experiment: Experiment, setup: Setup, point: Point, repeat: int = 1) -> dict[str, Any]:
    """`params.json` of a trial: the step train's (images/README.md), or the container's own parameters, all flat."""
    seed = setup.seed + repeat - 1
    spec, (name, searched) = experiment.spec, parameters_of(setup.space, point)
    if spec.trainer.container is not None:
        texts = {**spec.trainer.container.parameters, **searched}
        parameters = {parameter: parse_literal(value) for parameter, value in texts.items()}
        return {**parameters, "seed": seed} if spec.repeats else parameters
    features = spec.trainer.sklearn.features if spec.trainer.sklearn else None
    config = {
        "estimator": name,
        "parameters": {**setup.estimators[int(point[0])].parameters, **searched},
        "task": setup.task,
        "features": _feature_columns(features) if features else None,
        "objective": {"metric": setup.metric},
        "validation": spec.validation.model_dump(exclude_none=True) if spec.validation else {"holdout": "Validation"},
        "seed": seed,
        **({"curve": True} if spec.pruner else {}),
        **({"rowwise": dict(spec.rowwise)} if spec.rowwise else {}),
    }
    return TrainConfig.model_validate(config).document()
