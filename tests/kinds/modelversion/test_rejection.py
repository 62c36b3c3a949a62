"""A version that a rollout found bad carries a mark until somebody clears it."""

from datetime import timedelta
from typing import Any

from flywheel.core.resource.api import INFERENCE_SERVICE, Reference
from flywheel.testing.resources import custom, stamp
from tests.kinds.modelversion.world import World, model, trained

FOUND = "Challenger 'flight-delay-3f9a1c2e' had 4.1 % errors (limit 1 %)."
CLEAR = {"flywheel.ml/clear-rejection": "looked at"}


def verified() -> World:
    world = World(trained(), model())
    world.look()
    world.succeeds()
    world.look()
    world.look()
    return world


def rolls_back(world: World, name: str = "delays") -> None:
    """A service says now that this version failed its rollout."""
    version = world.version.name
    mark = {"version": version, "at": stamp(world.cluster.now), "message": FOUND, "numbers": {"errorRate": "0.041"}}
    rollout: dict[str, Any] = {
        "phase": "RolledBack",
        "mode": "Canary",
        "challenger": version,
        "champion": "flight-delay-1",
        "started": stamp(world.cluster.now),
        "since": stamp(world.cluster.now),
        "rejected": [mark],
    }
    spec = {"model": "flight-delay", "auth": {"none": {}}}
    world.cluster.put(custom(INFERENCE_SERVICE, name, spec, status={"rollout": rollout}))


def marked() -> World:
    world = verified()
    rolls_back(world)
    world.look()
    return world


def test_it_copies_what_the_service_says_and_stays_verified() -> None:
    world = marked()
    mark = world.version.status.rejection

    assert mark is not None
    assert (mark.service, mark.message, mark.numbers) == ("delays", FOUND, {"errorRate": "0.041"})
    assert (world.plan.ready, world.plan.reason) == (True, "Verified")
    assert world.plan.summary.startswith("rolled back, ")
    assert f"The rollout of InferenceService 'delays' found it bad: {FOUND}" in world.plan.message


def test_the_mark_outlives_the_service() -> None:
    world = marked()
    world.cluster.remove(Reference(INFERENCE_SERVICE, "default", "delays"))
    world.look()

    assert world.version.status.rejection is not None


def test_it_outlives_another_verification() -> None:
    world = marked()
    world.change(annotations={"flywheel.ml/verify-requested": "again"})
    world.look()
    world.succeeds(2)
    world.look()
    world.look()

    assert world.version.status.attempts == 2
    assert world.version.status.rejection is not None


def test_the_annotation_clears_it_although_the_service_still_says_so() -> None:
    world = marked()
    world.cluster.advance(timedelta(minutes=1))
    world.change(annotations=CLEAR)
    world.look(), world.look()

    assert world.version.status.rejection is None
    assert world.version.status.rejection_cleared is not None
    assert world.plan.summary == verified().plan.summary


def test_a_later_rollback_marks_it_again_although_the_annotation_is_still_there() -> None:
    world = marked()
    world.cluster.advance(timedelta(minutes=1))
    world.change(annotations=CLEAR)
    world.look()
    world.cluster.advance(timedelta(minutes=1))
    rolls_back(world, "others")
    world.look()

    assert world.version.status.rejection is not None
    assert world.version.status.rejection.service == "others"
