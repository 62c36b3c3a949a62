"""A FeatureSet from its first check on, with its Datasets, its Jobs and the models that pin it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from flywheel.core.resource.api import DATASET, MODEL, MODEL_VERSION, Manifest
from flywheel.core.resource.plan import Plan
from flywheel.kinds.featureset.children import REQUEST_ANNOTATION
from flywheel.kinds.featureset.kind import KIND
from tests.simulation import params, resource, terminated_state
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

DIGEST, OTHER, FLIGHTS, NEWER, WEATHER = (f"sha256:{letter * 64}" for letter in "abcde")
SPEC: dict[str, Any] = {
    "owner": "operations",
    "inputs": [{"name": "sched", "type": "Timestamp"}, {"name": "origin", "type": "String", "description": "airport"}],
    "eventTime": "sched",
    "rowwise": {"hour": "hour(sched)"},
    "aggregates": [
        {
            "name": "leaving_1h",
            "from": {"dataset": "flights", "time": "time_hour", "availableAfter": "10m"},
            "key": {"origin": "origin"},
            "function": "count",
            "window": "1h",
            "every": "5m",
        }
    ],
    "lookups": [
        {
            "name": "weather",
            "from": {"dataset": "weather", "time": "seen"},
            "key": {"airport": "origin"},
            "columns": ["temp"],
            "maxAge": "3h",
        }
    ],
}
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Checked",
    "message": "",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T12:00:00Z",
}


def dataset(name: str, digest: str, *, ready: bool = True) -> Manifest:
    condition = READY if ready else {**READY, "status": "False", "message": "Job 'c' compares the data."}
    return custom(
        DATASET, name, {}, status={"conditions": [condition], "versions": [{"name": f"{name}-1", "digest": digest}]}
    )


class Life(Simulator):
    """One FeatureSet on two Datasets."""

    def __init__(self, spec: Mapping[str, Any] = SPEC) -> None:
        super().__init__(
            KIND, resource(KIND, "context", spec), dataset("flights", FLIGHTS), dataset("weather", WEATHER)
        )

    def end(self, digest: str = DIGEST, *, failure: tuple[str, str] | None = None, retry: bool = False) -> Plan:
        """Let the Job of the check end."""
        facts = {"lookedUp": 2, "rowwise": 1}
        outputs = {} if failure else {"definition": {"digest": digest, "size": 1, "files": 1}}
        collected = {
            "v": 1, "phase": "Finished", "complete": True, "repeated": False, "timedOut": False, "oomKills": 0,
            "outputs": outputs, "metrics": {}, "facts": {} if failure else facts, "error": None,
        }  # fmt: skip
        code = (1 if retry else 2) if failure else 0
        said = {"reason": failure[0], "message": failure[1]} if failure else ""
        [job] = self.running()
        self.end_job(
            job["metadata"]["name"],
            failed=bool(code),
            main=terminated_state(code, said),
            init={
                "collect": terminated_state(0, collected),
                "fetch": terminated_state(0, {"v": 1, "reason": "Fetched"}),
            },
            phase="Failed" if code else "Succeeded",
        )
        return self.settle()

    def check(self, digest: str = DIGEST) -> Plan:
        """The first check, until it has passed."""
        self.settle()
        return self.end(digest)


def test_the_features_are_checked_and_become_a_definition() -> None:
    life = Life()

    first = life.settle()
    plan = life.end()

    assert (first.ready, first.reason) == (False, "Checking")
    assert "the columns of Dataset 'flights', 'weather'" in first.message
    assert (plan.ready, plan.reason) == (True, "Checked")
    assert (life.status.version, life.status.digest) == (f"context-{'a' * 8}", DIGEST)
    assert plan.summary == "2 features that are looked up, 1 by SQL"
    assert [each.digest for each in life.status.datasets] == [FLIGHTS, WEATHER]
    assert life.jobs() == ()


def test_the_check_reads_schemas_and_no_rows() -> None:
    life = Life()
    life.settle()

    [job] = life.jobs()
    config = params(job)
    [fetch] = [each for each in job["spec"]["template"]["spec"]["initContainers"] if each["name"] == "fetch"]
    inputs = json.loads(next(each["value"] for each in fetch["env"] if each["name"] == "FLYWHEEL_FETCH"))["inputs"]

    assert [(each["name"], each["artifact"], each["files"]) for each in inputs] == [
        ("table-0", FLIGHTS, ["schema.json"]),
        ("table-1", WEATHER, ["schema.json"]),
    ]
    assert config["tables"] == {"flights": "table-0", "weather": "table-1"}
    assert config["definition"]["inputs"][1] == {"name": "origin", "type": "String"}
    [aggregate] = config["definition"]["aggregates"]
    assert (aggregate["windowSeconds"], aggregate["everySeconds"], aggregate["ttlSeconds"]) == (3600, 300, 3600)
    assert (aggregate["from"]["availableAfterSeconds"], aggregate["missing"]) == (600, "Null")


def test_what_is_for_people_is_no_part_of_the_definition() -> None:
    life = Life()
    life.settle()
    [before] = [params(job)["definition"] for job in life.jobs()]

    life.patch_spec(owner="somebody else", description="other words")
    life.settle()

    assert [params(job)["definition"] for job in life.running()] == [before]


@pytest.mark.parametrize(
    ("weather", "reason", "part"),
    [
        pytest.param(None, "DatasetNotFound", "Waiting for Dataset 'weather'", id="a Dataset that does not exist"),
        pytest.param(
            dataset("weather", WEATHER, ready=False), "DatasetNotReady", "Job 'c' compares", id="one that is not Ready"
        ),
    ],
)
def test_a_missing_dataset_is_waited_for(weather: Manifest | None, reason: str, part: str) -> None:
    life = Simulator(
        KIND, resource(KIND, "context", SPEC), dataset("flights", FLIGHTS), *([weather] if weather else [])
    )

    plan = life.settle()

    assert (plan.ready, plan.reason, plan.stalled) == (False, reason, False)
    assert part in plan.message


def test_a_new_version_of_a_dataset_is_checked_and_the_definition_stays_ready() -> None:
    life = Life()
    life.check()

    life.put(dataset("flights", NEWER))
    meanwhile = life.settle()
    plan = life.end()

    assert (meanwhile.ready, meanwhile.reason) == (True, "Checking")
    assert (plan.ready, life.status.digest) == (True, DIGEST)
    assert [each.digest for each in life.status.datasets] == [NEWER, WEATHER]


def test_features_that_no_longer_fit_stall_until_the_dataset_changes() -> None:
    life = Life()
    life.check()
    life.put(dataset("flights", NEWER))
    life.settle()

    failed = life.end(
        failure=("FeatureSetInvalid", "aggregate 'leaving_1h' reads column 'origin', which Dataset 'flights' lacks.")
    )
    life.put(dataset("flights", FLIGHTS))
    life.settle()
    plan = life.end()

    assert (failed.ready, failed.stalled, failed.reason) == (False, True, "FeatureSetInvalid")
    assert "kubectl annotate fwfs context -n default" in failed.message
    assert (plan.ready, plan.reason) == (True, "Checked")


def test_another_spec_is_another_definition() -> None:
    life = Life()
    life.check()

    life.patch_spec(rowwise={"hour": "hour(sched) + 1"})
    meanwhile = life.settle()
    plan = life.end(OTHER)

    assert (meanwhile.ready, plan.ready, life.status.digest) == (False, True, OTHER)


def test_a_request_checks_again() -> None:
    life = Life()
    life.check()

    life.annotate({REQUEST_ANNOTATION: "now"})
    life.settle()

    assert len(life.running()) == 1


def test_what_broke_elsewhere_is_tried_again() -> None:
    life = Life()
    life.settle()

    plan = life.end(failure=("StoreUnreachable", "The store does not answer."), retry=True)

    assert (plan.ready, plan.stalled) == (False, True) or plan.requeue_after is not None


def test_under_suspend_nothing_is_checked() -> None:
    life = Life({**SPEC, "suspend": True})

    plan = life.settle()

    assert (plan.ready, plan.reason, life.jobs()) == (False, "Suspended", ())


def test_more_datasets_than_a_pin_holds_are_refused() -> None:
    [lookup] = SPEC["lookups"]
    names = [f"d-{number}" for number in range(17)]
    lookups = [
        {**lookup, "name": f"from_{number}", "from": {"dataset": name, "time": "seen"}}
        for number, name in enumerate(names)
    ]
    [aggregate] = SPEC["aggregates"]
    one = {**aggregate, "from": {"dataset": names[16], "time": "seen"}}
    many = resource(KIND, "context", {**SPEC, "aggregates": [one], "lookups": lookups[:16]})
    life = Simulator(KIND, many, *(dataset(name, FLIGHTS) for name in names))

    plan = life.settle()

    assert (plan.reason, plan.stalled, life.jobs()) == ("TooManyDatasets", True, ())
    assert "in 17 Datasets, and 16 is the most; divide it" in plan.message


def test_the_models_whose_champion_needs_it_are_named() -> None:
    life = Life()
    life.check()
    lineage = {"featureSets": [{"name": "context", "digest": DIGEST}]}
    version = {"model": "delay", "source": {"artifact": {"digest": OTHER}}, "lineage": lineage}

    life.put(custom(MODEL_VERSION, "delay-1", version), custom(MODEL, "delay", {}, status={"champion": "delay-0"}))
    life.settle()
    before = (life.status.models, life.status.needed_by)
    life.put(custom(MODEL, "delay", {}, status={"champion": "delay-1"}))
    plan = life.settle()

    assert before == (("delay",), ())
    assert life.status.needed_by == ("delay",)
    assert "The champion of Model 'delay' needs it." in plan.message


def test_nothing_is_written_once_it_is_checked() -> None:
    life = Life()
    life.check()
    before = len(life.writes)

    life.wake_all()
    life.settle()

    assert len(life.writes) == before
