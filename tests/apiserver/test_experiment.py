"""Bad Experiments are refused by the API server with a sentence of ours, and a search that has started holds still."""

import json
from typing import Any

import pytest
import yaml

from tests.apiserver.manifests import Kubectl
from tests.kinds.experiment.situations import Search, experiment

pytestmark = pytest.mark.apiserver

SKLEARN: dict[str, Any] = {"sklearn": {}}
CONTAINER: dict[str, Any] = {"container": {"image": "train:1"}}
F1 = {"metric": "f1"}


def manifest(spec: dict[str, Any], name: str = "fraud") -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "flywheel.ml/v1alpha1",
            "kind": "Experiment",
            "metadata": {"name": name},
            "spec": {"dataset": "orders", **spec},
        }
    )


def estimator(**fields: Any) -> dict[str, Any]:
    return {"trainer": {"sklearn": {"estimators": [{"name": "Ridge", **fields}]}}}


def named(name: str) -> dict[str, Any]:
    return {"trainer": {"sklearn": {"estimators": [{"name": name}]}}}


def searched(distribution: dict[str, Any]) -> dict[str, Any]:
    return estimator(search={"alpha": distribution})


def program(source: str, **more: Any) -> dict[str, Any]:
    return {"trainer": {"container": {"image": "train:1", "source": source, **more}}, "objective": F1}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"trainer": {}}, "give exactly one of sklearn and container", id="no trainer"),
        pytest.param(
            {"trainer": {**SKLEARN, **CONTAINER}}, "give exactly one of sklearn and container", id="two trainers"
        ),
        pytest.param(
            {"trainer": CONTAINER}, "trainer.container requires objective.metric", id="a container without aim"
        ),
        pytest.param(
            {"trainer": CONTAINER, "objective": F1, "register": "fraud"},
            "register requires trainer.container.model",
            id="nothing to register",
        ),
        pytest.param(
            {"trainer": SKLEARN, "quantize": "Dynamic"},
            "quantize requires register",
            id="nothing to quantise",
        ),
        pytest.param(
            {"trainer": SKLEARN, "objective": {"metric": "happiness"}},
            "add direction: Maximize or direction: Minimize",
            id="an unknown direction",
        ),
        pytest.param(
            {"trainer": SKLEARN, "validation": {"folds": 5, "holdout": "Validation"}},
            "give exactly one of folds and holdout",
            id="two validations",
        ),
        pytest.param({"trainer": SKLEARN, "trialTimeout": "2 weeks"}, "spec.trialTimeout", id="a bad duration"),
        pytest.param({"trainer": SKLEARN, "budget": {"maxTrials": 501}}, "500", id="too many trials"),
        pytest.param({"trainer": SKLEARN, "queueName": "ml"}, 'unknown field "spec.queueName"', id="an unknown field"),
        pytest.param(
            named("RandomForrestClassifier"),
            "estimator RandomForrestClassifier is not supported; did you mean RandomForestClassifier or RandomForestRegressor?",
            id="an estimator that is nearly another",
        ),
        pytest.param(
            named("XGBClassifier"),
            "did you mean HistGradientBoostingClassifier or HistGradientBoostingRegressor?",
            id="an estimator of another library",
        ),
        pytest.param(
            named("SVC"),
            "estimator SVC is not supported; choose one of DecisionTreeClassifier,",
            id="no such estimator",
        ),
        pytest.param(
            {"trainer": SKLEARN, "budget": {"failurePolicy": "Never"}}, "spec.budget.failurePolicy", id="no such policy"
        ),
        pytest.param({"trainer": SKLEARN, "code": {"revision": "a b"}}, "spec.code.revision", id="no revision"),
        pytest.param(searched({}), "give exactly one of float, int and choice", id="an empty distribution"),
        pytest.param(searched({"float": {"min": "2", "max": "1"}}), "min must be less than max", id="an empty range"),
        pytest.param(
            searched({"float": {"min": "0", "max": "1", "log": True}}), "log needs a min above 0", id="log of zero"
        ),
        pytest.param(searched({"float": {"min": 0.1, "max": "1"}}), "must be of type string", id="a float"),
        pytest.param(
            estimator(parameters={"alpha": 0.5}), "must be of type integer,string", id="a float among the parameters"
        ),
        pytest.param(
            estimator(parameters={"alpha": 1}, search={"alpha": {"int": {"min": 1, "max": 2}}}),
            "a parameter must be either in parameters or in search, not in both",
            id="fixed and searched",
        ),
        pytest.param(
            {**searched({"float": {"min": "0", "max": "1"}}), "search": {"algorithm": "Grid"}},
            "search.algorithm Grid requires a step for every float",
            id="a grid without steps",
        ),
        pytest.param(
            {"trainer": SKLEARN, "search": {"algorithm": "Grid"}},
            "search.algorithm Grid requires trainer.sklearn.estimators",
            id="a grid over the preset",
        ),
        pytest.param(
            {
                **estimator(search={f"p{number}": {"int": {"min": 1, "max": 9}} for number in range(16)}),
                "budget": {"maxTrials": 300},
            },
            "the status stores every trial",
            id="more than status can remember",
        ),
        pytest.param(
            {"trainer": SKLEARN, "pruner": {"median": {}, "patient": {"patience": 3}}},
            "give exactly one of median, percentile and patient",
            id="two pruners",
        ),
        pytest.param({"trainer": SKLEARN, "pruner": {}}, "give exactly one of median", id="a pruner without a rule"),
        pytest.param({"trainer": SKLEARN, "pruner": {"percentile": {"percentile": 100}}}, "99", id="all go on"),
        pytest.param(
            {"trainer": SKLEARN, "pruner": {"patient": {"patience": 1, "minDelta": "-0.1"}}},
            "minDelta cannot be negative",
            id="a negative delta",
        ),
        pytest.param(
            {"trainer": SKLEARN, "pruner": {"patient": {"patience": 1, "minDelta": "little"}}},
            "must be a decimal number in quotes",
            id="a delta that is no number",
        ),
        pytest.param(
            {"trainer": SKLEARN, "pruner": {"median": {}}, "repeats": 3},
            "give repeats or pruner, not both",
            id="repeats and a pruner",
        ),
        pytest.param(
            {"trainer": SKLEARN, "repeats": 10, "parallelism": 11},
            "repeats times parallelism must be at most 100 Jobs",
            id="too much at a time",
        ),
        pytest.param(
            {"trainer": {"container": {"image": "a", "parameters": {"seed": 1}}}, "objective": F1, "repeats": 2},
            "repeats sets the parameter seed",
            id="a seed of one's own",
        ),
        pytest.param(
            {"trainer": SKLEARN, "constraints": [{"metric": "p95_ms"}]}, "give min, max or both", id="no bound"
        ),
        pytest.param(
            {"trainer": SKLEARN, "constraints": [{"metric": "f1", "min": "0.9", "max": "0.5"}]},
            "min must not be greater than max",
            id="bounds that nothing keeps",
        ),
        pytest.param(
            {"trainer": SKLEARN, "constraints": [{"metric": "f1", "min": "0.9"}, {"metric": "f1", "max": "1"}]},
            "Duplicate value",
            id="a metric bound twice",
        ),
        pytest.param(
            {"trainer": SKLEARN, "warmStartFrom": [{"experiment": "fraud"}]},
            "spec.warmStartFrom must name other Experiments",
            id="taught by itself",
        ),
        pytest.param(
            {"trainer": SKLEARN, "budget": {"plateau": {"trials": 0}}}, "spec.budget.plateau.trials", id="no patience"
        ),
        pytest.param(
            program("pass", command=["python3", "/app/train.py"]),
            "command does not run the source; remove command, or add the argument /flywheel/source/train.py",
            id="a command that leaves the source alone",
        ),
        pytest.param(
            {"trainer": {"container": {"command": ["python3"]}}, "objective": F1},
            "give image; only with source it defaults to the runtime image",
            id="neither image nor source",
        ),
        pytest.param(program(" \n\t\n"), "source is empty; write a program, or remove source", id="a blank source"),
        pytest.param(
            program("#" * (256 * 1024 + 1)), "spec.trainer.container.source", id="a source of too many letters"
        ),
        pytest.param(
            program("é" * (128 * 1024 + 1)),
            "source must have at most 262144 bytes (256 KiB) in UTF-8; put a larger program into the image",
            id="a source of too many bytes",
        ),
        pytest.param(
            {"trainer": CONTAINER, "objective": F1, "rowwise": {"speed": "dist / air"}},
            "rowwise requires trainer.sklearn; a container computes its features itself",
            id="expressions for a container",
        ),
        pytest.param(
            {"trainer": SKLEARN, "rowwise": {"speed": " \n"}},
            "an expression of rowwise is empty; write it, or remove its name",
            id="an expression of blanks",
        ),
        pytest.param(
            {"trainer": SKLEARN, "rowwise": {"s" * 129: "dist / air"}},
            "names of rowwise features must have 1 to 128 characters",
            id="an expression with a long name",
        ),
    ],
)
def test_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest(spec))

    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(program("é" * (128 * 1024)), id="a source of as many bytes as it may have"),
        pytest.param(program("pass", args=["--fast"]), id="a source with arguments"),
        pytest.param(
            {"trainer": {"container": {"source": "pass"}}, "objective": F1}, id="a source for the runtime image"
        ),
        pytest.param(
            program("pass", command=["torchrun", "/flywheel/source/train.py"]), id="a source that a command names"
        ),
        pytest.param(
            program("pass", command=["python3"], args=["-O", "/flywheel/source/train.py"]),
            id="a source that an argument names",
        ),
        pytest.param(
            {"trainer": SKLEARN, "rowwise": {"speed": "dist / nullif(air, 0)", "Straße": "hour(sched) -- UTC"}},
            id="features by expressions",
        ),
    ],
)
def test_accepted(installed: Kubectl, spec: dict[str, Any]) -> None:
    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest(spec))

    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def started(installed: Kubectl) -> str:
    """An Experiment whose first trial has started."""
    spec = {"trainer": SKLEARN, "objective": {"metric": "roc_auc"}, "budget": {"maxTrials": 4}}
    installed("apply", "-f", "-", stdin=manifest(spec, "started"))
    patch = {"status": {"startTime": "2026-01-01T00:00:00Z"}}
    done = installed("patch", "fwexp", "started", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    assert done.returncode == 0, done.stderr
    return "started"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"dataset": "others"}, "spec.dataset", id="dataset"),
        pytest.param({"datasetVersion": "orders-1234abcd"}, "spec.datasetVersion", id="datasetVersion"),
        pytest.param({"trainer": {"sklearn": {"task": "Regression"}}}, "spec.trainer", id="trainer"),
        pytest.param({"search": {"seed": 8}}, "spec.search", id="search"),
        pytest.param({"validation": {"folds": 3}}, "spec.validation", id="validation"),
        pytest.param({"objective": {"metric": "f1"}}, "spec.objective.metric", id="the metric"),
        pytest.param({"objective": {"direction": "Maximize"}}, "spec.objective.direction", id="the direction"),
        pytest.param({"constraints": [{"metric": "f1", "min": "0.9"}]}, "spec.constraints", id="constraints"),
        pytest.param({"repeats": 2}, "spec.repeats", id="repeats"),
    ],
)
def test_a_search_that_has_started_holds_still(
    installed: Kubectl, started: str, change: dict[str, Any], path: str
) -> None:
    done = installed("patch", "fwexp", started, "--type=merge", "-p", json.dumps({"spec": change}))

    assert f"{path} cannot change after the search has started; create another Experiment" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"budget": {"maxTrials": 9, "duration": "2h"}}, id="the budget"),
        pytest.param({"objective": {"goal": "0.9"}}, id="the goal"),
        pytest.param({"parallelism": 4, "resources": {"limits": {"memory": "2Gi"}}}, id="what trials may use"),
        pytest.param({"suspend": True, "register": "fraud"}, id="suspend and register"),
        pytest.param({"pruner": {"percentile": {"percentile": 25, "warmupSteps": 3}}}, id="the pruner"),
        pytest.param({"budget": {"plateau": {"trials": 5, "minDelta": "0.001"}}}, id="a plateau"),
        pytest.param({"warmStartFrom": [{"experiment": "last-month"}]}, id="lessons"),
    ],
)
def test_what_may_change_at_any_time(installed: Kubectl, started: str, change: dict[str, Any]) -> None:
    done = installed("patch", "fwexp", started, "--type=merge", "-p", json.dumps({"spec": change}))

    assert done.returncode == 0, done.stderr


REPEATED = {"repeats": 2, "constraints": [{"metric": "p95_ms", "max": "20"}]}


@pytest.mark.parametrize(
    ("spec", "last"),
    [
        pytest.param({}, {"metrics": {"roc_auc": 0.7}}, id="as it always was"),
        pytest.param({"pruner": {"median": {}}}, {"pruned": {"step": 7, "value": 0.5}}, id="with pruned trials"),
        pytest.param(REPEATED, {"metrics": {"roc_auc": 0.9, "p95_ms": 30}}, id="with repeats beyond their constraints"),
    ],
)
def test_the_server_takes_the_status_of_a_whole_search_as_it_is(
    installed: Kubectl, spec: dict[str, Any], last: dict[str, Any]
) -> None:
    """No field dropped, nothing refused: what is remembered must come back."""

    def ends(trial: int, _attempt: int, _point: list[float]) -> dict[str, Any]:
        return last if trial == 9 else {"metrics": {"roc_auc": 0.7 + trial / 100, "p95_ms": 10}}

    search = Search(experiment({"register": "flight-delay", "budget": {"maxTrials": 9}, **spec}), ends)
    search.finish()
    assert search.status.importance
    status = search.status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"conditions"})
    installed("apply", "-f", "-", stdin=manifest({"trainer": SKLEARN}, f"whole-{len(spec)}"))

    patch = ("patch", "fwexp", f"whole-{len(spec)}", "--subresource=status", "--type=merge", "-o", "json", "-p")
    done = installed(*patch, json.dumps({"status": status}))

    stored = json.loads(done.stdout)["status"]
    assert {key: stored.get(key) for key in status} == status
