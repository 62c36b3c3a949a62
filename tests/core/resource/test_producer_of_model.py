"""A Model that does not exist yet, and who is about to create it."""

from typing import Any

import pytest

from flywheel.core.resource.api import EXPERIMENT, MODEL, TRAINING_PIPELINE, Manifest
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference, resolve_version
from flywheel.kinds.experiment.kind import KIND as EXPERIMENT_KIND
from flywheel.kinds.trainingpipeline.kind import KIND as PIPELINE_KIND
from tests.simulation import FakeCluster
from tests.simulation.resources import custom

DIGEST = "sha256:" + "a" * 64
SEARCHING: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "False", "reason": "Searching", "message": ""}]}
TRAIN: dict[str, Any] = {"dataset": "flights", "trainer": {"sklearn": {}}}
STEPS: list[dict[str, Any]] = [
    {"name": "search", "train": {"from": "flights", "trainer": {"sklearn": {}}}},
    {"name": "register", "register": {"from": "search", "model": "delay"}},
]
INPUTS: list[dict[str, Any]] = [{"name": "flights", "dataset": "flights"}]


@pytest.mark.parametrize(
    ("producer", "says"),
    [
        pytest.param(
            custom(EXPERIMENT, "search", {**TRAIN, "register": "delay"}, status=SEARCHING),
            " yet; Experiment 'search' creates it with its first version (Searching).",
            id="a search",
        ),
        pytest.param(
            custom(TRAINING_PIPELINE, "monthly", {"inputs": INPUTS, "steps": STEPS}),
            " yet; a run of TrainingPipeline 'monthly' creates it with its first version.",
            id="a pipeline",
        ),
        pytest.param(
            custom(EXPERIMENT, "search", {**TRAIN, "register": "other"}),
            "; create it or correct spec.model.",
            id="a search for another",
        ),
    ],
)
def test_who_creates_the_model_is_named(producer: Manifest, says: str) -> None:
    cluster = FakeCluster(producer, kinds=(EXPERIMENT_KIND, PIPELINE_KIND))

    found = resolve_version("default", "delay", None, cluster)

    assert isinstance(found, UnresolvedReference)
    assert found.message == f"Model 'delay' does not exist in namespace 'default'{says}"


@pytest.mark.parametrize(
    ("status", "resolved"),
    [
        pytest.param({"champion": "delay-1", "championDigest": DIGEST}, ResolvedVersion("delay-1", DIGEST), id="both"),
        pytest.param({"champion": "delay-1"}, None, id="before its digest is known"),
        pytest.param({}, None, id="no champion"),
    ],
)
def test_a_champion_is_served_once_its_digest_is_known(
    status: dict[str, str], resolved: ResolvedVersion | None
) -> None:
    found = resolve_version("default", "delay", None, FakeCluster(custom(MODEL, "delay", {}, status=status)))

    if resolved is None:
        assert isinstance(found, UnresolvedReference)
        assert found.reason == "NoChampion"
    else:
        assert found == resolved
