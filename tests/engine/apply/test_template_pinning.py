"""An operator upgrade restarts nothing."""

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT
from tests.engine.harness import EngineHarness

pytestmark = pytest.mark.apiserver


@pytest.fixture
def served(harness: EngineHarness) -> EngineHarness:
    harness.widget("one", serve=True, image="flywheel.local/any:1")
    return harness


@pytest.fixture
def upgraded(served: EngineHarness, monkeypatch: pytest.MonkeyPatch) -> EngineHarness:
    """The next version of the operator renders another pod from the same inputs."""
    monkeypatch.setenv("WIDGET_RENDERING", "2")
    served.restart()
    return served


def rendered_by(harness: EngineHarness) -> str:
    [container] = harness.get(DEPLOYMENT, "one")["spec"]["template"]["spec"]["containers"]
    return str(next(each["value"] for each in container["env"] if each["name"] == "RENDERED_BY"))


def test_an_upgraded_operator_applies_a_pinned_template_as_it_is_live(upgraded: EngineHarness) -> None:
    before = upgraded.get(DEPLOYMENT, "one")

    upgraded.settle()

    after = upgraded.get(DEPLOYMENT, "one")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert rendered_by(upgraded) == "1"


def test_an_upgraded_operator_is_silent_the_second_time(upgraded: EngineHarness, writes: list[str]) -> None:
    upgraded.settle()
    writes.clear()

    upgraded.restart()
    upgraded.settle()

    assert writes == []


def test_what_is_not_the_template_is_still_healed(upgraded: EngineHarness) -> None:
    before = upgraded.get(DEPLOYMENT, "one")
    upgraded.put(DEPLOYMENT, "one", manager="hand", spec={"replicas": 7})

    upgraded.settle()

    after = upgraded.get(DEPLOYMENT, "one")
    assert after["spec"]["replicas"] == 1
    assert after["spec"]["template"] == before["spec"]["template"]


def test_new_inputs_thaw_the_template(upgraded: EngineHarness) -> None:
    upgraded.settle()

    upgraded.widget("one", serve=True, image="flywheel.local/any:2")

    [container] = upgraded.get(DEPLOYMENT, "one")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "flywheel.local/any:2"
    assert rendered_by(upgraded) == "2"


def test_going_back_to_the_old_operator_changes_nothing(
    upgraded: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded.settle()
    before = upgraded.get(DEPLOYMENT, "one")["metadata"]["generation"]
    monkeypatch.setenv("WIDGET_RENDERING", "1")

    upgraded.restart()
    upgraded.settle()

    assert upgraded.get(DEPLOYMENT, "one")["metadata"]["generation"] == before


def test_drift_in_a_template_heals_while_the_rendering_is_the_same(served: EngineHarness) -> None:
    image = "flywheel.local/evil:1"
    containers = [{"name": "main", "image": image}]
    selector = served.get(DEPLOYMENT, "one")["spec"]["selector"]
    template = {"metadata": {"labels": selector["matchLabels"]}, "spec": {"containers": containers}}
    served.put(DEPLOYMENT, "one", manager="hand", spec={"selector": selector, "template": template})

    served.settle()

    [container] = served.get(DEPLOYMENT, "one")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "flywheel.local/any:1"


def test_annotations_remember_inputs_and_rendering(served: EngineHarness) -> None:
    annotations = served.get(DEPLOYMENT, "one")["metadata"]["annotations"]

    assert {names.INPUTS_ANNOTATION, names.RENDERED_ANNOTATION} <= set(annotations)
