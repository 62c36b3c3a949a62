"""Removals and finished ticks, on a real API server."""

from dataclasses import replace
from typing import Any

import pytest

from flywheel.core import names
from flywheel.core.api import CONFIG_MAP, JOB, Reference
from flywheel.core.plan import Plan, Removal
from tests.engine.widget import KIND, WIDGETS, WidgetStatus
from tests.engine.world import World

pytestmark = pytest.mark.apiserver
NOTHING = Plan(True, "Done", "nothing is left to do", WidgetStatus())


def planning(world: World, plan: Plan) -> None:
    """From now on every Widget decides so."""
    world.kinds = (replace(KIND, decide=lambda _widget, _seen: plan, removes=(CONFIG_MAP,)),)
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
    planning(world, replace(NOTHING, finish=(Reference(JOB, world.namespace, "tick-1"),)))

    world.widget("one")
    world.restart()
    world.settle()

    conditions = world.get(JOB, "tick-1")["status"]["conditions"]
    assert ("Complete", "True") in [(each["type"], each["status"]) for each in conditions]
    assert [write for write in writes if "Job" in write] == [f"status Job {world.namespace}/tick-1"]
    assert world.get(WIDGETS, "one")["status"]["conditions"][0]["status"] == "True"
