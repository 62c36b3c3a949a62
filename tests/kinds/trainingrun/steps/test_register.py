"""How a registered version becomes the outcome of its step."""

from collections.abc import Mapping
from typing import Any

import pytest

from flywheel.core.resource.api import MODEL, MODEL_VERSION, Manifest
from flywheel.kinds.trainingrun.kind import KIND
from flywheel.kinds.trainingrun.steps.attempt import AttemptSeen
from flywheel.kinds.trainingrun.steps.register import read_registration
from tests.simulation import FakeCluster
from tests.simulation.resources import custom


def version(ready: str, *, stalled: bool = False) -> Manifest:
    """ModelVersion `delay-1`."""
    conditions = [{"type": "Ready", "status": ready, "reason": "ParityFailed", "message": "The answers differ."}]
    conditions += [{"type": "Stalled", "status": "True", "reason": "ParityFailed", "message": ""}] if stalled else []
    return custom(MODEL_VERSION, "delay-1", {"model": "delay"}, status={"conditions": conditions})


def registration(made: Manifest, *candidates: Mapping[str, Any]) -> AttemptSeen:
    """What is read of the version where its Model has these candidates."""
    return read_registration(
        made, FakeCluster(custom(MODEL, "delay", {}, status={"candidates": list(candidates)}), kinds=(KIND,))
    )


@pytest.mark.parametrize(
    ("ready", "candidates", "note"),
    [
        ("False", (), "The answers differ."),
        ("True", ({"version": "delay-0", "verdict": "Champion"},), "The answers differ."),
        ("True", ({"version": "delay-1", "verdict": "Measuring", "message": "Gates run."},), "Gates run."),
    ],
)
def test_a_version_without_a_final_verdict_is_waited_for(ready: str, candidates: Any, note: str) -> None:
    found = registration(version(ready), *candidates)

    assert (found.outcome, found.note) == (None, note)


def test_the_final_verdict_is_the_outcome() -> None:
    others = {"version": "delay-0", "verdict": "NotBetter"}

    outcome = registration(
        version("True"), others, {"version": "delay-1", "verdict": "Champion", "message": "Best."}
    ).outcome

    assert outcome is not None
    assert (outcome.result, outcome.reason) == ("Succeeded", "Champion")
    assert outcome.facts == {"version": "delay-1", "verdict": "Champion", "message": "Best."}


def test_a_version_that_can_never_be_verified_fails_the_step() -> None:
    outcome = registration(version("False", stalled=True)).outcome

    assert outcome is not None
    assert (outcome.result, outcome.reason) == ("Failed", "ParityFailed")
    assert outcome.message == "ModelVersion 'delay-1': The answers differ."


def test_a_verified_version_competes_although_a_later_verification_stalled() -> None:
    assert registration(version("True", stalled=True)).outcome is None
