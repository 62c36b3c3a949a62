"""From data to a registered model: Experiment and ModelVersion with what the steps above gave, and models compared by a Job."""

from collections.abc import Mapping
from typing import Any

import pytest

from flywheel.core.resource.api import EXPERIMENT, JOB, MODEL_VERSION, Manifest, Reference
from flywheel.kinds.modelversion.schema.spec import preparation_digest
from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingrun import messages
from flywheel.kinds.trainingrun.observe import references
from flywheel.kinds.trainingrun.progress import Progress
from flywheel.kinds.trainingrun.schema.status import StepStatus
from flywheel.kinds.trainingrun.steps.step_states import StepState
from flywheel.kinds.trainingrun.steps.train import read_experiment
from tests.kinds.trainingrun.situations import (
    DATA,
    FLIGHTS,
    MODEL_BYTES,
    REGISTER,
    Runs,
    container,
    loop,
    made,
    run,
)
from tests.simulation import params, terminated_state
from tests.simulation.resources import custom

PREPARE = {"name": "data", "prepare": {"from": ["flights"]}}
TRAIN = {"name": "model", "train": {"from": "data", "trainer": {"sklearn": {}}}}
TRAIN_ON_DATASET = {"name": "model", "train": {"from": "flights", "trainer": {"sklearn": {}}}, "cache": "Never"}


def end_job(runs: Runs, job: Manifest, told: Mapping[str, Any], exit_code: int = 0) -> None:
    """Let a Job end; `told` is what its collect adds."""
    collected = {
        "v": 1, "phase": "Finished", "complete": True, "repeated": False, "timedOut": False, "oomKills": 0,
        "outputs": {}, "metrics": {}, "facts": {}, "error": None, **told,
    }  # fmt: skip
    runs.end_job(
        job["metadata"]["name"],
        failed=bool(exit_code),
        main=terminated_state(exit_code, ""),
        init={
            "collect": terminated_state(0, collected),
            "fetch": terminated_state(0, {"v": 1, "reason": "Fetched"}),
        },
        phase="Failed" if exit_code else "Succeeded",
    )


def end_prepare(runs: Runs, **facts: str) -> None:
    """Let the Job of step data leave its table."""
    end_job(runs, runs.running()[0], {"outputs": {"data": {"digest": DATA, "size": 1, "files": 1}}, "facts": facts})
    runs.settle()


def end_training(runs: Runs, **best: Any) -> None:
    """Let the Experiment find its best trial."""
    found = {"trial": 3, "model": MODEL_BYTES, "metrics": {"roc_auc": "0.75"}, "parameters": {"depth": "4"}, **best}
    succeeded = {"type": "Succeeded", "status": "True", "reason": "Registered"}
    status = {"conditions": [succeeded], "best": found, "metric": "roc_auc", "direction": "Maximize"}
    runs.put({**made(runs, EXPERIMENT), "status": status})
    runs.settle()


@pytest.mark.parametrize(
    ("task", "classes", "expected"),
    [
        pytest.param("Regression", None, {"task": "Regression"}, id="the task of the Dataset"),
        pytest.param("Multiclass", 7, {"task": "Multiclass", "classes": 7}, id="its classes, as a number"),
        pytest.param(None, None, {}, id="neither is known"),
    ],
)
def test_an_experiment_on_a_dataset_gets_its_version_and_what_is_known_of_it(
    task: str | None, classes: int | None, expected: dict[str, Any]
) -> None:
    runs = loop(TRAIN_ON_DATASET, task=task, classes=classes)

    runs.start(run())

    assert made(runs, EXPERIMENT)["spec"]["artifact"] == {"digest": FLIGHTS, "version": "v-1", **expected}


def test_an_experiment_on_prepared_data_names_the_step_and_the_digest_as_its_version() -> None:
    runs = loop(PREPARE, TRAIN)
    runs.start(run())

    end_prepare(runs, task="Regression")

    artifact = made(runs, EXPERIMENT)["spec"]["artifact"]
    assert artifact == {"digest": DATA, "version": "data-aaaaaaaa", "task": "Regression"}


def test_only_a_test_run_takes_a_sample_and_only_of_the_pipelines_inputs() -> None:
    runs = loop(PREPARE, TRAIN)
    runs.start(run(test=True))
    sampled = params(runs.running()[0])
    end_job(runs, runs.running()[0], {"outputs": {"data": {"digest": DATA, "size": 1, "files": 1}}})
    runs.settle()
    prepared = params(runs.running()[0])

    assert (float(sampled["sample"]), prepared.get("sample")) == (0.01, None)


def test_a_version_names_the_dataset_behind_the_data_the_trial_and_the_parameters() -> None:
    runs = loop(PREPARE, TRAIN, REGISTER)
    runs.start(run())
    end_prepare(runs)

    end_training(runs, estimator="Ridge")

    version = made(runs, MODEL_VERSION)
    assert Reference(MODEL_VERSION, "default", version["metadata"]["name"]) in set(references(runs.now))
    spec = version["spec"]

    assert (spec["model"], spec["path"], spec["source"]["artifact"]["digest"]) == ("delay", "model.onnx", MODEL_BYTES)
    lineage = spec["lineage"]
    assert (lineage["dataset"], lineage["datasetVersion"], lineage["datasetDigest"]) == ("flights", "v-1", DATA)
    assert (lineage["trial"], lineage["parameters"]) == (3, {"depth": "4", "estimator": "Ridge"})
    table = {"name": "flights", "dataset": "flights", "version": "v-1", "digest": FLIGHTS}
    digest = preparation_digest([{"reads": ["flights"]}, table], {})
    assert lineage["prepared"] == {"step": "data", "reads": ["flights"], "from": [table], "digest": digest}


def test_a_model_of_a_container_is_registered_with_the_path_that_the_container_writes() -> None:
    trainer = container("model")
    trainer["container"] |= {"modelPath": "best/net.onnx", "outputs": ["data"]}
    runs = Runs({"steps": [trainer, REGISTER]})
    runs.start(run())
    runs.end(runs.running()[0])

    runs.settle()

    assert made(runs, MODEL_VERSION)["spec"]["path"] == "best/net.onnx"


def repeated() -> Runs:
    """A run that repeats another one, and trained a model of other bytes with the same metrics."""
    runs = loop(TRAIN_ON_DATASET)
    runs.start(run("one"))
    end_training(runs, estimator="Ridge")
    runs.cluster.remove(Reference(EXPERIMENT, "default", "one-model"))
    runs.start(run("two", reproduceOf="one"))
    end_training(runs, estimator="Ridge", model=DATA)
    return runs


def test_a_repeated_training_is_its_best_trial_without_a_search() -> None:
    spec = made(repeated(), EXPERIMENT)["spec"]

    assert spec["budget"] == {"maxTrials": 1}
    assert spec["trainer"]["sklearn"]["estimators"] == [{"name": "Ridge", "parameters": {"depth": "4"}}]


@pytest.mark.parametrize(
    ("exit_code", "finding"),
    [
        pytest.param(0, "step 'model': they differ by 1e-12", id="the Job that compares them says how"),
        pytest.param(1, "step 'model': other bytes, the same metrics", id="it fails, and their metrics decide"),
        pytest.param(None, "step 'model': other bytes, the same metrics", id="it is gone, and their metrics decide"),
    ],
)
def test_models_of_other_bytes_are_compared_by_a_job(exit_code: int | None, finding: str) -> None:
    runs = repeated()
    assert runs.status.result is None
    [job] = runs.running()
    if exit_code is None:
        runs.cluster.remove(Reference(JOB, "default", job["metadata"]["name"]))
    else:
        facts = {"verdict": "WithinTolerance", "differs": "they differ by 1e-12"}
        end_job(runs, job, {"facts": facts}, exit_code)
    runs.settle()

    assert runs.now.status.result == "Succeeded"
    reproduced = runs.now.status.reproduced
    assert reproduced is not None
    assert (reproduced.verdict, reproduced.differs) == ("WithinTolerance", (finding,))


@pytest.mark.parametrize(
    ("step", "command"),
    [
        pytest.param(TRAIN, "kubectl describe fwexp loop-1-model", id="an Experiment"),
        pytest.param(REGISTER, "kubectl describe fwver loop-1-model", id="a version"),
        pytest.param(container("data"), "kubectl logs job/loop-1-model -c main", id="a Job"),
    ],
)
def test_a_step_that_failed_names_a_command_for_the_object_that_it_has(step: Any, command: str) -> None:
    parsed = Step.model_validate({**step, "name": "model"})
    status = StepStatus(name="model", state="Failed", job="loop-1-model", reason="NoModel", message="It left no model.")
    state = StepState(parsed, status)

    _, _, message = messages.result(Progress({"model": state}, {}), None)

    assert message.startswith(f"Step 'model' failed: It left no model. See '{command}'. 0/1 steps")


@pytest.mark.parametrize(
    ("succeeded", "stalled", "result"),
    [
        pytest.param("False", "True", "Failed", id="it can never succeed"),
        pytest.param("False", "False", None, id="it goes on"),
        pytest.param("Unknown", "True", None, id="its spec can be corrected"),
    ],
)
def test_an_experiment_has_failed_where_it_neither_succeeded_nor_goes_on(
    succeeded: str, stalled: str, result: str | None
) -> None:
    conditions = [
        {"type": "Succeeded", "status": succeeded, "reason": "TooManyFailedTrials"},
        {"type": "Stalled", "status": stalled, "reason": "TooManyFailedTrials"},
        {"type": "Ready", "status": "False", "reason": "TooManyFailedTrials", "message": "3 of 3 trials failed."},
    ]

    outcome = read_experiment(custom(EXPERIMENT, "loop-model", {}, status={"conditions": conditions})).outcome

    assert (outcome.result if outcome else None) == result
