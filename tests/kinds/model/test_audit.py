"""Each change of champion is recorded by a Job of its own, one after the other, and nobody waits for it."""

import json
from datetime import timedelta
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.kinds.batchinference.kind import KIND as BATCHES
from flywheel.kinds.inferenceservice.kind import KIND as SERVICES
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.decide import decide
from flywheel.kinds.model.kind import KIND
from flywheel.kinds.model.observe import observe
from flywheel.kinds.modelversion.kind import KIND as VERSIONS
from flywheel.testing import FakeCluster, job, pod, resource, terminated
from tests.kinds.model.test_observe import DIGEST, STATUS, version


class World:
    """A Model and its versions, look by look."""

    def __init__(self, *versions: Any) -> None:
        self.model: Model = resource(KIND, "delay", {"objective": {"metric": "roc_auc"}})
        self.cluster = FakeCluster(*versions, kinds=(KIND, VERSIONS, SERVICES, BATCHES))

    def look(self) -> Plan:
        plan = decide(self.model, observe(self.model, self.cluster))
        self.cluster.apply_plan(self.model, plan)
        self.model = type(self.model)(**{**self.model.__dict__, "status": plan.status})
        return plan

    @property
    def jobs(self) -> list[Any]:
        return list(self.cluster.children(self.model.uid, JOB))

    def ends(self, message: Any = None, exit_code: int = 0) -> None:
        """Let the one Job end."""
        [found] = self.jobs
        name = found["metadata"]["name"]
        init = {"collect": terminated(0, message), "fetch": terminated(0)} if message else {}
        main = terminated(exit_code)
        ended = job(self.model, name, state="Complete" if message else "Failed")
        self.cluster.put(ended, pod(self.model, f"{name}-x", job=name, main=main, init=init))


DONE = {"v": 1, "phase": "Finished", "complete": True, "metrics": {}, "audit": {"number": 4, "sha256": "e" * 64}}


def test_a_promotion_is_recorded_after_it_is_written() -> None:
    world = World(version("delay-1", status=STATUS))
    promoted = world.look()
    assert (promoted.ready, world.jobs) == (True, [])

    world.look()
    [found] = world.jobs
    spec = found["spec"]["template"]["spec"]
    collect = next(each for each in spec["initContainers"] if each["name"] == "collect")
    order = json.loads(next(each["value"] for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT"))

    assert order["audit"]["model"] == "delay"
    assert order["audit"]["champion"] == {"version": "delay-1", "digest": DIGEST, "since": "2026-01-01T12:00:00Z"}
    assert order["audit"]["entries"][0]["event"] == "Promoted"
    assert spec["containers"][0]["command"][-1] == "promote"
    assert "AWS" not in json.dumps(spec["containers"][0])


def test_what_is_recorded_stands_in_the_status_and_the_job_goes() -> None:
    world = World(version("delay-1", status=STATUS))
    world.look()
    world.look()
    world.ends(DONE)
    kept = world.look()
    audit: Any = kept.status.audit  # type: ignore[attr-defined]

    assert (audit.recorded, audit.number, audit.sha256) == (1, 4, "e" * 64)
    assert isinstance((kept.children or ())[0], ExistingChild)
    assert world.look().children == ()
    assert world.jobs == []
    assert world.look().status == kept.status


def test_a_record_that_fails_is_tried_again_and_the_champion_serves_meanwhile() -> None:
    world = World(version("delay-1", status=STATUS))
    world.look()
    world.look()
    world.ends(exit_code=1)
    failed = world.look()
    waits = world.look()
    world.cluster.advance(timedelta(minutes=1))
    again = world.look()
    [child] = again.children or ()

    assert (failed.ready, waits.ready, again.ready) == (True, True, True)
    assert "Its promotion is not recorded in the store yet" in waits.message
    assert waits.requeue_after is not None
    assert waits.children == ()
    assert isinstance(child, Child)
    assert "-2-" in child.name


def test_two_promotions_are_recorded_one_after_the_other() -> None:
    world = World(version("delay-1", status=STATUS))
    world.look()
    better = {**STATUS, "metrics": {"roc_auc": "0.8"}, "digest": "sha256:" + "b" * 64}
    world.cluster.put(version("delay-2", status=better))
    world.look()
    first = world.jobs[0]["metadata"]["name"]
    world.ends(DONE)
    world.look()
    world.look()
    second = world.jobs[0]["metadata"]["name"]
    world.ends({**DONE, "audit": {"number": 5, "sha256": "f" * 64}})
    world.look()
    world.look()
    status: Any = world.model.status

    assert status.champion == "delay-2"
    assert first != second
    assert (status.promotions, status.audit.recorded, status.audit.number) == (2, 2, 5)
    assert world.jobs == []


def test_changes_from_before_there_were_records_are_left_alone() -> None:
    world = World(version("delay-1", status=STATUS))
    reign = {"version": "delay-1", "digest": DIGEST, "since": "2025-01-01T00:00:00Z", "reason": "FirstVersion"}
    status = {"champion": "delay-1", "championDigest": DIGEST, "history": [reign]}
    world.model = resource(KIND, "delay", {"objective": {"metric": "roc_auc"}}, status=status)

    world.look()
    world.look()

    assert world.jobs == []
    assert world.model.status.promotions is None


def test_its_name_says_whose_it_is() -> None:
    world = World(version("delay-1", status=STATUS))
    world.look()
    world.look()

    assert world.jobs[0]["metadata"]["name"].startswith("delay-promote-")
    assert world.jobs[0]["metadata"]["name"].endswith(f"-1-{names.short_uid(world.model.uid)}")
