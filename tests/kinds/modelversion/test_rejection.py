"""A version that a rollout found bad is rejected until the rejection is cleared."""

from datetime import timedelta
from typing import Any

from flywheel.core.resource.api import INFERENCE_SERVICE, Reference
from tests.kinds.modelversion.situations import Version, model, trained
from tests.simulation.resources import custom, stamp

FOUND = "Challenger 'flight-delay-3f9a1c2e' had 4.1 % errors (limit 1 %)."
CLEAR = {"flywheel.ml/clear-rejection": "inspected"}


def verified() -> Version:
    version = Version(trained(), model())
    version.reconcile()
    version.succeed()
    version.reconcile()
    version.reconcile()
    return version


def rolls_back(version: Version, service: str = "delays") -> None:
    """A service says now that this version failed its rollout."""
    name = version.resource.name
    now = stamp(version.cluster.now)
    mark = {"version": name, "at": now, "message": FOUND, "numbers": {"errorRate": "0.041"}}
    rollout: dict[str, Any] = {
        "phase": "RolledBack",
        "mode": "Canary",
        "challenger": name,
        "champion": "flight-delay-1",
        "started": now,
        "since": now,
        "rejected": [mark],
    }
    spec = {"model": "flight-delay", "auth": {"none": {}}}
    version.put(custom(INFERENCE_SERVICE, service, spec, status={"rollout": rollout}))


def rejected() -> Version:
    version = verified()
    rolls_back(version)
    version.reconcile()
    return version


def test_the_rejection_is_copied_and_the_version_stays_verified() -> None:
    version = rejected()
    mark = version.status.rejection

    assert mark is not None
    assert (mark.service, mark.message, mark.numbers) == ("delays", FOUND, {"errorRate": "0.041"})
    assert (version.plan.ready, version.plan.reason) == (True, "Verified")
    assert version.plan.summary.startswith("rolled back, ")
    assert f"The rollout of InferenceService 'delays' found it bad: {FOUND}" in version.plan.message


def test_the_rejection_outlives_the_service() -> None:
    version = rejected()
    version.cluster.remove(Reference(INFERENCE_SERVICE, "default", "delays"))
    version.reconcile()

    assert version.status.rejection is not None


def test_it_outlives_another_verification() -> None:
    version = rejected()
    version.annotate({"flywheel.ml/verify-requested": "again"})
    version.reconcile()
    version.succeed(2)
    version.reconcile()
    version.reconcile()

    assert version.status.attempts == 2
    assert version.status.rejection is not None


def test_the_annotation_clears_it_although_the_service_still_has_it() -> None:
    version = rejected()
    version.advance(timedelta(minutes=1))
    version.annotate(CLEAR)
    version.reconcile(), version.reconcile()

    assert version.status.rejection is None
    assert version.status.rejection_cleared is not None
    assert version.plan.summary == verified().plan.summary


def test_a_rejection_of_the_second_of_the_clearing_is_cleared() -> None:
    """Whoever clears it has seen what the service says then; only a later rollback counts."""
    version = rejected()
    version.annotate(CLEAR)
    version.reconcile()

    assert version.status.rejection is None


def test_a_later_rollback_rejects_it_again_although_the_annotation_is_still_there() -> None:
    version = rejected()
    version.advance(timedelta(minutes=1))
    version.annotate(CLEAR)
    version.reconcile()
    version.advance(timedelta(minutes=1))
    rolls_back(version, "others")
    version.reconcile()

    assert version.status.rejection is not None
    assert version.status.rejection.service == "others"
