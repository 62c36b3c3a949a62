"""One look after another, on a real API server."""

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, JOB, Api
from tests.engine.harness import World
from tests.engine.widget import WIDGETS

pytestmark = pytest.mark.apiserver
QUOTA = Api("", "v1", "ResourceQuota", "resourcequotas")


def test_children_are_made_and_status_is_written_last(world: World, writes: list[str]) -> None:
    world.widget("one", serve=True, jobs=1)

    kinds = [write.split()[:2] for write in writes]
    assert kinds == [
        ["create", "ConfigMap"],
        ["create", "Job"],
        ["create", "Deployment"],
        ["status", "Widget"],
        ["event", "Event"],
    ]
    assert world.condition("one") == ("True", "Told", "all is told")
    assert world.get(WIDGETS, "one")["status"]["observedGeneration"] == 1


def test_children_and_their_pods_carry_labels_and_owner(world: World) -> None:
    widget = world.widget("one", serve=True)

    deployment = world.get(DEPLOYMENT, "one")
    [owner] = deployment["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (widget["metadata"]["uid"], True)
    for metadata in (deployment["metadata"], deployment["spec"]["template"]["metadata"]):
        assert metadata["labels"][names.UID_LABEL] == widget["metadata"]["uid"]
        assert metadata["labels"][names.MANAGED_BY] == "flywheel"


def test_a_new_process_writes_nothing(world: World, writes: list[str]) -> None:
    world.widget("one", serve=True, jobs=2)
    writes.clear()

    world.restart()
    world.settle()

    assert world.outcomes
    assert writes == []


def test_a_child_deleted_by_hand_comes_back(world: World) -> None:
    world.widget("one")
    before = world.get(CONFIG_MAP, "one-config")
    world.client.delete(world.at(CONFIG_MAP, "one-config"), before["metadata"]["uid"])

    world.settle()

    assert world.get(CONFIG_MAP, "one-config")["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_child_edited_by_hand_is_as_it_was(world: World) -> None:
    world.widget("one", message="right")
    world.put(CONFIG_MAP, "one-config", data={"message": "wrong"})

    world.settle()

    assert world.get(CONFIG_MAP, "one-config")["data"] == {"message": "right"}


def test_what_others_add_to_a_child_stays(world: World, writes: list[str]) -> None:
    world.widget("one", message="ours")
    world.put(CONFIG_MAP, "one-config", data={"theirs": "x"})
    writes.clear()

    world.settle()

    assert world.get(CONFIG_MAP, "one-config")["data"] == {"message": "ours", "theirs": "x"}
    assert writes == []


def test_a_child_whose_labels_were_removed_is_taken_back(world: World) -> None:
    world.widget("one")
    live = world.get(CONFIG_MAP, "one-config")
    stripped = {**live, "metadata": {**live["metadata"], "labels": {}}}
    world.client.replace(CONFIG_MAP, stripped)

    world.restart()
    world.settle()

    after = world.get(CONFIG_MAP, "one-config")["metadata"]
    assert after["uid"] == live["metadata"]["uid"]
    assert after["labels"] == live["metadata"]["labels"]


def test_a_child_that_left_the_plan_is_deleted(world: World) -> None:
    world.widget("one", config=True)

    world.widget("one", config=False)

    assert world.client.get(world.at(CONFIG_MAP, "one-config")) is None


def test_a_child_of_somebody_else_is_never_pruned(world: World) -> None:
    widget = world.widget("one", config=False)
    uid = widget["metadata"]["uid"]
    world.put(CONFIG_MAP, "stray", metadata={"labels": {names.UID_LABEL: uid, names.MANAGED_BY: "flywheel"}})

    world.settle()

    assert world.get(CONFIG_MAP, "stray")


def test_a_name_that_somebody_has_is_not_taken(world: World) -> None:
    world.put(CONFIG_MAP, "theirs", data={"message": "theirs"})

    world.widget("one", configName="theirs", message="ours")

    status, reason, message = world.condition("one")
    assert (status, reason) == ("False", "NameTaken")
    assert message == (
        f"ConfigMap 'theirs' in namespace '{world.namespace}' exists and belongs to somebody else; "
        "rename this resource, or delete that ConfigMap"
    )
    assert world.condition("one", "Stalled")[0] == ""
    assert world.get(CONFIG_MAP, "theirs")["data"] == {"message": "theirs"}


def test_of_two_resources_with_one_name_the_first_has_it(world: World) -> None:
    world.widget("one", configName="shared", message="first")

    world.widget("two", configName="shared", message="second")

    assert world.get(CONFIG_MAP, "shared")["data"] == {"message": "first"}
    assert world.condition("one")[0] == "True"
    assert "belongs to Widget 'one'" in world.condition("two")[2]


def test_a_name_that_became_free_is_used(world: World) -> None:
    theirs = world.put(CONFIG_MAP, "theirs", data={})
    world.widget("one", configName="theirs")
    assert world.outcomes[world.at(WIDGETS, "one")].failed
    world.client.delete(world.at(CONFIG_MAP, "theirs"), theirs["metadata"]["uid"])

    world.look(world.at(WIDGETS, "one"))

    assert world.condition("one")[:2] == ("True", "Told")


def test_a_child_of_a_namesake_of_yesterday_is_waited_for_without_a_word(world: World) -> None:
    before = world.widget("one")
    world.client.delete(world.at(WIDGETS, "one"), before["metadata"]["uid"])
    world.settle()

    world.widget("one")  # no garbage collector runs here, so the old child is still there

    assert world.outcomes[world.at(WIDGETS, "one")].failed
    assert "status" not in world.get(WIDGETS, "one")


def test_what_the_api_server_refuses_is_quoted(world: World) -> None:
    world.widget("one", invalid=True)

    status, reason, message = world.condition("one")
    assert (status, reason) == ("False", "Invalid")
    assert message.startswith(f"ConfigMap 'one-config' in namespace '{world.namespace}' was refused: ")
    assert "Invalid key!" in message
    assert message.endswith(f"correct the spec of Widget 'one' in namespace '{world.namespace}'")
    assert world.condition("one", "Stalled")[0] == "True"


def test_a_quota_is_waited_for(world: World) -> None:
    world.put(QUOTA, "few", spec={"hard": {"count/jobs.batch": "0"}}, status={"hard": {"count/jobs.batch": "0"}})
    full = {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": world.namespace}}
    world.client.apply(QUOTA, {**body, "status": full}, "test", "status")

    world.widget("one", jobs=1)

    status, reason, message = world.condition("one")
    assert (status, reason) == ("False", "QuotaExceeded")
    assert "exceeded quota: few" in message
    assert world.condition("one", "Reconciling")[0] == "True"
    assert world.outcomes[world.at(WIDGETS, "one")].failed


def test_a_spec_that_cannot_be_read_names_the_field(world: World) -> None:
    world.widget("one", jobs="many")

    status, reason, message = world.condition("one")
    assert (status, reason) == ("False", "InvalidSpec")
    assert message.startswith("Widget 'one' cannot be read: spec.jobs: ")
    assert world.condition("one", "Stalled")[0] == "True"


def test_a_fault_of_a_kind_stays_its_own(world: World) -> None:
    world.widget("bad", broken=True)
    world.widget("good")

    status, reason, message = world.condition("bad")
    assert (status, reason) == ("False", "InternalError")
    assert "KeyError" in message
    assert "Traceback" not in message
    assert world.outcomes[world.at(WIDGETS, "bad")].failed
    assert world.condition("good")[0] == "True"


def test_a_friend_that_comes_wakes_who_waits_for_it(world: World) -> None:
    world.widget("one", friend="two")
    assert world.condition("one")[1] == "FriendMissing"

    world.widget("two", message="here")

    assert world.condition("one")[1] == "Told"
    assert world.get(WIDGETS, "one")["status"]["told"] == "here"


def test_a_resource_that_is_being_deleted_is_left_alone(world: World, writes: list[str]) -> None:
    widget = world.put(WIDGETS, "one", metadata={"finalizers": ["example.com/hold"]}, spec={})
    world.client.delete(world.at(WIDGETS, "one"), widget["metadata"]["uid"])

    world.settle()

    assert writes == []


def test_without_the_lease_nothing_is_written(world: World, writes: list[str]) -> None:
    world.may_write = False
    world.put(WIDGETS, "one", spec={})
    world.resync.heal()

    outcome = world.look(world.at(WIDGETS, "one"))

    assert outcome.after is not None
    assert writes == []
    assert world.client.get(world.at(CONFIG_MAP, "one-config")) is None


def test_a_status_judged_on_an_old_spec_is_not_written(world: World) -> None:
    world.put(WIDGETS, "one", spec={"message": "old"})
    world.resync.heal()
    world.put(WIDGETS, "one", spec={"message": "new"})  # the watch has not told yet

    outcome = world.look(world.at(WIDGETS, "one"))

    assert outcome.after == 0.0
    assert "status" not in world.get(WIDGETS, "one")
    world.settle()
    assert world.get(WIDGETS, "one")["status"]["told"] == "new"


def test_jobs_are_written_once(world: World, writes: list[str]) -> None:
    world.widget("one", jobs=1, image="flywheel.local/any:1")
    writes.clear()

    world.widget("one", jobs=1, image="flywheel.local/any:2")

    assert not any("Job" in write for write in writes)
    assert len(world.store.children(world.get(WIDGETS, "one")["metadata"]["uid"], JOB)) == 1


def test_transitions_are_told_once(world: World) -> None:
    world.widget("one", friend="two")
    world.widget("two")
    world.restart()
    world.settle()

    told = [world.get(Api("", "v1", "Event", "events"), each["metadata"]["name"]) for each in world.events()]
    about = sorted((each["type"], each["reason"]) for each in told if each["involvedObject"]["name"] == "one")
    assert about == [("Normal", "FriendMissing"), ("Normal", "Told")]


def test_what_stops_being_ready_is_a_warning(world: World) -> None:
    world.widget("two")
    world.widget("one", friend="two")

    world.widget("one", friend="three")

    told = [world.get(Api("", "v1", "Event", "events"), each["metadata"]["name"]) for each in world.events()]
    assert ("Warning", "FriendMissing") in [(each["type"], each["reason"]) for each in told]
