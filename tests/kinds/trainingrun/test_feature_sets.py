"""A run whose training takes FeatureSets: by digest, in the cache key, in the lineage, and in the data of the steps below."""

from typing import Any

from flywheel.core.resource.api import EXPERIMENT, FEATURE_SET, MODEL_VERSION, Manifest
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingpipeline.schema.validation import template_problems
from tests.kinds.trainingrun.situations import (
    FLIGHTS,
    INPUTS,
    MODEL_BYTES,
    READY,
    REGISTER,
    Runs,
    loop,
    made,
    run,
)
from tests.simulation import params
from tests.simulation.resources import custom

DEFINITION, OTHER, JOINED = (f"sha256:{letter * 64}" for letter in "def")
TRAIN = {"name": "model", "train": {"from": "flights", "trainer": {"sklearn": {}}, "featureSets": ["context"]}}
EVALUATE = {"name": "report", "evaluate": {"from": "model"}}
PIN = {"name": "context", "digest": DEFINITION, "datasets": [{"name": "flights", "version": "v-1", "digest": FLIGHTS}]}


def feature_set(digest: str = DEFINITION, **condition: Any) -> Manifest:
    status = {
        "conditions": [{**READY, "lastTransitionTime": "2026-01-01T12:00:00Z", **condition}],
        "generation": 1,
        "digest": digest,
        "datasets": PIN["datasets"],
    }
    return custom(FEATURE_SET, "context", {}, status=status)


def started(*steps: dict[str, Any], pinned: Manifest | None = None) -> Runs:
    runs = loop(TRAIN, *steps)
    runs.put(pinned or feature_set())
    runs.start(run())
    return runs


def end_training(runs: Runs) -> None:
    """Let the Experiment find its best trial on the joined data."""
    best = {
        "trial": 3,
        "model": MODEL_BYTES,
        "metrics": {"roc_auc": "0.75"},
        "parameters": {},
        "estimator": "LogisticRegression",
    }
    status = {
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Registered"}],
        "best": best,
        "metric": "roc_auc",
        "direction": "Maximize",
        "data": {"version": "v-1", "digest": JOINED, "featureSets": [PIN]},
    }
    [experiment] = [each for each in runs.cluster.objects(EXPERIMENT) if not (each.get("status") or {}).get("best")]
    runs.put({**experiment, "status": status})
    runs.settle()


def test_the_experiment_takes_the_sets_as_they_were_when_the_step_started() -> None:
    spec = made(started(), EXPERIMENT)["spec"]

    assert (spec["featureSets"], spec["artifact"]["featureSets"]) == (["context"], [PIN])


def test_the_version_pins_the_sets_and_the_joined_data() -> None:
    runs = started(REGISTER)

    end_training(runs)

    lineage = made(runs, MODEL_VERSION)["spec"]["lineage"]
    assert (lineage["dataset"], lineage["datasetVersion"], lineage["datasetDigest"]) == ("flights", "v-1", JOINED)
    assert lineage["featureSets"] == [PIN]


def test_the_evaluation_reads_the_joined_data() -> None:
    runs = started(EVALUATE)

    end_training(runs)

    [job] = runs.running()
    [fetch] = [each for each in job["spec"]["template"]["spec"]["initContainers"] if each["name"] == "fetch"]
    assert JOINED in str(fetch["env"])
    assert FLIGHTS not in str(fetch["env"])
    assert params(job)["by"] == []


def test_the_same_sets_are_trained_once_and_another_definition_again() -> None:
    runs = started()
    end_training(runs)

    again = runs.start(run("two"))
    runs.put(feature_set(OTHER))
    other = runs.start(run("three"))

    [step] = again.status.steps
    assert (step.cache, step.feature_sets[0].digest, step.outputs["data"]) == ("Hit", DEFINITION, JOINED)
    assert [each.cache for each in other.status.steps] == ["Miss"]


def test_a_set_that_is_not_ready_is_waited_for_by_the_experiment() -> None:
    runs = started(pinned=feature_set(status="False"))

    [step] = runs.now.status.steps
    assert (step.state, step.cache_reason) == ("Running", "it waits for a FeatureSet")
    assert "featureSets" not in made(runs, EXPERIMENT)["spec"]["artifact"]


def test_a_repeated_run_takes_the_sets_of_the_original() -> None:
    runs = started()
    end_training(runs)
    runs.put(feature_set(OTHER))

    runs.start(run("two", reproduceOf="one"))

    assert made(runs, EXPERIMENT)["spec"]["artifact"]["featureSets"] == [PIN]


def test_an_evaluation_on_other_rows_is_refused_since_they_have_no_features() -> None:
    template = Template.model_validate(
        {"inputs": INPUTS, "steps": [TRAIN, {"name": "report", "evaluate": {"from": "model", "data": "flights"}}]}
    )

    assert template_problems(template) == [
        "Step 'report': the model of step 'model' takes features of FeatureSets, and data 'flights' has none; remove evaluate.data, to evaluate on the test rows of the training."
    ]
