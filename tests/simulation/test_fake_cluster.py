"""The fake cluster answers as the engine's store would."""

from flywheel.core.resource.api import POD, Reference
from tests.engine.widget import KIND, WIDGETS
from tests.simulation import FakeCluster, job, oom_killed_state, pod, resource, terminated_state, unschedulable_pod

ONE = resource(KIND, "one", {"friend": "two", "serve": True})


def test_it_finds_pods_by_their_owner() -> None:
    cluster = FakeCluster(kinds=(KIND,)).put(ONE, job(ONE, "j"), pod(ONE, "b", job="j"), pod(ONE, "a", job="j"))

    assert [each["metadata"]["name"] for each in cluster.children(ONE.uid, POD)] == ["a", "b"]


def test_it_finds_who_refers() -> None:
    cluster = FakeCluster(kinds=(KIND,)).put(ONE, resource(KIND, "two", {}))

    assert [each["metadata"]["name"] for each in cluster.referrers(WIDGETS, Reference(WIDGETS, "default", "two"))] == [
        "one"
    ]


def test_events_are_found_by_uid() -> None:
    stuck = unschedulable_pod(ONE, "p", "0/1 nodes are available")
    cluster = FakeCluster(stuck).event(stuck, "FailedScheduling", "no room")

    [event] = cluster.events("default", stuck["metadata"]["uid"])
    assert (event["reason"], event["message"]) == ("FailedScheduling", "no room")


def test_the_phase_follows_from_the_containers() -> None:
    assert pod(ONE, "p", main=oom_killed_state())["status"]["phase"] == "Failed"
    assert pod(ONE, "p", main=terminated_state(0))["status"]["phase"] == "Succeeded"
    assert pod(ONE, "p")["status"]["phase"] == "Running"
