"""What the next attempt of a step gets from the inputs of the run and from the steps above."""

from datetime import date
from typing import Any

from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.schema.spec import PreparedData
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingrun.parameters import Values
from flywheel.kinds.trainingrun.schema import TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus
from flywheel.kinds.trainingrun.steps.attempt import Attempt, RunContext
from flywheel.kinds.trainingrun.steps.step_inputs import next_attempt
from flywheel.kinds.trainingrun.steps.step_states import StepState
from tests.kinds.trainingrun.situations import IMAGE, run

FLIGHTS, HOLIDAYS, RECENT, PREPARED, MODEL = ("sha256:" + digit * 64 for digit in "fa5b3")
QUERY = "SELECT * FROM flights WHERE month > $(params.months) AND day < $(run.date)"
TEMPLATE = Template.model_validate(
    {
        "inputs": [{"name": each, "dataset": each} for each in ("flights", "holidays")],
        "steps": [
            {"name": "recent", "prepare": {"from": ["flights"], "sql": QUERY}},
            {"name": "joined", "prepare": {"from": ["recent", "holidays"], "sql": "SELECT * FROM recent"}},
            {"name": "train", "train": {"from": "joined", "trainer": {"sklearn": {}}}},
            {"name": "own", "container": {"image": IMAGE, "inputs": [{"name": "data", "from": "joined"}], "outputs": ["model"], "modelPath": "net.onnx"}},
            {"name": "packed", "package": {"from": "own", "quantize": "Dynamic"}},
            {"name": "register", "register": {"from": "train", "model": "delay"}},
            {"name": "packed-register", "register": {"from": "packed", "model": "delay"}},
        ],
    }
)  # fmt: skip
OUTPUTS = {
    **{"recent": {"data": RECENT}, "joined": {"data": PREPARED}},
    **{each: {"model": MODEL} for each in ("train", "own", "packed")},
}


def attempt(name: str, original: TrainingRunStatus | None = None) -> Attempt:
    """The next attempt of that step, after all others succeeded."""
    inputs = {
        each: InputUsed.model_validate({"name": each, "dataset": each, "version": f"{each}-1", "digest": digest})
        for each, digest in (("flights", FLIGHTS), ("holidays", HOLIDAYS))
    }
    states = {
        str(step.name): StepState(
            step,
            StepStatus.model_validate(
                {"name": str(step.name), "state": "Succeeded", "outputs": OUTPUTS.get(str(step.name), {})}
            ),
        )
        for step in TEMPLATE.steps
    }
    context = RunContext(run(), TEMPLATE, Values({"months": 3}, date(2026, 1, 1)), inputs, Settings(), original)
    return next_attempt(context, states, states[name])


def test_a_registered_model_leads_to_every_table_and_query_behind_its_training_data() -> None:
    found = attempt("register").details["data"]

    assert len(found["prepared"].pop("digest")) == 16
    assert found == {
        "dataset": "flights",
        "version": "flights-1",
        "digest": PREPARED,
        "prepared": {
            "step": "joined",
            "sql": "SELECT * FROM recent",
            "reads": ["recent", "holidays"],
            "values": {"params.months": "3", "run.date": "2026-01-01"},
            "types": {"params.months": "Integer"},
            "from": [
                {"name": "recent", "digest": RECENT, "sql": QUERY, "reads": ["flights"]},
                {"name": "holidays", "dataset": "holidays", "version": "holidays-1", "digest": HOLIDAYS},
                {"name": "flights", "dataset": "flights", "version": "flights-1", "digest": FLIGHTS},
            ],
        },
    }


def test_the_lineage_of_prepared_data_has_the_fields_of_the_schema() -> None:
    prepared = attempt("register").details["data"]["prepared"]

    read = PreparedData.model_validate(prepared, extra="forbid")
    assert read.model_dump(by_alias=True, exclude_defaults=True, mode="json") == prepared


def test_package_gets_the_model_and_the_data_that_it_was_trained_on() -> None:
    assert {name: each.digest for name, each in attempt("packed").inputs.items()} == {"model": MODEL, "data": PREPARED}


def test_register_gets_the_model_alone_and_where_it_is() -> None:
    inputs = attempt("register").inputs

    assert list(inputs) == ["model"]
    assert attempt("packed-register").inputs["model"].facts["path"] == "model.onnx"
    assert attempt("packed").inputs["model"].facts["path"] == "net.onnx"


def test_a_reproduced_training_repeats_the_same_steps_best_trial() -> None:
    def done(name: str, parameters: str) -> dict[str, Any]:
        return {"name": name, "state": "Succeeded", "facts": {"parameters": parameters}}

    original = TrainingRunStatus.model_validate({"steps": [done("other", "{}"), done("train", '{"alpha": "1"}')]})

    assert attempt("train", original).reproduced == {"parameters": '{"alpha": "1"}'}
    assert attempt("train").reproduced is None
