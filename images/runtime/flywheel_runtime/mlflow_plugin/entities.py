"""MLflow's objects, made from what the journal knows."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    LifecycleStage,
    LoggedModel,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunTag,
)
from mlflow.entities import Experiment as MlflowExperiment
from mlflow.entities import Run as MlflowRun

from flywheel_runtime.mlflow_plugin.recorded_files import Point
from flywheel_runtime.mlflow_plugin.run_state import Experiment, Model, Run

ARTIFACTS_URI = "flywheel:/artifacts"


def experiment_entity(experiment: Experiment) -> Any:
    tags = [ExperimentTag(name, value) for name, value in experiment.tags.items()]
    return MlflowExperiment(
        experiment.id,
        experiment.name,
        ARTIFACTS_URI,
        LifecycleStage.ACTIVE,
        tags,
        creation_time=experiment.created,
        last_update_time=experiment.created,
    )


def run_entity(run: Run, last: Iterable[Point]) -> Any:
    info = RunInfo(
        run_id=run.id,
        experiment_id=run.experiment,
        user_id=run.user,
        status=run.status,
        start_time=run.started,
        end_time=run.ended,
        lifecycle_stage=LifecycleStage.ACTIVE,
        artifact_uri=f"{ARTIFACTS_URI}/{run.prefix}".rstrip("/"),
        run_name=run.name,
    )
    data = RunData(
        metrics=[metric_entity(run, point) for point in last if point.run == run.id],
        params=[Param(name, value) for name, value in run.params.items()],
        tags=[RunTag(name, value) for name, value in run.tags.items()],
    )
    inputs = RunInputs(
        dataset_inputs=[_dataset_input(each) for each in run.datasets],
        model_inputs=[LoggedModelInput(each) for each in run.input_models],
    )
    outputs = RunOutputs([LoggedModelOutput(each["model_id"], each["step"]) for each in run.output_models])
    return MlflowRun(info, data, inputs, outputs)


def metric_entity(run: Run, point: Point) -> Any:
    return Metric(point.name.removeprefix(run.prefix), point.value, point.time, point.step, run_id=run.id)


def point_of(run_id: str, metric: Any) -> Point:
    """Raises ValueError for a step that is no whole number, which MLflow's servers would round."""
    step = metric.step
    if not math.isfinite(step) or int(step) != step:
        raise ValueError(f"step {step} of metric '{metric.key}' is no whole number; log the epoch or the iteration")
    return Point(run_id, metric.key, float(metric.value), int(step), int(metric.timestamp))


def model_entity(model: Model) -> Any:
    return LoggedModel(
        experiment_id=model.experiment,
        model_id=model.id,
        name=model.name,
        artifact_location=f"{ARTIFACTS_URI}/{model.folder}",
        creation_timestamp=model.created,
        last_updated_timestamp=model.updated,
        model_type=model.type,
        source_run_id=model.run,
        status=LoggedModelStatus(model.status),
        tags=dict(model.tags),
        params=dict(model.params),
    )


def dataset_fields(each: Any) -> dict[str, Any]:
    """A dataset input as the journal has it."""
    dataset = each.dataset
    return {
        "dataset": {
            "name": dataset.name,
            "digest": dataset.digest,
            "source_type": dataset.source_type,
            "source": dataset.source,
            "schema": dataset.schema,
            "profile": dataset.profile,
        },
        "tags": {tag.key: tag.value for tag in each.tags},
    }


def _dataset_input(fields: Mapping[str, Any]) -> Any:
    return DatasetInput(Dataset(**fields["dataset"]), [InputTag(key, value) for key, value in fields["tags"].items()])
