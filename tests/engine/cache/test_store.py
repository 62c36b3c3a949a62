"""What the store believes when news come late, twice, or not at all."""

from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, Reference
from flywheel.engine.cache.store import LAST_APPLIED, Store
from tests.engine.widget import KIND, WIDGETS

CHILD = Reference(CONFIG_MAP, "shop", "child")


@pytest.fixture
def woken() -> set[Reference]:
    return set()


@pytest.fixture
def store(woken: set[Reference]) -> Store:
    return Store((KIND,), woken.update)


def child(version: int, uid: str = "c1", owner: str = "w1", **data: str) -> dict[str, Any]:
    labels = {names.UID_LABEL: owner}
    metadata = {"name": "child", "namespace": "shop", "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata, "data": data}


def widget(name: str, version: int, uid: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Widget", "metadata": metadata, "spec": spec}


def data(store: Store) -> Any:
    found = store.get(CHILD)
    return found and found["data"]


def test_what_we_wrote_is_there_before_the_watch_tells(store: Store) -> None:
    store.saw(CONFIG_MAP, child(1, said="old"))
    store.wrote(CONFIG_MAP, child(3, said="new"))

    store.saw(CONFIG_MAP, child(2, said="between"))

    assert data(store) == {"said": "new"}


def test_a_late_event_does_not_bring_back_what_is_gone(store: Store) -> None:
    store.saw(CONFIG_MAP, child(1))
    store.gone(CONFIG_MAP, child(3))

    store.saw(CONFIG_MAP, child(2))

    assert data(store) is None


def test_a_late_event_does_not_bring_back_what_we_deleted(store: Store) -> None:
    store.saw(CONFIG_MAP, child(1))
    store.deleted(CHILD, "c1")

    store.saw(CONFIG_MAP, child(2))  # its deletion was not told yet

    assert data(store) is None


def test_a_late_deletion_does_not_remove_the_successor(store: Store) -> None:
    store.wrote(CONFIG_MAP, child(5, uid="c2", said="second"))

    store.gone(CONFIG_MAP, child(3, uid="c1"))

    assert data(store) == {"said": "second"}


def test_a_successor_is_seen(store: Store) -> None:
    store.saw(CONFIG_MAP, child(1))
    store.deleted(CHILD, "c1")

    store.saw(CONFIG_MAP, child(4, uid="c2", said="second"))

    assert data(store) == {"said": "second"}


def test_what_lost_our_label_and_is_still_there_can_be_taken_back(store: Store) -> None:
    store.saw(CONFIG_MAP, child(1))
    store.gone(CONFIG_MAP, child(2))  # so the watch says when the label goes

    store.wrote(CONFIG_MAP, child(2, said="still here"))

    assert data(store) == {"said": "still here"}


def test_an_object_younger_than_the_list_that_lacks_it_stays(store: Store) -> None:
    store.wrote(CONFIG_MAP, child(9))

    store.absent(CHILD, version=8)

    assert data(store) == {}


def test_an_object_older_than_the_list_that_lacks_it_goes(store: Store) -> None:
    store.saw(CONFIG_MAP, child(7))

    store.absent(CHILD, version=8)

    assert data(store) is None


@pytest.mark.parametrize("seen", ["saw", "gone"])
def test_what_was_seen_or_seen_gone_is_known(store: Store, seen: str) -> None:
    assert not store.knows(CHILD)

    getattr(store, seen)(CONFIG_MAP, child(1))

    assert store.knows(CHILD)


def test_a_child_wakes_its_owner(store: Store, woken: set[Reference]) -> None:
    store.saw(WIDGETS, widget("one", 1, "w1"))
    woken.clear()

    store.saw(CONFIG_MAP, child(2))

    assert woken == {Reference(WIDGETS, "shop", "one")}


def test_what_changes_nothing_wakes_nobody(store: Store, woken: set[Reference]) -> None:
    store.saw(WIDGETS, widget("one", 1, "w1"))
    woken.clear()

    store.saw(WIDGETS, widget("one", 1, "w1"))

    assert woken == set()


def test_a_reference_wakes_both_sides(store: Store, woken: set[Reference]) -> None:
    one, two = Reference(WIDGETS, "shop", "one"), Reference(WIDGETS, "shop", "two")
    store.saw(WIDGETS, widget("one", 1, "w1", friend="two"))
    assert woken == {one, two}
    woken.clear()

    store.saw(WIDGETS, widget("two", 2, "w2"))

    assert woken == {one, two}
    assert [each["metadata"]["name"] for each in store.referrers(WIDGETS, two)] == ["one"]


def test_a_reference_that_moved_leaves_no_trace(store: Store) -> None:
    store.saw(WIDGETS, widget("one", 1, "w1", friend="two"))

    store.saw(WIDGETS, widget("one", 2, "w1", friend="three"))

    assert store.referrers(WIDGETS, Reference(WIDGETS, "shop", "two")) == ()


def test_children_are_found_by_their_owner_and_by_name(store: Store) -> None:
    for name in ("b", "a"):
        raw = child(1)
        store.saw(CONFIG_MAP, {**raw, "metadata": {**raw["metadata"], "name": name}})

    assert [each["metadata"]["name"] for each in store.children("w1", CONFIG_MAP)] == ["a", "b"]


def test_no_reader_changes_what_another_reads(store: Store) -> None:
    store.saw(CONFIG_MAP, child(1, said="so"))
    found = store.get(CHILD)
    assert found is not None
    found["data"]["said"] = "otherwise"

    assert data(store) == {"said": "so"}


def test_what_nobody_reads_is_not_kept(store: Store) -> None:
    raw = child(1)
    raw["metadata"] |= {"managedFields": [{}], "annotations": {LAST_APPLIED: "{}", "kept": "x"}}
    store.saw(CONFIG_MAP, raw)

    found = store.get(CHILD)
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert found["metadata"]["annotations"] == {"kept": "x"}


def test_objects_are_counted_by_type_as_they_come_change_and_go(store: Store) -> None:
    store.saw(WIDGETS, widget("one", 1, "w1"))
    store.saw(CONFIG_MAP, child(1))
    store.saw(CONFIG_MAP, child(2))
    assert (store.count(CONFIG_MAP), store.count(WIDGETS), store.count()) == (1, 1, 2)

    store.gone(CONFIG_MAP, child(3))
    store.gone(CONFIG_MAP, child(4))

    assert (store.count(CONFIG_MAP), store.count()) == (0, 1)
