"""Removals and finished ticks, on a real API server."""

from dataclasses import replace
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, JOB, Reference
from flywheel.core.resource.plan import Patch, Plan, Removal
from tests.engine.harness import World
from tests.engine.widget import KIND, WIDGETS, WidgetStatus

pytestmark = pytest.mark.apiserver
NOTHING = Plan(True, "Done", "nothing is left to do", WidgetStatus())


def planning(world: World, plan: Plan) -> None:
    """From now on every Widget decides so."""
    patches = (CONFIG_MAP,)
    world.kinds = (replace(KIND, decide=lambda _widget, _seen: plan, removes=(CONFIG_MAP,), patches=patches),)
    world.restart()


def unowned(world: World) -> dict[str, Any]:
    labels = {names.MANAGED_BY: "flywheel"}
    return world.put(CONFIG_MAP, "old", metadata={"labels": labels}, data={})


def test_an_unowned_object_is_removed(world: World) -> None:
    uid = unowned(world)["metadata"]["uid"]
    planning(world, replace(NOTHING, removals=(Removal(CONFIG_MAP, "old", uid),)))

    world.widget("one")

    assert world.client.get(world.at(CONFIG_MAP, "old")) is None
    assert world.condition("one")[0] == "True"


def test_its_successor_is_spared(world: World) -> None:
    unowned(world)
    planning(world, replace(NOTHING, removals=(Removal(CONFIG_MAP, "old", "uid-of-yesterday"),)))

    world.widget("one")

    assert world.get(CONFIG_MAP, "old")


def test_a_type_that_the_kind_did_not_declare_is_never_removed(world: World) -> None:
    planning(world, replace(NOTHING, removals=(Removal(JOB, "any", "uid"),)))

    world.widget("one")

    assert world.condition("one")[1] == "InternalError"


def test_what_is_touched_gets_the_annotation_and_keeps_all_else(world: World) -> None:
    before = unowned(world)
    touch = Patch(CONFIG_MAP, "old", before["metadata"]["uid"], {"flywheel.ml/route": "1"})
    planning(world, replace(NOTHING, patches=(touch,)))

    world.widget("one")
    after = world.get(CONFIG_MAP, "old")

    assert after["metadata"]["annotations"] == {"flywheel.ml/route": "1"}
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert world.condition("one")[0] == "True"


def test_what_is_owned_goes_with_the_resource_until_it_is_not(world: World) -> None:
    before = unowned(world)
    uid = before["metadata"]["uid"]
    planning(world, replace(NOTHING, patches=(Patch(CONFIG_MAP, "old", uid, owned=True),)))
    world.widget("one")
    [owner] = world.get(CONFIG_MAP, "old")["metadata"]["ownerReferences"]

    planning(world, replace(NOTHING, patches=(Patch(CONFIG_MAP, "old", uid),)))
    world.widget("one", text="again")

    assert (owner["name"], owner["controller"]) == ("one", False)
    assert not world.get(CONFIG_MAP, "old")["metadata"].get("ownerReferences")


@pytest.mark.parametrize("name", ["old", "gone"])
def test_what_went_or_has_a_successor_is_not_touched_and_holds_nothing_up(world: World, name: str) -> None:
    unowned(world)
    planning(world, replace(NOTHING, patches=(Patch(CONFIG_MAP, name, "uid-of-yesterday", {"a.b/c": "1"}),)))

    world.widget("one")

    assert "annotations" not in world.get(CONFIG_MAP, "old")["metadata"]
    assert world.client.get(world.at(CONFIG_MAP, "gone")) is None
    assert world.condition("one")[0] == "True"


def test_a_type_that_the_kind_did_not_declare_is_never_touched(world: World) -> None:
    planning(world, replace(NOTHING, patches=(Patch(JOB, "any", "uid", {}),)))

    world.widget("one")

    assert world.condition("one")[1] == "InternalError"


def test_an_answered_tick_is_complete_and_written_once(world: World, writes: list[str]) -> None:
    containers = [{"name": "tick", "image": "flywheel.local/none"}]
    world.put(
        JOB,
        "tick-1",
        metadata={"labels": {names.MANAGED_BY: "flywheel"}},
        spec={
            "managedBy": "flywheel.ml/trigger",
            "template": {"spec": {"restartPolicy": "Never", "containers": containers}},
        },
    )
    planning(world, replace(NOTHING, completed_ticks=(Reference(JOB, world.namespace, "tick-1"),)))

    world.widget("one")
    world.restart()
    world.settle()

    conditions = world.get(JOB, "tick-1")["status"]["conditions"]
    assert ("Complete", "True") in [(each["type"], each["status"]) for each in conditions]
    assert [write for write in writes if "Job" in write] == [f"status Job {world.namespace}/tick-1"]
    assert world.get(WIDGETS, "one")["status"]["conditions"][0]["status"] == "True"
