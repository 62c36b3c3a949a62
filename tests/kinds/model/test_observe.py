"""What a Model sees of its versions."""

from typing import Any

from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL_VERSION, Manifest, Reference
from flywheel.kinds.batchinference.kind import KIND as BATCH
from flywheel.kinds.inferenceservice.kind import KIND as SERVICE
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.kind import KIND
from flywheel.kinds.model.observe import Seen, observe
from flywheel.kinds.modelversion.kind import KIND as VERSION
from tests.kinds.model.situations import DIGEST, STATUS, version_manifest
from tests.simulation import NOON, FakeCluster, resource
from tests.simulation.resources import custom


def service(name: str, spec: dict[str, Any], status: dict[str, Any] | None = None) -> Manifest:
    return custom(INFERENCE_SERVICE, name, {"auth": {"none": {}}, **spec}, status=status or {})


def seen(*manifests: Manifest, **spec: Any) -> Seen:
    model: Model = resource(KIND, "delay", spec)
    return observe(model, FakeCluster(*manifests, kinds=(KIND, VERSION, SERVICE, BATCH), now=NOON))


def test_it_sees_its_own_versions_and_what_was_found_of_them() -> None:
    [found] = seen(
        version_manifest("delay-1", status=STATUS), version_manifest("fraud-1", "fraud", status=STATUS)
    ).versions

    assert (found.name, found.ready, found.reason, found.digest) == ("delay-1", True, "Verified", DIGEST)
    assert (found.metrics, found.test_digest) == ({"roc_auc": "0.7"}, DIGEST)
    assert not found.used
    assert not found.registered


def test_a_version_without_a_verdict_is_not_ready() -> None:
    [found] = seen(version_manifest("delay-1")).versions

    assert (found.ready, found.reason) == (False, "Pending")


def test_versions_that_experiments_made_are_registered() -> None:
    [found] = seen(version_manifest("delay-1", lineage={"experiment": "search"})).versions

    assert found.registered


def test_a_version_is_used_if_it_is_named_or_still_served() -> None:
    named, held = version_manifest("delay-1"), version_manifest("delay-2")
    services = (
        service("one", {"version": "delay-1"}),
        service("two", {"model": "delay"}, {"version": "delay-2"}),
        service("three", {"model": "elsewhere"}, {"version": "delay-3"}),
    )

    found = seen(named, held, version_manifest("delay-3"), version_manifest("delay-4"), *services).versions

    assert [each.name for each in found if each.used] == ["delay-1", "delay-2", "delay-3"]


def test_a_pinned_version_of_another_model_is_recognised() -> None:
    assert seen(version_manifest("fraud-1", "fraud"), champion="fraud-1").pinned_belongs_to == "fraud"
    assert seen(version_manifest("delay-1"), champion="delay-1").pinned_belongs_to is None
    assert seen(champion="nowhere").pinned_belongs_to is None


def test_a_pin_leads_to_the_version_manifest() -> None:
    assert list(KIND.references(resource(KIND, "delay", {"champion": "delay-1"}))) == [
        Reference(MODEL_VERSION, "default", "delay-1")
    ]
    assert list(KIND.references(resource(KIND, "delay", {}))) == []
