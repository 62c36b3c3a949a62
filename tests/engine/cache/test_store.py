"""What the store believes when news come late, twice, or not at all."""

from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, JOB, POD, Api, Reference
from flywheel.engine.cache.store import LAST_APPLIED, Store
from tests.engine.widget import KIND, WIDGETS

CHILD = Reference(CONFIG_MAP, "shop", "child")


@pytest.fixture
def enqueued() -> set[Reference]:
    return set()


@pytest.fixture
def store(enqueued: set[Reference]) -> Store:
    return Store((KIND,), enqueued.update)


def child(version: int, uid: str = "c1", owner: str = "w1", **data: str) -> dict[str, Any]:
    labels = {names.UID_LABEL: owner}
    metadata = {"name": "child", "namespace": "shop", "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": {**metadata, "ownerReferences": [controlled_by("Widget", "one", owner)]}, "data": data}


def controlled_by(kind: str, name: str, uid: str) -> dict[str, Any]:
    return {"kind": kind, "name": name, "uid": uid, "controller": True}


def labelled(
    name: str, *owners: dict[str, Any], uid: str = "u1", node: str = "node-1", phase: str = "Running"
) -> dict[str, Any]:
    """An object with the label of the resource w1, and these owners."""
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": uid,
        "resourceVersion": "1",
        "labels": {names.UID_LABEL: "w1"},
    }
    return {"metadata": {**metadata, "ownerReferences": list(owners)}, "spec": {"nodeName": node}, "status": {"phase": phase}}  # fmt: skip


def widget(name: str, version: int, uid: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Widget", "metadata": metadata, "spec": spec}


def data(store: Store) -> Any:
    found = store.get(CHILD)
    return found and found["data"]


def test_a_write_is_visible_before_the_watch_delivers_it(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1, said="old"))
    store.update_written(CONFIG_MAP, child(3, said="new"))

    store.update_watched(CONFIG_MAP, child(2, said="between"))

    assert data(store) == {"said": "new"}


def test_a_late_event_does_not_restore_a_deleted_object(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1))
    store.delete_watched(CONFIG_MAP, child(3))

    store.update_watched(CONFIG_MAP, child(2))

    assert data(store) is None


def test_a_late_event_does_not_restore_what_the_operator_deleted(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1))
    store.delete_written(CHILD, "c1")

    store.update_watched(CONFIG_MAP, child(2))  # from before the deletion, which the watch has not delivered yet

    assert data(store) is None


def test_a_late_response_does_not_restore_what_the_operator_deleted(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1))
    store.delete_written(CHILD, "c1")

    store.update_written(CONFIG_MAP, child(2))  # the response to a read that was sent before the deletion

    assert data(store) is None


def test_the_uid_of_another_object_deletes_nothing(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1))

    store.delete_written(CHILD, "c2")

    assert data(store) == {}


@pytest.mark.parametrize("update", ["update_watched", "update_written"])
def test_an_object_that_a_list_lacked_is_stored_when_it_appears_later(store: Store, update: str) -> None:
    store.update_watched(CONFIG_MAP, child(7))
    store.delete_unlisted(CHILD, version=8)

    getattr(store, update)(CONFIG_MAP, child(9, said="labelled again"))

    assert data(store) == {"said": "labelled again"}


def test_a_late_deletion_does_not_remove_a_newer_object_of_the_same_name(store: Store) -> None:
    store.update_written(CONFIG_MAP, child(5, uid="c2", said="second"))

    store.delete_watched(CONFIG_MAP, child(3, uid="c1"))

    assert data(store) == {"said": "second"}


def test_an_object_of_the_same_name_is_stored_after_a_deletion(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1))
    store.delete_written(CHILD, "c1")

    store.update_watched(CONFIG_MAP, child(4, uid="c2", said="second"))

    assert data(store) == {"said": "second"}


def test_an_object_that_lost_its_label_can_be_stored_again(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1))
    store.delete_watched(CONFIG_MAP, child(2))  # as the watch reports an object that lost its label

    store.update_written(CONFIG_MAP, child(2, said="still here"))

    assert data(store) == {"said": "still here"}


def test_an_object_younger_than_the_list_that_lacks_it_stays(store: Store) -> None:
    store.update_written(CONFIG_MAP, child(9))

    store.delete_unlisted(CHILD, version=8)

    assert data(store) == {}


def test_an_object_older_than_the_list_that_lacks_it_goes(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(7))

    store.delete_unlisted(CHILD, version=8)

    assert data(store) is None


@pytest.mark.parametrize("method", ["update_watched", "delete_watched"])
def test_an_object_or_its_deletion_counts_as_seen(store: Store, method: str) -> None:
    assert not store.has_seen(CHILD)

    getattr(store, method)(CONFIG_MAP, child(1))

    assert store.has_seen(CHILD)


def test_a_child_enqueues_its_owner(store: Store, enqueued: set[Reference]) -> None:
    store.update_watched(WIDGETS, widget("one", 1, "w1"))
    enqueued.clear()

    store.update_watched(CONFIG_MAP, child(2))

    assert enqueued == {Reference(WIDGETS, "shop", "one")}


def test_an_unchanged_object_enqueues_nothing(store: Store, enqueued: set[Reference]) -> None:
    store.update_watched(WIDGETS, widget("one", 1, "w1"))
    enqueued.clear()

    store.update_watched(WIDGETS, widget("one", 1, "w1"))

    assert enqueued == set()


def test_a_reference_enqueues_both_sides(store: Store, enqueued: set[Reference]) -> None:
    one, two = Reference(WIDGETS, "shop", "one"), Reference(WIDGETS, "shop", "two")
    store.update_watched(WIDGETS, widget("one", 1, "w1", friend="two"))
    assert enqueued == {one, two}
    enqueued.clear()

    store.update_watched(WIDGETS, widget("two", 2, "w2"))

    assert enqueued == {one, two}
    assert [each["metadata"]["name"] for each in store.referrers(WIDGETS, two)] == ["one"]


def test_a_reference_that_moved_leaves_no_trace(store: Store) -> None:
    store.update_watched(WIDGETS, widget("one", 1, "w1", friend="two"))

    store.update_watched(WIDGETS, widget("one", 2, "w1", friend="three"))

    assert store.referrers(WIDGETS, Reference(WIDGETS, "shop", "two")) == ()


def test_children_are_found_by_their_owner_and_by_name(store: Store) -> None:
    for name in ("b", "a"):
        raw = child(1)
        store.update_watched(CONFIG_MAP, {**raw, "metadata": {**raw["metadata"], "name": name}})

    assert [each["metadata"]["name"] for each in store.children("w1", CONFIG_MAP)] == ["a", "b"]


MADE_BY_WIDGET = controlled_by("Widget", "one", "w1")
JOB_OF_WIDGET = (JOB, labelled("train", MADE_BY_WIDGET, uid="j1"))
DEPLOYMENT_OF_WIDGET = (DEPLOYMENT, labelled("serve", MADE_BY_WIDGET, uid="d1"))


@pytest.mark.parametrize(
    ("maker", "pod", "believed"),
    [
        pytest.param(JOB_OF_WIDGET, labelled("pod", controlled_by("Job", "train", "j1")), True, id="the pod of our Job"),
        pytest.param(DEPLOYMENT_OF_WIDGET, labelled("pod", controlled_by("ReplicaSet", "serve-5d4f", "r1")), True, id="the pod of our Deployment"),
        pytest.param(JOB_OF_WIDGET, labelled("pod", controlled_by("Job", "train", "j1"), node="", phase="Pending"), True, id="one that waits for a node"),
        pytest.param(JOB_OF_WIDGET, labelled("pod"), False, id="a pod that nobody owns"),
        pytest.param(JOB_OF_WIDGET, labelled("pod", {**controlled_by("Job", "train", "j1"), "controller": False}), False, id="our Job owns it, and is not its controller"),
        pytest.param(JOB_OF_WIDGET, labelled("pod", controlled_by("Job", "train", "j0")), False, id="an earlier Job of that name"),
        pytest.param((JOB, labelled("train", uid="j1")), labelled("pod", controlled_by("Job", "train", "j1")), False, id="a Job that nobody owns"),
        pytest.param((JOB, labelled("train", controlled_by("Widget", "one", "w0"), uid="j1")), labelled("pod", controlled_by("Job", "train", "j1")), False, id="the Job of an earlier resource of that name"),
        pytest.param(JOB_OF_WIDGET, labelled("pod", controlled_by("ConfigMap", "train", "j1")), False, id="another kind of owner"),
        pytest.param(DEPLOYMENT_OF_WIDGET, labelled("pod", controlled_by("ReplicaSet", "mine-5d4f", "r1")), False, id="another ReplicaSet"),
        pytest.param(JOB_OF_WIDGET, labelled("pod", controlled_by("Job", "train", "j1"), node="", phase="Succeeded"), False, id="it ended without a node"),
    ],
)  # fmt: skip
def test_a_pod_is_believed_where_the_resource_made_what_controls_it(
    store: Store, maker: tuple[Api, dict[str, Any]], pod: dict[str, Any], believed: bool
) -> None:
    store.update_watched(*maker)
    store.update_watched(POD, pod)

    assert [each["metadata"]["name"] for each in store.children("w1", POD)] == ["pod"] * believed


def test_no_reader_changes_what_another_reads(store: Store) -> None:
    store.update_watched(CONFIG_MAP, child(1, said="so"))
    found = store.get(CHILD)
    assert found is not None
    found["data"]["said"] = "otherwise"

    assert data(store) == {"said": "so"}


def test_unread_fields_are_not_stored(store: Store) -> None:
    raw = child(1)
    raw["metadata"] |= {"managedFields": [{}], "annotations": {LAST_APPLIED: "{}", "kept": "x"}}
    store.update_watched(CONFIG_MAP, raw)

    found = store.get(CHILD)
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert found["metadata"]["annotations"] == {"kept": "x"}


def test_objects_are_counted_by_type_as_they_come_change_and_go(store: Store) -> None:
    store.update_watched(WIDGETS, widget("one", 1, "w1"))
    store.update_watched(CONFIG_MAP, child(1))
    store.update_watched(CONFIG_MAP, child(2))
    assert (store.count(CONFIG_MAP), store.count(WIDGETS), store.count()) == (1, 1, 2)

    store.delete_watched(CONFIG_MAP, child(3))
    store.delete_watched(CONFIG_MAP, child(4))

    assert (store.count(CONFIG_MAP), store.count()) == (0, 1)
