"""A version that its Model nominates is measured once for each champion; what is found stays with it. Approvals, and who serves it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, INFERENCE_SERVICE, Manifest
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelversion.schema.spec import preparation_digest
from tests.kinds.modelversion.gates.nomination import DATA, OLD_DATA, RIVAL, SPEC, model, nominated_version
from tests.kinds.modelversion.situations import TRAINED, Version, trained
from tests.simulation import NOON, oom_killed_state, terminated_state, waiting_state
from tests.simulation.resources import custom, stamp

FOUND = {"gates": [{"name": "better", "passed": False, "message": "gain -0.1"}]}
COLLECTED = {
    "v": 1,
    "phase": "Finished",
    "complete": True,
    "outputs": {"gates": {"digest": "sha256:" + "e" * 64, "size": 1, "files": 1}},
    "metrics": {"roc_auc": 0.64, "champion_roc_auc": 0.74},
    "facts": FOUND,
}


def ends(version: Version, message: dict[str, Any] | None = COLLECTED, **states: Any) -> None:
    """Let the one Job end."""
    [name] = version.job_names()
    version.end_any(name, message, **states)


def test_a_nominated_version_is_measured_beside_the_champion() -> None:
    old = {"source": {"artifact": {"digest": RIVAL}}, "model": "flight-delay", "lineage": {"datasetDigest": OLD_DATA}}
    champion = custom(trained().api, "flight-delay-old", old)
    found = nominated_version(champion)

    plan = found.reconcile()
    [name] = found.job_names()
    spec = found.jobs()[0]["spec"]["template"]["spec"]
    containers = {each["name"]: each for each in (*spec["initContainers"], *spec["containers"])}
    env = {name: {e["name"]: e.get("value") for e in each["env"]} for name, each in containers.items()}
    inputs = {each["name"]: each["artifact"] for each in json.loads(env["fetch"]["FLYWHEEL_FETCH"])["inputs"]}
    params = json.loads(env["fetch"]["FLYWHEEL_PARAMS"])

    assert (plan.ready, plan.reason) == (True, "Verified")
    assert f"Job '{name}' measures its gates beside champion 'flight-delay-old'." in plan.message
    assert inputs == {"model": TRAINED, "data": DATA, "champion": RIVAL, "champion-data": OLD_DATA}
    assert params["champion"] == {"version": "flight-delay-old", "digest": RIVAL}
    assert [gate["name"] for gate in params["gates"]] == ["better"]
    assert json.loads(env["collect"]["FLYWHEEL_COLLECT"])["audit"]["entries"][0]["event"] == "Measured"
    assert containers["main"]["command"] == ["python3", "-m", "flywheel_runtime", "gates"]


def test_a_champion_that_was_prepared_in_another_way_brings_its_queries_and_raw_tables() -> None:
    sql, reads = "SELECT * FROM flights", ["flights"]
    table = {"name": "flights", "dataset": "flights", "digest": OLD_DATA}
    digest = preparation_digest([{"sql": sql, "reads": reads}, table], {})
    prepared = {"step": "features", "sql": sql, "reads": reads, "digest": digest, "from": [table]}
    lineage = {"dataset": "flights", "datasetDigest": RIVAL, "prepared": prepared}
    spec = {"source": {"artifact": {"digest": RIVAL}}, "model": "flight-delay", "lineage": lineage}
    found = nominated_version(custom(trained().api, "flight-delay-old", spec))

    found.reconcile()
    fetch = next(
        each for each in found.jobs()[0]["spec"]["template"]["spec"]["initContainers"] if each["name"] == "fetch"
    )
    env = {each["name"]: each.get("value") for each in fetch["env"]}
    raw = json.loads(env["FLYWHEEL_FETCH"])["inputs"][-1]

    assert (raw["name"], raw["artifact"], raw["optional"]) == ("table-flights", DATA, True)
    assert "train.parquet" in raw["files"]
    own = json.loads(env["FLYWHEEL_PARAMS"])["champion"]["own"]
    assert own["preparation"]["queries"] == [{"name": "features", "from": ["flights"], "sql": sql}]
    assert own["preparation"]["tables"] == {"flights": "table-flights"}


def test_with_no_champion_yet_there_is_none_to_fetch() -> None:
    found = nominated_version(nominated=model(rival=None))
    found.reconcile()
    spec = found.jobs()[0]["spec"]["template"]["spec"]
    fetch = next(each for each in spec["initContainers"] if each["name"] == "fetch")
    env = {each["name"]: each.get("value") for each in fetch["env"]}

    assert [each["name"] for each in json.loads(env["FLYWHEEL_FETCH"])["inputs"]] == ["model", "data"]
    assert json.loads(env["FLYWHEEL_PARAMS"])["champion"] is None


def test_what_is_found_stays_with_the_version_and_the_job_goes() -> None:
    found = nominated_version()
    found.reconcile()
    ends(found)
    plan = found.reconcile()
    result = found.status.gates

    assert result is not None
    assert (result.digest, result.champion_digest, result.champion) == (TRAINED, RIVAL, "flight-delay-old")
    assert result.gates == ModelSpec.model_validate(SPEC).gates_hash()
    assert [(each.name, each.passed, each.message) for each in result.entries] == [("better", False, "gain -0.1")]
    assert (result.value, result.champion_value, result.artifact) == ("0.64", "0.74", "sha256:" + "e" * 64)
    assert any("1 of 1 measured gates failed beside champion" in event.message for event in plan.events)
    assert found.job_names() != []
    found.reconcile()
    assert found.job_names() == []
    assert found.reconcile().status.gates == result  # type: ignore[attr-defined]


def test_another_champion_is_another_question() -> None:
    found = nominated_version()
    found.reconcile()
    first = found.job_names()
    ends(found)
    for _ in range(2):
        found.reconcile()
    found.put(model(rival="sha256:" + "4" * 64))
    found.reconcile()

    assert len(found.job_names()) == 1
    assert found.job_names() != first


def test_a_champion_that_changes_meanwhile_ends_the_job() -> None:
    found = nominated_version()
    found.reconcile()
    first = found.job_names()
    found.put(model(rival="sha256:" + "4" * 64))
    found.reconcile()

    assert len(found.job_names()) == 1
    assert found.job_names() != first
    assert found.status.gates is None


@pytest.mark.parametrize(
    "nominated",
    [
        pytest.param(model(challenger="another"), id="another version is nominated"),
        pytest.param(model(challenger=None), id="no version is nominated"),
    ],
)
def test_who_is_not_asked_makes_nothing(nominated: Manifest) -> None:
    found = nominated_version(nominated=nominated)
    found.reconcile()

    assert found.job_names() == []


def test_gates_that_changed_since_the_nomination_are_waited_for() -> None:
    stale = model()
    stale["spec"]["gates"][0]["champion"] = {"metric": "f1"}
    found = nominated_version(nominated=stale)
    found.reconcile()

    assert found.job_names() == []


def test_a_fault_of_ours_is_a_failed_gate_after_five_tries_and_preemptions_between_do_not_count() -> None:
    found = nominated_version()
    failure = {"v": 1, "reason": "InternalError", "message": "KeyError: 'x'", "retry": True}
    fault = {"init": {"fetch": terminated_state(1, failure)}, "main": waiting_state(), "phase": "Failed"}
    preempted = {"main": terminated_state(137), "init": {}, "reason": "Preempting"}
    found.reconcile()
    for states in (preempted, fault) * 5:
        assert found.status.gates is None
        ends(found, None, **states)
        found.reconcile()
        found.advance(minutes=6)
        found.reconcile()

    [entry] = found.status.gates.entries
    assert (entry.passed, entry.measured) == (False, False)
    assert "KeyError: 'x'. This is a fault of Flywheel, which ended 5 attempts" in entry.message


def test_a_lost_message_is_tried_again_after_a_pause() -> None:
    found = nominated_version()
    found.reconcile()
    [first] = found.job_names()
    ends(found, {**COLLECTED, "facts": {}})
    found.reconcile()
    waits = found.reconcile()
    found.advance(timedelta(minutes=1))
    found.reconcile()

    assert (waits.ready, found.status.gates) == (True, None)
    assert "Its gates could not be measured" in waits.message
    assert len(found.job_names()) == 1
    assert first not in found.job_names()
    ends(found)
    found.reconcile()
    assert found.status.gates is not None
    assert found.status.gates_retry is None


@pytest.mark.parametrize(
    ("states", "text"),
    [
        pytest.param({"main": oom_killed_state(), "phase": "Failed"}, "raise spec.resources.limits.memory", id="out of memory"),
        pytest.param(
            {
                "init": {"fetch": terminated_state(2, {"v": 1, "reason": "ArtifactMissing", "message": "artifact sha256:d is gone", "retry": False})},
                "main": waiting_state(),
                "phase": "Failed",
            },
            "artifact sha256:d is gone. When that is corrected",
            id="its data is gone",
        ),
    ],
)  # fmt: skip
def test_what_can_never_be_measured_is_a_failed_gate_with_a_next_step(states: dict[str, Any], text: str) -> None:
    found = nominated_version()
    found.reconcile()
    ends(found, None, **states)
    found.reconcile()
    result = found.status.gates

    assert result is not None
    assert [entry.passed for entry in result.entries] == [False]
    assert text in result.entries[0].message
    assert "flywheel.ml/verify-requested" in result.entries[0].message


def test_being_verified_anew_forgets_what_was_measured() -> None:
    found = nominated_version()
    found.reconcile()
    ends(found)
    for _ in range(2):
        found.reconcile()
    found.annotate({"flywheel.ml/verify-requested": "again"})
    found.reconcile()
    found.succeed(2)
    found.reconcile()

    assert found.status.gates is None


APPROVAL = {"by": "jane", "digest": TRAINED, "reason": "ticket 214"}


def approve(found: Version, **changes: str) -> None:
    """Let jane write her approval."""
    found.patch_spec(approval={**APPROVAL, **changes})


def test_an_approval_of_this_artifact_has_its_time_and_one_event() -> None:
    found = nominated_version(nominated=model(challenger=None))
    approve(found)
    first = found.reconcile()
    found.advance(timedelta(hours=1))
    second = found.reconcile()
    approval = found.status.approval

    assert approval is not None
    assert (approval.by, approval.reason, approval.at) == ("jane", "ticket 214", NOON)
    assert [event.reason for event in first.events] == ["Approved"]
    assert second.events == ()


def test_an_approval_of_another_artifact_is_void() -> None:
    found = nominated_version(nominated=model(challenger=None))
    approve(found, digest=RIVAL)
    plan = found.reconcile()

    assert found.status.approval is None
    assert f"The approval of 'jane' is void: it is of {RIVAL}, and the artifact is {TRAINED}." in plan.message


def service(spec: dict[str, Any], status: dict[str, Any] | None = None) -> Manifest:
    return custom(INFERENCE_SERVICE, "delay", {"auth": {"none": {}}, **spec}, status=status or {})


@pytest.mark.parametrize(
    ("one", "by"),
    [
        pytest.param(service({"version": "flight-delay-3f9a1c2e"}), ("delay",), id="who is content to"),
        pytest.param(
            service({"model": "flight-delay"}, {"version": "flight-delay-3f9a1c2e"}), ("delay",), id="who does"
        ),
        pytest.param(
            service({"model": "flight-delay"}, {"version": "flight-delay-old"}), (), id="not who serves another"
        ),
    ],
)
def test_who_serves_it_is_known(one: Manifest, by: tuple[str, ...]) -> None:
    found = nominated_version(one, nominated=model(challenger=None))
    found.reconcile()

    assert found.status.served_by == by


def batch(spec: dict[str, Any], **run: Any) -> Manifest:
    io = {
        "input": {"s3": {"uri": "s3://rows/a.csv"}, "format": "CSV"},
        "output": {"s3": {"uri": "s3://rows/out/$(run.date)/"}},
    }
    began = {
        "number": 1, "spec": "1", "time": stamp(NOON), "digest": TRAINED, "input": "a", "output": "b", "retries": 0,
        "startedAt": stamp(NOON), "version": "flight-delay-3f9a1c2e", **run,
    }  # fmt: skip
    return custom(BATCH_INFERENCE, "nightly", {**io, **spec}, status={"run": began} if run else {})


THIS = {"version": "flight-delay-3f9a1c2e"}


@pytest.mark.parametrize(
    ("one", "by"),
    [
        pytest.param(batch(THIS), ("nightly",), id="one that names it and comes"),
        pytest.param(batch(THIS, phase="Succeeded"), (), id="not one that has ended"),
        pytest.param(
            batch({**THIS, "schedule": {"cron": "0 3 * * *"}}, phase="Failed"), ("nightly",), id="one that comes again"
        ),
        pytest.param(batch({"model": "flight-delay"}, phase="Scoring"), ("nightly",), id="one that runs"),
        pytest.param(batch({"model": "flight-delay"}, phase="Succeeded"), (), id="not one that ran"),
    ],
)
def test_who_scores_with_it_is_known(one: Manifest, by: tuple[str, ...]) -> None:
    found = nominated_version(one, nominated=model(challenger=None))
    found.reconcile()

    assert found.status.scored_by == by


def test_the_job_is_named_by_its_question() -> None:
    found = nominated_version()
    found.reconcile()
    [name] = found.job_names()

    assert name.startswith("flight-delay-3f9a1c2e-gates-")
    assert name.endswith(f"-1-{names.short_uid(found.resource.uid)}")
    assert len(name) <= 63


def test_the_event_has_the_message_of_the_first_gate_that_failed() -> None:
    found = nominated_version()
    found.reconcile()
    entries = [
        {"name": "first", "passed": True, "message": "gain 0.1"},
        {"name": "second", "passed": False, "message": "gain -0.1"},
        {"name": "third", "passed": False, "message": "gain -0.3"},
    ]
    ends(found, {**COLLECTED, "facts": {"gates": entries}})

    [message] = [event.message for event in found.reconcile().events if "measured gates" in event.message]

    assert message.endswith("2 of 3 measured gates failed beside champion 'flight-delay-old'; 'second': gain -0.1")
