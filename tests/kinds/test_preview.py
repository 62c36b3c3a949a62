"""What `flywheel test` is shown of a kind before its data or its model is there: from every example, pods that any namespace may take."""

from typing import Any

import pytest
import yaml

from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.engine import discover
from tests.documents import documents
from tests.pod_security import violations
from tests.simulation import resource

KINDS = {kind.api.kind: kind for kind in discover.kinds()}
STEPS = {"flight-delay-monthly": 6, "sentiment": 3}


def shown() -> list[Any]:
    """Each example of a kind with a preview."""
    found = []
    for where, text in documents():
        manifest = yaml.safe_load(text)
        kind = KINDS.get(manifest["kind"])
        if where.startswith("crds/examples/") and kind is not None and kind.preview is not None:
            one = resource(kind, manifest["metadata"]["name"], manifest["spec"])
            found.append(pytest.param(kind, one, id=where))
    return found


def made(kind: AnyKind, one: AnyResource) -> list[Child]:
    assert kind.preview is not None
    return list(kind.preview(one, Settings()))


@pytest.mark.parametrize(("kind", "one"), shown())
def test_every_pod_of_a_preview_is_restricted(kind: AnyKind, one: AnyResource) -> None:
    pods = [
        child.manifest["spec"]["template"]["spec"]
        for child in made(kind, one)
        if "template" in child.manifest.get("spec", {})
    ]

    assert pods
    assert [violations(pod) for pod in pods] == [[] for _ in pods]


@pytest.mark.parametrize(("kind", "one"), shown())
def test_a_preview_is_the_same_each_time_and_names_each_child_once(kind: AnyKind, one: AnyResource) -> None:
    names = [(child.api.kind, child.name) for child in made(kind, one)]

    assert names == [(child.api.kind, child.name) for child in made(kind, one)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("kind", "one"), [each for each in shown() if each.values[0].api.kind == "TrainingPipeline"])
def test_each_step_of_a_pipeline_is_there(kind: AnyKind, one: AnyResource) -> None:
    work = [child for child in made(kind, one) if child.api.kind in ("Job", "Experiment", "ModelVersion")]

    assert len(work) == STEPS[one.name]


def test_what_is_suspended_is_shown_all_the_same() -> None:
    spec = {"model": "delay", "auth": {"none": {}}, "suspend": True}

    kinds = {
        child.api.kind for child in made(KINDS["InferenceService"], resource(KINDS["InferenceService"], "delay", spec))
    }

    assert "Deployment" in kinds
