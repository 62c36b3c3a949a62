"""A trial that is trained several times with other seeds: the mean competes, and the model nearest to it stands for all."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.core.resource.api import MODEL_VERSION, Reference
from tests.examples import examples
from tests.kinds.experiment.situations import THREE, Search, experiment, repeated, succeeds


def test_the_mean_competes_and_the_model_nearest_to_it_is_the_trials() -> None:
    search = repeated()

    plan = search.finish()

    status = search.status
    best = status.best
    assert plan.summary.startswith("4/4 trials")
    assert best is not None
    history = {record.trial: record for record in status.history}
    point = json.loads(history[best.trial].point)
    mean = succeeds(best.trial, 1, point)["metrics"]["roc_auc"] + 0.01
    assert float(best.value or 0) == pytest.approx(mean)
    assert history[best.trial].value == best.value
    assert float(best.std or 0) == pytest.approx(0.05)
    assert best.seed == 1
    assert best.metrics["of"] == "2"
    assert best.model == "sha256:" + f"{best.trial + 4096:064x}"
    version = search.cluster.get(Reference(MODEL_VERSION, "default", status.model_version or ""))
    assert version is not None
    assert version["spec"]["source"]["artifact"]["digest"] == best.model


def test_each_repeat_has_its_own_job_and_seed() -> None:
    search = Search(experiment({"repeats": 3, "parallelism": 1, "search": {"seed": 40}}), succeeds)

    search.settle()

    seeds = {}
    for job in search.jobs():
        fetch = job["spec"]["template"]["spec"]["initContainers"][1]
        params = {each["name"]: each.get("value") for each in fetch["env"]}["FLYWHEEL_PARAMS"]
        seeds[job["metadata"]["labels"]["flywheel.ml/step"]] = json.loads(params or "")["seed"]
    assert seeds == {"trial-1": 40, "trial-1-r2": 41, "trial-1-r3": 42}


def test_a_container_gets_its_seed_only_where_it_is_repeated() -> None:
    container = {"image": "any", "search": {"rate": {"float": {"min": "0.1", "max": "0.9"}}}}
    spec = {"trainer": {"container": container}, "objective": {"metric": "roc_auc"}, "parallelism": 1}

    def params(**more: Any) -> list[dict[str, Any]]:
        search = Search(experiment({**spec, **more}), succeeds)
        search.settle()
        inits = [job["spec"]["template"]["spec"]["initContainers"][1] for job in search.jobs()]
        return [json.loads({e["name"]: e.get("value") for e in init["env"]}["FLYWHEEL_PARAMS"]) for init in inits]

    assert [set(each) for each in params()] == [{"rate"}]
    assert [each["seed"] for each in params(repeats=2)] == [0, 1]


def test_one_repeat_that_fails_ends_its_trial_and_the_others() -> None:
    def fails(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"exit": 1, "reason": "ParameterRefused", "message": "C must be > 0"}

    search = Search(
        experiment({**THREE, "parallelism": 1, "budget": {"maxFailedTrials": 1, "failurePolicy": "End"}}), fails
    )
    search.settle()
    assert len(search.jobs()) == 3

    search.end(search.jobs()[1])
    plan = search.settle()

    assert (plan.stalled, plan.reason) == (True, "TrialsFailed")
    assert [record.state for record in search.status.history] == ["Failed"]
    assert len(search.jobs()) == 1  # its logs can be read


def test_constraints_bind_the_mean() -> None:
    search = Search(experiment({**THREE, "constraints": [{"metric": "p95_ms", "max": "20"}]}), succeeds)

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        slow = {1: 10, 2: 25, 3: 22 if trial < 3 else 28}[search.repeat]
        return {"metrics": {"roc_auc": 0.7, "p95_ms": slow}}

    search.ends = ends
    search.finish()

    assert [record.over for record in search.status.history] == [None, None, "0.05", "0.05"]


@settings(max_examples=examples(10, ci=3), deadline=None)
@given(data=st.data())
def test_in_any_order_every_trial_has_the_mean_of_its_repeats(data: st.DataObject) -> None:
    search = repeated()

    search.finish(choose=lambda jobs: data.draw(st.sampled_from(jobs)))

    for record in search.status.history:
        mean = succeeds(record.trial, 1, json.loads(record.point))["metrics"]["roc_auc"] + 0.01
        assert float(record.value or 0) == pytest.approx(mean)
