"""Reconciliations on a real API server."""

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, JOB, Api
from flywheel.engine.reconcile import MAX_INTERNAL_ERRORS
from tests.engine.harness import EngineHarness
from tests.engine.widget import WIDGETS

pytestmark = pytest.mark.apiserver
QUOTA = Api("", "v1", "ResourceQuota", "resourcequotas")


def test_children_are_made_and_status_is_written_last(harness: EngineHarness, writes: list[str]) -> None:
    harness.widget("one", serve=True, jobs=1)

    kinds = [write.split()[:2] for write in writes]
    assert kinds == [
        ["create", "ConfigMap"],
        ["create", "Job"],
        ["create", "Deployment"],
        ["status", "Widget"],
        ["event", "Event"],
    ]
    assert harness.condition("one") == ("True", "Told", "all is told")
    assert harness.get(WIDGETS, "one")["status"]["observedGeneration"] == 1


def test_children_and_their_pods_carry_labels_and_owner(harness: EngineHarness) -> None:
    widget = harness.widget("one", serve=True)

    deployment = harness.get(DEPLOYMENT, "one")
    [owner] = deployment["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (widget["metadata"]["uid"], True)
    for metadata in (deployment["metadata"], deployment["spec"]["template"]["metadata"]):
        assert metadata["labels"][names.UID_LABEL] == widget["metadata"]["uid"]
        assert metadata["labels"][names.MANAGED_BY] == "flywheel"


def test_a_new_process_writes_nothing(harness: EngineHarness, writes: list[str]) -> None:
    harness.widget("one", serve=True, jobs=2)
    writes.clear()

    harness.restart()
    harness.settle()

    assert harness.results
    assert writes == []


def test_a_child_deleted_by_hand_comes_back(harness: EngineHarness) -> None:
    harness.widget("one")
    before = harness.get(CONFIG_MAP, "one-config")
    harness.client.delete(harness.at(CONFIG_MAP, "one-config"), before["metadata"]["uid"])

    harness.settle()

    assert harness.get(CONFIG_MAP, "one-config")["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_child_edited_by_hand_is_as_it_was(harness: EngineHarness) -> None:
    harness.widget("one", message="right")
    harness.put(CONFIG_MAP, "one-config", data={"message": "wrong"})

    harness.settle()

    assert harness.get(CONFIG_MAP, "one-config")["data"] == {"message": "right"}


def test_what_others_add_to_a_child_stays(harness: EngineHarness, writes: list[str]) -> None:
    harness.widget("one", message="ours")
    harness.put(CONFIG_MAP, "one-config", data={"theirs": "x"})
    writes.clear()

    harness.settle()

    assert harness.get(CONFIG_MAP, "one-config")["data"] == {"message": "ours", "theirs": "x"}
    assert writes == []


def test_a_child_whose_labels_were_removed_is_repaired(harness: EngineHarness) -> None:
    harness.widget("one")
    live = harness.get(CONFIG_MAP, "one-config")
    stripped = {**live, "metadata": {**live["metadata"], "labels": {}}}
    harness.client.replace(CONFIG_MAP, stripped)

    harness.restart()
    harness.settle()

    after = harness.get(CONFIG_MAP, "one-config")["metadata"]
    assert after["uid"] == live["metadata"]["uid"]
    assert after["labels"] == live["metadata"]["labels"]


def test_a_child_that_left_the_plan_is_deleted(harness: EngineHarness) -> None:
    harness.widget("one", config=True)

    harness.widget("one", config=False)

    assert harness.client.get(harness.at(CONFIG_MAP, "one-config")) is None


def test_a_child_of_another_owner_is_never_pruned(harness: EngineHarness) -> None:
    widget = harness.widget("one", config=False)
    uid = widget["metadata"]["uid"]
    harness.put(CONFIG_MAP, "stray", metadata={"labels": {names.UID_LABEL: uid, names.MANAGED_BY: "flywheel"}})

    harness.settle()

    assert harness.get(CONFIG_MAP, "stray")


def test_a_name_of_another_object_is_not_taken_over(harness: EngineHarness) -> None:
    harness.put(CONFIG_MAP, "theirs", data={"message": "theirs"})

    harness.widget("one", configName="theirs", message="ours")

    status, reason, message = harness.condition("one")
    assert (status, reason) == ("False", "NameTaken")
    assert message == (
        f"ConfigMap 'theirs' in namespace '{harness.namespace}' exists and belongs to somebody else; "
        "rename this resource, or delete that ConfigMap"
    )
    assert harness.condition("one", "Stalled")[0] == ""
    assert harness.get(CONFIG_MAP, "theirs")["data"] == {"message": "theirs"}


def test_of_two_resources_with_one_name_the_first_has_it(harness: EngineHarness) -> None:
    harness.widget("one", configName="shared", message="first")

    harness.widget("two", configName="shared", message="second")

    assert harness.get(CONFIG_MAP, "shared")["data"] == {"message": "first"}
    assert harness.condition("one")[0] == "True"
    assert "belongs to Widget 'one'" in harness.condition("two")[2]


def test_a_name_that_became_free_is_used(harness: EngineHarness) -> None:
    theirs = harness.put(CONFIG_MAP, "theirs", data={})
    harness.widget("one", configName="theirs")
    assert harness.results[harness.at(WIDGETS, "one")].failed
    harness.client.delete(harness.at(CONFIG_MAP, "theirs"), theirs["metadata"]["uid"])

    harness.reconcile(harness.at(WIDGETS, "one"))

    assert harness.condition("one")[:2] == ("True", "Told")


def test_a_child_of_a_namesake_of_yesterday_is_waited_for_without_a_word(harness: EngineHarness) -> None:
    before = harness.widget("one")
    harness.client.delete(harness.at(WIDGETS, "one"), before["metadata"]["uid"])
    harness.settle()

    harness.widget("one")  # no garbage collector runs here, so the old child is still there

    assert harness.results[harness.at(WIDGETS, "one")].failed
    assert "status" not in harness.get(WIDGETS, "one")


def test_what_the_api_server_refuses_is_quoted(harness: EngineHarness) -> None:
    harness.widget("one", invalid=True)

    status, reason, message = harness.condition("one")
    assert (status, reason) == ("False", "Invalid")
    assert message.startswith(f"ConfigMap 'one-config' in namespace '{harness.namespace}' was refused: ")
    assert "Invalid key!" in message
    assert message.endswith(f"correct the spec of Widget 'one' in namespace '{harness.namespace}'")
    assert harness.condition("one", "Stalled")[0] == "True"


def test_a_quota_is_waited_for(harness: EngineHarness) -> None:
    harness.put(QUOTA, "few", spec={"hard": {"count/jobs.batch": "0"}}, status={"hard": {"count/jobs.batch": "0"}})
    full = {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": harness.namespace}}
    harness.client.apply(QUOTA, {**body, "status": full}, "test", "status")

    harness.widget("one", jobs=1)

    status, reason, message = harness.condition("one")
    assert (status, reason) == ("False", "QuotaExceeded")
    assert "exceeded quota: few" in message
    assert harness.condition("one", "Reconciling")[0] == "True"
    assert harness.results[harness.at(WIDGETS, "one")].failed


def test_a_spec_that_cannot_be_read_names_the_field(harness: EngineHarness) -> None:
    harness.widget("one", jobs="many")

    status, reason, message = harness.condition("one")
    assert (status, reason) == ("False", "InvalidSpec")
    assert message.startswith("Widget 'one' cannot be read: spec.jobs: ")
    assert harness.condition("one", "Stalled")[0] == "True"


def test_a_fault_of_a_kind_stays_its_own(harness: EngineHarness) -> None:
    harness.widget("bad", broken=True)
    harness.widget("good")

    status, reason, message = harness.condition("bad")
    assert (status, reason) == ("False", "InternalError")
    assert '(KeyError: "a fault of the kind\'s"); this is a fault of the operator' in message
    assert "Traceback" not in message
    assert harness.results[harness.at(WIDGETS, "bad")].failed
    assert harness.condition("good")[0] == "True"


def test_a_fault_that_stays_is_stalled_until_the_resource_changes(harness: EngineHarness, writes: list[str]) -> None:
    harness.widget("bad", broken=True)
    bad = harness.at(WIDGETS, "bad")
    results = [harness.reconcile(bad) for _ in range(MAX_INTERNAL_ERRORS)]
    harness.settle()

    assert [result.failed for result in results[-2:]] == [False, False]
    assert harness.condition("bad", "Stalled")[0] == "True"
    assert "is tried again when the resource changes" in harness.condition("bad")[2]
    writes.clear()
    for _ in range(3):
        harness.reconcile(bad)
    assert not writes

    harness.widget("bad", broken=False)
    assert harness.condition("bad")[0] == "True"


def test_a_created_resource_reconciles_what_refers_to_it(harness: EngineHarness) -> None:
    harness.widget("one", friend="two")
    assert harness.condition("one")[1] == "FriendMissing"

    harness.widget("two", message="here")

    assert harness.condition("one")[1] == "Told"
    assert harness.get(WIDGETS, "one")["status"]["told"] == "here"


def test_a_resource_that_is_being_deleted_is_left_alone(harness: EngineHarness, writes: list[str]) -> None:
    widget = harness.put(WIDGETS, "one", metadata={"finalizers": ["example.com/hold"]}, spec={})
    harness.client.delete(harness.at(WIDGETS, "one"), widget["metadata"]["uid"])

    harness.settle()

    assert writes == []


def test_without_the_lease_nothing_is_written(harness: EngineHarness, writes: list[str]) -> None:
    harness.may_write = False
    harness.put(WIDGETS, "one", spec={})
    harness.resync.repair()

    outcome = harness.reconcile(harness.at(WIDGETS, "one"))

    assert outcome.requeue_after is not None
    assert writes == []
    assert harness.client.get(harness.at(CONFIG_MAP, "one-config")) is None


def test_a_status_judged_on_an_old_spec_is_not_written(harness: EngineHarness) -> None:
    harness.put(WIDGETS, "one", spec={"message": "old"})
    harness.resync.repair()
    harness.put(WIDGETS, "one", spec={"message": "new"})  # the watch has not told yet

    outcome = harness.reconcile(harness.at(WIDGETS, "one"))

    assert outcome.requeue_after == 0.0
    assert "status" not in harness.get(WIDGETS, "one")
    harness.settle()
    assert harness.get(WIDGETS, "one")["status"]["told"] == "new"


def test_jobs_are_written_once(harness: EngineHarness, writes: list[str]) -> None:
    harness.widget("one", jobs=1, image="flywheel.local/any:1")
    writes.clear()

    harness.widget("one", jobs=1, image="flywheel.local/any:2")

    assert not any("Job" in write for write in writes)
    assert len(harness.store.children(harness.get(WIDGETS, "one")["metadata"]["uid"], JOB)) == 1


def test_each_transition_is_recorded_once(harness: EngineHarness) -> None:
    harness.widget("one", friend="two")
    harness.widget("two")
    harness.restart()
    harness.settle()

    told = [harness.get(Api("", "v1", "Event", "events"), each["metadata"]["name"]) for each in harness.events()]
    about = sorted((each["type"], each["reason"]) for each in told if each["involvedObject"]["name"] == "one")
    assert about == [("Normal", "Told"), ("Warning", "FriendMissing")]


def test_what_stops_being_ready_is_a_warning(harness: EngineHarness) -> None:
    harness.widget("two")
    harness.widget("one", friend="two")

    harness.widget("one", friend="three")

    told = [harness.get(Api("", "v1", "Event", "events"), each["metadata"]["name"]) for each in harness.events()]
    assert ("Warning", "FriendMissing") in [(each["type"], each["reason"]) for each in told]
