"""Removals and finished ticks, on a real API server."""

from dataclasses import replace
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, JOB
from flywheel.core.resource.plan import Patch, Plan, Removal
from tests.engine.harness import EngineHarness
from tests.engine.widget import KIND, WIDGETS, WidgetStatus

pytestmark = pytest.mark.apiserver
NOTHING = Plan(ready=True, reason="Done", message="nothing is left to do", status=WidgetStatus())


def planning(harness: EngineHarness, plan: Plan) -> None:
    """From now on every Widget decides so."""
    patches = (CONFIG_MAP,)
    harness.kinds = (replace(KIND, decide=lambda _widget, _seen: plan, removes=(CONFIG_MAP,), patches=patches),)
    harness.restart()


def unowned(harness: EngineHarness) -> dict[str, Any]:
    labels = {names.MANAGED_BY: "flywheel"}
    return harness.put(CONFIG_MAP, "old", metadata={"labels": labels}, data={})


def test_an_unowned_object_is_removed(harness: EngineHarness) -> None:
    uid = unowned(harness)["metadata"]["uid"]
    planning(harness, replace(NOTHING, removals=(Removal(CONFIG_MAP, "old", uid),)))

    harness.widget("one")

    assert harness.client.get(harness.at(CONFIG_MAP, "old")) is None
    assert harness.condition("one")[0] == "True"


def test_its_successor_is_spared(harness: EngineHarness) -> None:
    unowned(harness)
    planning(harness, replace(NOTHING, removals=(Removal(CONFIG_MAP, "old", "uid-of-yesterday"),)))

    harness.widget("one")

    assert harness.get(CONFIG_MAP, "old")


def test_a_type_that_the_kind_did_not_declare_is_never_removed(harness: EngineHarness) -> None:
    planning(harness, replace(NOTHING, removals=(Removal(JOB, "any", "uid"),)))

    harness.widget("one")

    assert harness.condition("one")[1] == "InternalError"


def test_what_is_touched_gets_the_annotation_and_keeps_all_else(harness: EngineHarness) -> None:
    before = unowned(harness)
    touch = Patch(CONFIG_MAP, "old", before["metadata"]["uid"], {"flywheel.ml/route": "1"})
    planning(harness, replace(NOTHING, patches=(touch,)))

    harness.widget("one")
    after = harness.get(CONFIG_MAP, "old")

    assert after["metadata"]["annotations"] == {"flywheel.ml/route": "1"}
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert harness.condition("one")[0] == "True"


def test_what_is_owned_goes_with_the_resource_until_it_is_not(harness: EngineHarness) -> None:
    before = unowned(harness)
    uid = before["metadata"]["uid"]
    planning(harness, replace(NOTHING, patches=(Patch(CONFIG_MAP, "old", uid, owned=True),)))
    harness.widget("one")
    [owner] = harness.get(CONFIG_MAP, "old")["metadata"]["ownerReferences"]

    planning(harness, replace(NOTHING, patches=(Patch(CONFIG_MAP, "old", uid),)))
    harness.widget("one", text="again")

    assert (owner["name"], owner["controller"]) == ("one", False)
    assert not harness.get(CONFIG_MAP, "old")["metadata"].get("ownerReferences")


@pytest.mark.parametrize("name", ["old", "gone"])
def test_what_went_or_has_a_successor_is_not_touched_and_holds_nothing_up(harness: EngineHarness, name: str) -> None:
    unowned(harness)
    planning(harness, replace(NOTHING, patches=(Patch(CONFIG_MAP, name, "uid-of-yesterday", {"a.b/c": "1"}),)))

    harness.widget("one")

    assert "annotations" not in harness.get(CONFIG_MAP, "old")["metadata"]
    assert harness.client.get(harness.at(CONFIG_MAP, "gone")) is None
    assert harness.condition("one")[0] == "True"


def test_a_type_that_the_kind_did_not_declare_is_never_touched(harness: EngineHarness) -> None:
    planning(harness, replace(NOTHING, patches=(Patch(JOB, "any", "uid", {}),)))

    harness.widget("one")

    assert harness.condition("one")[1] == "InternalError"


def test_a_completed_tick_is_complete_and_written_once(harness: EngineHarness, writes: list[str]) -> None:
    containers = [{"name": "tick", "image": "flywheel.local/none"}]
    harness.put(
        JOB,
        "tick-1",
        metadata={"labels": {names.MANAGED_BY: "flywheel"}},
        spec={
            "managedBy": "flywheel.ml/trigger",
            "template": {"spec": {"restartPolicy": "Never", "containers": containers}},
        },
    )
    planning(harness, replace(NOTHING, completed_ticks=("tick-1",)))

    harness.widget("one")
    harness.restart()
    harness.settle()

    conditions = harness.get(JOB, "tick-1")["status"]["conditions"]
    assert ("Complete", "True") in [(each["type"], each["status"]) for each in conditions]
    assert [write for write in writes if "Job" in write] == [f"status Job {harness.namespace}/tick-1"]
    assert harness.get(WIDGETS, "one")["status"]["conditions"][0]["status"] == "True"
