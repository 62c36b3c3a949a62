"""Each promotion is recorded by a Job of its own, one after the other, and nothing waits for it."""

import json
from dataclasses import replace
from typing import Any

from flywheel.core.diagnosis.internal_error import MAX_TRIES
from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child, ExistingChild
from flywheel.core.settings import Settings
from flywheel.kinds.model.children import promote_job
from flywheel.kinds.model.kind import KIND
from flywheel.kinds.model.schema.status import Promotion
from tests.kinds.model.situations import DIGEST, STATUS, version_manifest
from tests.simulation import NOON, resource, terminated_state
from tests.simulation.simulator import Simulator


class Registry(Simulator):
    """Model `delay` and its versions."""

    def __init__(self, *versions: Manifest | AnyResource, **more: Any) -> None:
        super().__init__(KIND, resource(KIND, "delay", {"objective": {"metric": "roc_auc"}}, **more), *versions)

    def end(self, message: Any = None, exit_code: int = 0) -> None:
        """Let the one Job end: well with collect's message, or by itself."""
        [name] = self.job_names()
        init = {"collect": terminated_state(0, message), "fetch": terminated_state(0)} if message else {}
        self.end_job(name, failed=not message, main=terminated_state(exit_code), init=init)


DONE = {"v": 1, "phase": "Finished", "complete": True, "metrics": {}, "audit": {"number": 4, "sha256": "e" * 64}}


def test_a_promotion_is_recorded_after_it_is_written() -> None:
    registry = Registry(version_manifest("delay-1", status=STATUS))
    promoted = registry.reconcile()
    assert (promoted.ready, registry.job_names()) == (True, [])

    registry.reconcile()
    [found] = registry.jobs()
    spec = found["spec"]["template"]["spec"]
    collect = next(each for each in spec["initContainers"] if each["name"] == "collect")
    order = json.loads(next(each["value"] for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT"))

    assert order["audit"]["model"] == "delay"
    assert order["audit"]["champion"] == {"version": "delay-1", "digest": DIGEST, "since": "2026-01-01T12:00:00Z"}
    assert order["audit"]["entries"][0]["event"] == "Promoted"
    assert spec["containers"][0]["command"][-1] == "promote"
    assert "AWS" not in json.dumps(spec["containers"][0])


def test_a_record_has_the_fields_of_the_status() -> None:
    promotion = Promotion(
        number=1, version="delay-1", since=NOON, reason="Better", approved_by="jane", approved_at=NOON
    )
    job = promote_job(resource(KIND, "delay", {"objective": {"metric": "roc_auc"}}), promotion, 1, Settings())
    containers = job.manifest["spec"]["template"]["spec"]["initContainers"]
    collect = next(each for each in containers if each["name"] == "collect")
    config = json.loads(next(each["value"] for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT"))
    [entry] = config["audit"]["entries"]

    assert (entry["approvedBy"], entry["approvedAt"]) == ("jane", "2026-01-01T12:00:00Z")


def test_what_is_recorded_stands_in_the_status_and_the_job_goes() -> None:
    registry = Registry(version_manifest("delay-1", status=STATUS))
    registry.reconcile()
    registry.reconcile()
    registry.end(DONE)
    kept = registry.reconcile()
    audit: Any = kept.status.audit  # type: ignore[attr-defined]

    assert (audit.recorded, audit.number, audit.sha256) == (1, 4, "e" * 64)
    assert isinstance((kept.children or ())[0], ExistingChild)
    assert registry.reconcile().children == ()
    assert registry.job_names() == []
    assert registry.reconcile().status == kept.status


def test_a_record_that_fails_is_tried_again_and_the_champion_serves_meanwhile() -> None:
    registry = Registry(version_manifest("delay-1", status=STATUS))
    registry.reconcile()
    registry.reconcile()
    registry.end(exit_code=1)
    failed = registry.reconcile()
    waits = registry.reconcile()
    registry.advance(minutes=1)
    again = registry.reconcile()
    [child] = again.children or ()

    assert (failed.ready, waits.ready, again.ready) == (True, True, True)
    assert "Its promotion is not recorded in the store yet" in waits.message
    assert waits.requeue_after is not None
    assert waits.children == ()
    assert isinstance(child, Child)
    assert "-2-" in child.name


def test_two_promotions_are_recorded_one_after_the_other() -> None:
    registry = Registry(version_manifest("delay-1", status=STATUS))
    registry.reconcile()
    better = {**STATUS, "metrics": {"roc_auc": "0.8"}, "digest": "sha256:" + "b" * 64}
    registry.put(version_manifest("delay-2", status=better))
    registry.reconcile()
    first = registry.job_names()[0]
    registry.end(DONE)
    registry.reconcile()
    registry.reconcile()
    second = registry.job_names()[0]
    registry.end({**DONE, "audit": {"number": 5, "sha256": "f" * 64}})
    registry.reconcile()
    registry.reconcile()
    status: Any = registry.status

    assert status.champion == "delay-2"
    assert first != second
    assert (status.promotions, status.audit.recorded, status.audit.number) == (2, 2, 5)
    assert registry.job_names() == []


def test_changes_from_before_there_were_records_are_left_alone() -> None:
    reign = {"version": "delay-1", "digest": DIGEST, "since": "2025-01-01T00:00:00Z", "reason": "FirstVersion"}
    status = {"champion": "delay-1", "championDigest": DIGEST, "history": [reign]}
    registry = Registry(version_manifest("delay-1", status=STATUS), status=status)

    registry.reconcile()
    registry.reconcile()

    assert registry.job_names() == []
    assert registry.status.promotions is None


def test_its_name_is_unique_to_the_promotion() -> None:
    registry = Registry(version_manifest("delay-1", status=STATUS))
    registry.reconcile()
    registry.reconcile()

    assert registry.job_names()[0].startswith("delay-promote-")
    assert registry.job_names()[0].endswith(f"-1-{names.short_uid(registry.resource.uid)}")


def test_a_fault_of_ours_stalls_the_model_after_five_tries_and_another_release_tries_again() -> None:
    registry = Registry(version_manifest("delay-1", status=STATUS))
    registry.reconcile()
    registry.reconcile()
    fault = {"v": 1, "phase": "Finished", "error": {"reason": "InternalError", "message": "no", "retry": True}}
    for _ in range(MAX_TRIES):
        registry.end(exit_code=137)
        registry.reconcile()
        registry.advance(minutes=6)
        registry.reconcile()
        registry.end(fault)
        ended = registry.reconcile()
        registry.advance(minutes=6)
        given_up = registry.reconcile()

    assert [(each.reason, each.type) for each in ended.events] == [("InternalError", "Warning")]
    assert (given_up.ready, given_up.stalled, given_up.children) == (True, True, ())
    assert "It is tried again with another release of Flywheel" in given_up.message
    registry.restart_with(replace(registry.cluster.settings, runtime_image="runtime:next"))
    again = registry.reconcile()
    assert (again.stalled, len(registry.job_names())) == (False, 1)
    registry.end(fault)
    assert registry.reconcile().status.audit.internal_errors == 1  # type: ignore[attr-defined]


def test_a_problem_for_which_the_champion_stays_is_recorded_after_the_promotion_and_once() -> None:
    problem = {
        "monitor": "watch", "kind": "NotFinite", "since": "2026-01-01T11:00:00Z", "at": "2026-01-01T12:00:00Z",
        "rolledBack": False, "reason": "Pinned", "message": "It is pinned.",
    }  # fmt: skip
    registry = Registry(version_manifest("delay-1", status={**STATUS, "problem": problem}))
    registry.reconcile()
    registry.reconcile()
    registry.end(DONE)
    registry.reconcile()
    registry.reconcile()
    registry.reconcile()
    [found] = registry.jobs()
    collect = next(each for each in found["spec"]["template"]["spec"]["initContainers"] if each["name"] == "collect")
    config = json.loads(next(each["value"] for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT"))
    [entry] = config["audit"]["entries"]
    registry.end({**DONE, "audit": {"number": 5, "sha256": "f" * 64}})
    registry.reconcile()
    registry.reconcile()
    audit = registry.status.audit

    assert (entry["event"], entry["kind"], entry["reason"]) == ("NotRolledBack", "NotFinite", "Pinned")
    assert config["audit"].get("champion") is None
    assert (audit.recorded, audit.recorded_problems, audit.number) == (1, 1, 5)
    assert registry.job_names() == []
