"""The same step for many sets of parameters: one Job, one outcome, and folders for all items in the steps below."""

import json
from typing import Any

import pytest

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.names import INDEX_LABEL
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingpipeline.schema.validation import template_problems
from flywheel.kinds.trainingrun.schema import TrainingRun
from tests.kinds.trainingrun.situations import Runs, container, run
from tests.simulation import pod, terminated_state

MONTHS: list[dict[str, Any]] = [{"month": 1}, {"month": "$(params.last)"}]
LAST = {"name": "last", "type": "Integer", "default": "12"}


def months(items: list[dict[str, Any]] = MONTHS, **more: Any) -> dict[str, Any]:
    step = container("months")
    return {**step, "container": {**step["container"], "forEach": {"items": items, **more}}}


def digest(number: int) -> str:
    return "sha256:" + f"{number:064x}"


def ended(runs: Runs, at: TrainingRun, job: Manifest, *codes: int) -> None:
    """Let the pods of a Job end with these exit codes, the item's number in its metrics and digest."""
    name = job["metadata"]["name"]
    for index, code in enumerate(codes):
        told = {
            "v": 1, "phase": "Finished", "complete": code == 0, "repeated": False, "timedOut": False, "oomKills": 0,
            "outputs": {"data": {"digest": digest(index)}}, "metrics": {"rows": index}, "facts": {}, "error": None, "usage": {},
        }  # fmt: skip
        init = {"collect": terminated_state(0, told), "fetch": terminated_state(0, {"v": 1, "reason": "Fetched"})}
        words = {"reason": "NoFlights", "message": "There are no flights."} if code else ""
        main = terminated_state(code, words)
        labels = {INDEX_LABEL: str(index)}
        runs.cluster.put(pod(at, f"{name}-{index}-abcde", job=name, main=main, init=init, labels=labels))
    over = {"conditions": [{"type": "Failed" if any(codes) else "Complete", "status": "True"}]}
    runs.cluster.put({**job, "status": over})


def fetched(job: Manifest) -> dict[str, str]:
    """What `fetch` brings: digests by folder."""
    [fetch] = [each for each in job["spec"]["template"]["spec"]["initContainers"] if each["name"] == "fetch"]
    told = next(each["value"] for each in fetch["env"] if each["name"] == "FLYWHEEL_FETCH")
    return {each["name"]: each["artifact"] for each in json.loads(told)["inputs"]}


def test_items_are_pods_of_one_job_with_their_parameters_filled_in() -> None:
    runs = Runs({"parameters": [LAST], "steps": [months(parallelism=1)]})
    runs.start(run())

    [job] = runs.running()
    told = json.dumps(job["spec"]["template"])

    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 1)
    assert json.dumps('[{"month": 1}, {"month": 12}]') in told


def test_a_step_below_finds_a_folder_for_every_item() -> None:
    runs = Runs({"parameters": [LAST], "steps": [months(), container("all", "months")]})
    at = runs.start(run())
    ended(runs, at, runs.running()[0], 0, 0)

    runs.settle()
    at = runs.now

    assert fetched(runs.running()[0]) == {"months-0": digest(0), "months-1": digest(1)}
    assert at.status.steps[0].outputs == {"data-0": digest(0), "data-1": digest(1)}
    assert at.status.steps[0].metrics == {"rows": "0.5"}


def test_one_item_can_be_taken_by_its_number() -> None:
    last = container("one")
    last["container"]["inputs"] = [{"name": "december", "from": "months", "output": "data-1"}]
    runs = Runs({"parameters": [LAST], "steps": [months(), last]})
    at = runs.start(run())
    ended(runs, at, runs.running()[0], 0, 0)

    runs.settle()
    at = runs.now

    assert fetched(runs.running()[0]) == {"december": digest(1)}


def test_a_step_one_of_whose_items_failed_has_failed_and_says_which() -> None:
    runs = Runs({"parameters": [LAST], "steps": [months()]})
    at = runs.start(run())
    ended(runs, at, runs.running()[0], 0, 1)

    runs.settle()
    at = runs.now

    [step] = at.status.steps
    assert (step.state, step.reason) == ("Failed", "NoFlights")
    assert step.message is not None
    assert step.message.startswith("1 of 2 items did not succeed; item 1: There are no flights.")


def test_how_many_run_at_a_time_is_no_other_work() -> None:
    def key(**more: Any) -> str | None:
        return Runs({"parameters": [LAST], "steps": [months(**more)]}).start(run()).status.steps[0].key

    assert key() == key(parallelism=9)
    assert key() != key(items=[{"month": 1}, {"month": 2}])


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        pytest.param(
            [months([{"month": "$(params.first)"}])], "there is no $(params.first)", id="an unknown parameter"
        ),
        pytest.param(
            [
                {
                    **months([{}] * 40),
                    "container": {**months([{}] * 40)["container"], "outputs": ["a", "b"]},
                }
            ],
            "40 items with 2 outputs each are 80 outputs",
            id="more outputs than status names",
        ),
        pytest.param(
            [{**months([{}] * 60), "name": f"m{number}"} for number in range(5)],
            "All steps with forEach have 300 items",
            id="more items than the status of a run can hold",
        ),
    ],
)
def test_what_cannot_be_done_is_said_of_the_pipeline(steps: list[dict[str, Any]], says: str) -> None:
    template = Template.model_validate({"parameters": [LAST], "steps": steps})

    assert says in " ".join(template_problems(template))
