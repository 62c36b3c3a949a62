"""The Jobs of trials, and what a search leaves behind, whole."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.experiment import children
from flywheel.kinds.experiment.children import Experiment, trial_params
from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.schema.status import Attempt, Data, Trial
from flywheel.kinds.experiment.search.defaults import resolve_setup
from flywheel.kinds.experiment.search.space import Point
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from tests.golden_files import same_as
from tests.kinds.experiment.situations import experiment
from tests.simulation import resource

HERE = Path(__file__).parent
DIGEST = "sha256:" + "a" * 64
DATA = Data.model_validate({"version": "flights-3f9a1c2e", "digest": DIGEST, "task": "Classification", "classes": 2})
SHORT, LONG, CONTAINER, SOURCE, *_, GROUP = (
    resource(KIND, each["metadata"]["name"], each["spec"])
    for each in yaml.safe_load_all((HERE.parents[2] / "crds/examples/experiment.yaml").read_text())
)


def job(experiment: Experiment, point: Point) -> dict[str, Any]:
    setup = resolve_setup(experiment.spec, DATA)
    assert setup is not None
    return with_owner(
        experiment, children.trial_job(experiment, setup, DATA, Attempt(trial=7, attempt=2), point, Settings())
    )


@pytest.mark.parametrize(
    ("experiment", "point", "name"),
    [
        pytest.param(LONG, (0, 0.0512345, 31), "sklearn", id="a trial of ours"),
        pytest.param(CONTAINER, (0, 0.0001, 1), "container", id="a trial of the user's image"),
        pytest.param(SOURCE, (0, 20.0), "source", id="a trial whose program is in the spec"),
        pytest.param(GROUP, (0,), "group", id="a trial in several pods, in a queue, with checkpoints"),
    ],
)
def test_a_trial_of_the_examples(experiment: Experiment, point: Point, name: str) -> None:
    assert same_as(HERE / f"golden/trial-{name}.yaml", job(experiment, point))


def test_the_short_form_follows_from_the_data() -> None:
    setup = resolve_setup(SHORT.spec, DATA)
    assert setup is not None

    assert trial_params(SHORT, setup, (1, 0.5)) == {
        "estimator": "LogisticRegression",
        "parameters": {"max_iter": 200, "C": 0.5},
        "task": "Classification",
        "features": None,
        "objective": {"metric": "roc_auc"},
        "validation": {"holdout": "Validation"},
        "seed": 0,
    }


def test_a_trial_computes_the_features_of_the_spec() -> None:
    rowwise = {"speed": "dist / nullif(air, 0)"}
    asked = experiment({"rowwise": rowwise})
    setup = resolve_setup(asked.spec, DATA)
    assert setup is not None

    assert trial_params(asked, setup, (1, 0.5))["rowwise"] == rowwise


def test_a_container_reads_its_parameters_flat() -> None:
    setup = resolve_setup(CONTAINER.spec, DATA)
    assert setup is not None

    assert trial_params(CONTAINER, setup, (0, 0.0001, 1)) == {"epochs": 3, "learning_rate": 0.0001, "optimizer": "sgd"}


def test_what_is_registered() -> None:
    best = Trial.model_validate(
        {
            "trial": 9,
            "state": "Succeeded",
            "estimator": "LogisticRegression",
            "parameters": {"C": "0.5"},
            "value": "0.742",
            "model": DIGEST,
        }
    )
    registering = experiment({"register": "flight-delay"})
    made = (
        children.new_model(SHORT, "flight-delay", "roc_auc"),
        children.new_model_version(registering, f"flight-delay-{Digest(DIGEST).short}", DATA, best, Settings()),
    )

    assert all(child.create_only and not child.owned for child in made)
    assert same_as(HERE / "golden/registered.yaml", *(with_owner(SHORT, child) for child in made))


def test_a_quantized_version_has_a_name_and_a_spec_of_its_own() -> None:
    best = Trial.model_validate({"trial": 9, "state": "Succeeded", "value": "0.742", "model": DIGEST})
    asked = experiment({"register": "flight-delay", "quantize": "Dynamic"})

    name = children.version_name(asked.spec, best)

    assert name is not None
    made = children.new_model_version(asked, name, DATA, best, Settings())
    assert made.name == f"flight-delay-{Digest(DIGEST).short}-int8"
    assert made.manifest["spec"]["quantize"] == "Dynamic"
    assert ModelVersionSpec.model_validate(made.manifest["spec"], extra="forbid").quantize == "Dynamic"


def test_what_is_registered_fits_the_kinds_it_belongs_to() -> None:
    [model, version] = yaml.safe_load_all((HERE / "golden/registered.yaml").read_text())

    assert ModelSpec.model_validate(model["spec"], extra="forbid")
    assert ModelVersionSpec.model_validate(version["spec"], extra="forbid")


def test_a_trained_models_metrics_are_those_of_its_artifact_alone() -> None:
    best = Trial.model_validate({"trial": 9, "state": "Succeeded", "model": DIGEST, "metrics": {"roc_auc": "0.742"}})

    made = children.new_model_version(
        experiment({"register": "flight-delay"}), "flight-delay-1", DATA, best, Settings()
    )

    assert "metrics" not in made.manifest["spec"]
