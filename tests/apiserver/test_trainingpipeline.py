"""Bad pipelines and runs are refused by the API server with a sentence of ours; 200 steps are let in."""

from typing import Any

import pytest
import yaml

from tests.apiserver.manifests import Kubectl

pytestmark = pytest.mark.apiserver

LOAD: dict[str, Any] = {"name": "load", "prepare": {"from": ["flights"]}}
FIT: dict[str, Any] = {"name": "fit", "train": {"from": "load", "trainer": {"sklearn": {}}}}
WORK: dict[str, Any] = {"name": "work", "container": {"image": "i"}}


def pipeline(spec: dict[str, Any], name: str = "loop") -> str:
    inputs = {"inputs": [{"name": "flights", "dataset": "flights"}]}
    return yaml.safe_dump(
        {
            "apiVersion": "flywheel.ml/v1alpha1",
            "kind": "TrainingPipeline",
            "metadata": {"name": name},
            "spec": {**inputs, **spec},
        }
    )


def run(spec: dict[str, Any], name: str = "one") -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "flywheel.ml/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": name},
            "spec": {"pipeline": "loop", **spec},
        }
    )


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"steps": []}, "spec.steps in body should have at least 1 items", id="no steps"),
        pytest.param({"steps": [WORK, WORK]}, 'Duplicate value: {"name":"work"}', id="two of one name"),
        pytest.param({"steps": [{"name": "a"}]}, "give exactly one of prepare, train", id="no sort"),
        pytest.param({"steps": [{**WORK, **LOAD}]}, "give exactly one of prepare, train", id="two sorts"),
        pytest.param(
            {"steps": [{**WORK, "dependsOn": ["later"]}, {**WORK, "name": "later"}]},
            "dependsOn must name steps above",
            id="a later step",
        ),
        pytest.param({"steps": [{**WORK, "dependsOn": ["work"]}]}, "dependsOn must name steps above", id="itself"),
        pytest.param(
            {"steps": [FIT]}, "train.from must name an input, or a step above that produces data", id="unknown"
        ),
        pytest.param(
            {"steps": [LOAD, FIT, {"name": "again", "train": {"from": "fit", "trainer": {"sklearn": {}}}}]},
            "train.from must name an input, or a step above that produces data",
            id="a model for data",
        ),
        pytest.param(
            {"steps": [LOAD, {"name": "reg", "register": {"from": "load", "model": "m"}}]},
            "register.from must name a step above that produces a model",
            id="data for a model",
        ),
        pytest.param(
            {"steps": [{"name": "p", "prepare": {"from": ["flights", "weather"]}}]},
            "prepare.from must name inputs, or steps above that produce data",
            id="an input that is not there",
        ),
        pytest.param(
            {"steps": [{**WORK, "when": [{"parameter": "months", "min": "1"}]}]},
            "when.parameter must name a parameter of the pipeline",
            id="when without a parameter",
        ),
        pytest.param(
            {"steps": [{**WORK, "when": [{"metric": {"step": "work", "name": "loss"}, "min": "1"}]}]},
            "when.metric.step must name a step above",
            id="when of itself",
        ),
        pytest.param(
            {"steps": [{**WORK, "when": [{"run": "Failed"}]}]},
            "when.run is allowed only in steps of finally",
            id="run in steps",
        ),
        pytest.param(
            {"steps": [{**WORK, "name": "flights"}]},
            "a step and an input must not have the same name",
            id="a step like an input",
        ),
        pytest.param(
            {"steps": [WORK], "finally": [{"name": "work", "container": {"image": "i"}}]},
            "a step of finally must not have the name of another step",
            id="finally like a step",
        ),
        pytest.param(
            {"steps": [WORK], "triggers": [{"name": "t"}]},
            "give exactly one of schedule, newData, modelVersion, condition, monitor and run",
            id="no trigger",
        ),
        pytest.param(
            {"steps": [WORK], "triggers": [{"name": "t", "monitor": {"name": "m", "when": "FeatureDrift"}}]},
            'Unsupported value: "FeatureDrift": supported values: "Performance", "EstimatedPerformance", "PredictionDrift", "DataHealth"',
            id="drift of features alone",
        ),
        pytest.param(
            {"steps": [WORK], "inputs": [{"name": "rows"}]},
            "give exactly one of dataset and run",
            id="an input of nothing",
        ),
        pytest.param(
            {
                "steps": [WORK],
                "inputs": [{"name": "rows", "run": {"pipeline": "up", "step": "a"}, "version": "flights-1"}],
            },
            "version is for an input with dataset",
            id="a version of an output",
        ),
        pytest.param(
            {"steps": [WORK], "parameters": [{"name": "months", "type": "Integer", "default": "three"}]},
            "default must be an integer in quotes",
            id="a default of another type",
        ),
        pytest.param(
            {"steps": [WORK], "test": {"checks": [{"step": "other", "metric": "rows"}]}},
            "test.checks.step must name a step",
            id="a check of no step",
        ),
    ],
)
def test_bad_pipelines_are_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    done = installed("create", "--filename", "-", stdin=pipeline(spec))

    assert done.returncode != 0
    assert sentence in done.stderr


def test_200_steps_with_nine_names_each_are_let_in(installed: Kubectl) -> None:
    steps = [{**WORK, "name": f"a-step-with-a-name-of-forty-characte{n:03}", "dependsOn": []} for n in range(200)]
    for n, each in enumerate(steps):
        each["dependsOn"] = [above["name"] for above in steps[max(0, n - 9) : n]]

    done = installed("create", "--filename", "-", stdin=pipeline({"steps": steps}, "long"))

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"reproduceOf": "zero", "parameters": {"months": 3}},
            "parameters must not be set with reproduceOf",
            id="two sources of parameters",
        ),
        pytest.param({"parameters": {"fast": True}}, "must be of type integer,string", id="a bare boolean"),
    ],
)
def test_bad_runs_are_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    done = installed("create", "--filename", "-", stdin=run(spec))

    assert done.returncode != 0
    assert sentence in done.stderr


def test_a_run_holds_still(installed: Kubectl) -> None:
    assert installed("create", "--filename", "-", stdin=run({"parameters": {"months": 3}}, "still")).returncode == 0
    for patch, sentence in (
        (
            '{"spec": {"cause": {"trigger": "x", "key": "x", "message": "x", "pipeline": "up", "run": "up-1"}}}',
            "spec.cause cannot change; create another TrainingRun",
        ),
        ('{"spec": {"parameters": {"months": 4}}}', "spec.parameters cannot change; create another TrainingRun"),
        ('{"spec": {"pipeline": "other"}}', "spec.pipeline cannot change"),
    ):
        done = installed("patch", "fwrun", "still", "--type=merge", "--patch", patch)
        assert sentence in done.stderr
    for patch in ('{"spec": {"suspend": true}}', '{"spec": {"cancel": true}}'):
        assert installed("patch", "fwrun", "still", "--type=merge", "--patch", patch).returncode == 0
    back = installed("patch", "fwrun", "still", "--type=merge", "--patch", '{"spec": {"cancel": false}}')
    assert "a cancelled run stays cancelled" in back.stderr


def test_an_output_of_another_pipeline_is_an_input_of_training(installed: Kubectl) -> None:
    inputs = [{"name": "rows", "run": {"pipeline": "up", "step": "window"}}]
    spec = {
        "inputs": inputs,
        "steps": [{"name": "fit", "train": {"from": "rows", "trainer": {"sklearn": {}}}}],
        "triggers": [{"name": "after", "run": {"pipeline": "up"}}],
    }
    done = installed("create", "--filename", "-", stdin=pipeline(spec, "after"))

    assert done.returncode == 0, done.stderr
