"""The life of a ModelVersion, look by look."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, Reference
from flywheel.kinds.modelversion.observe import REQUEST_ANNOTATION
from flywheel.testing import evicted, oom_killed, terminated, waiting
from flywheel.testing import pod as pod_of
from tests.kinds.modelversion.world import FACTS, METRICS, PACKED, TRAINED, World, brought, model, trained


def verified(version: Any = None, packed: bool = False) -> World:
    """A version whose first attempt went well, all looks done."""
    world = World(version or trained(), model())
    world.look()
    world.succeeds(packed=packed)
    world.look()
    world.look()
    return world


def test_a_new_version_is_being_verified() -> None:
    world = World(trained(), model())

    plan = world.look()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, "Verifying")
    assert world.jobs == [names.job(world.version, "verify", 1)]


def test_what_verify_found_is_in_the_status() -> None:
    world = verified()
    status = world.version.status

    assert (world.plan.ready, world.plan.reason) == (True, "Verified")
    assert status.digest == TRAINED
    assert status.metrics == {"roc_auc": "0.7421934871", "p50_ms": "0.31", "p95_ms": "0.42", "size_bytes": "47123"}
    assert status.test_digest == "sha256:" + "d" * 64
    assert status.signature is not None
    assert status.signature.inputs[0].shape == (-1, 1)
    assert status.golden is not None
    assert (status.golden.rows, status.golden.max_difference) == (50, "9e-08")


def test_a_brought_model_is_served_as_verify_packed_it_and_keeps_its_declared_metrics() -> None:
    world = verified(brought(), packed=True)

    assert world.version.status.digest == PACKED
    # Measured wins over declared.
    assert world.version.status.metrics["roc_auc"] == "0.7421934871"


def test_declared_metrics_stay_as_they_were_written() -> None:
    world = World(brought(), model("fraud"))
    world.look()
    world.succeeds(packed=True, metrics={"p50_ms": 0.1, "p95_ms": 0.2, "size_bytes": 100})
    world.look()

    assert world.version.status.metrics["roc_auc"] == "0.91"


@pytest.mark.parametrize(
    ("lineage", "tested_on"),
    [
        pytest.param({"datasetDigest": "sha256:" + "e" * 64}, "sha256:" + "e" * 64, id="the data it was made from"),
        pytest.param({"experiment": "search"}, None, id="nobody knows"),
    ],
)
def test_an_artifact_that_does_not_say_on_what_it_was_tested(lineage: dict[str, str], tested_on: str | None) -> None:
    world = World(trained(spec={"lineage": lineage, "metrics": {"roc_auc": "0.7"}}), model())
    world.look()
    world.succeeds(metrics={"p95_ms": 0.1}, facts={})
    world.look()

    assert world.version.status.test_digest == tested_on
    assert world.version.status.metrics == {"roc_auc": "0.7", "p95_ms": "0.1"}


def test_the_job_goes_only_after_its_outcome_is_written() -> None:
    world = World(trained(), model())
    world.look()
    world.succeeds()

    world.look()
    assert len(world.jobs) == 1
    world.look()
    assert world.jobs == []


def test_a_verified_version_is_never_verified_again_by_itself() -> None:
    world = verified()
    world.change(generation=2)

    plan = world.look()

    assert (plan.ready, plan.children) == (True, ())


@pytest.mark.parametrize(
    ("champion", "summary"),
    [
        pytest.param("flight-delay-3f9a1c2e", "champion, roc_auc 0.742, 47.1 kB, p95 0.4 ms", id="of the champion"),
        pytest.param("another", "roc_auc 0.742, 47.1 kB, p95 0.4 ms", id="of any other"),
    ],
)
def test_the_summary(champion: str, summary: str) -> None:
    world = verified()
    world.cluster.put(model(champion=champion))

    assert world.look().summary == summary


def test_a_job_that_vanished_before_it_ended_is_made_again() -> None:
    world = World(trained(), model())
    world.look()
    world.cluster.remove(Reference(JOB, "default", world.jobs[0]))

    world.look()

    assert world.jobs == [names.job(world.version, "verify", 1)]


def test_what_stands_in_the_way_is_told() -> None:
    world = World(trained(), model())
    world.look()
    refused = waiting("ImagePullBackOff", "not found")
    world.cluster.put(pod_of(world.version, "p", job=world.jobs[0], main=refused, phase="Pending"))

    plan = world.look()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, "ImagePullFailed")


def test_a_model_that_verify_refuses_is_stalled_in_its_words() -> None:
    world = World(brought(), model("fraud"))
    world.look()
    words = {"reason": "NotONNX", "message": "fraud.onnx is not an ONNX model; export it with skl2onnx or torch.onnx"}
    world.ends(1, main=terminated(2, words))

    plan = world.look()

    assert (plan.ready, plan.stalled, plan.reason) == (False, True, "NotONNX")
    assert "fraud.onnx is not an ONNX model" in plan.message
    assert f"set annotation {REQUEST_ANNOTATION}" in plan.message
    assert len(world.jobs) == 1, "its logs can still be read"


def test_both_digests_are_named_where_the_bytes_are_not_those() -> None:
    world = World(brought(), model("fraud"))
    world.look()
    found, wanted = "1" * 64, "2" * 64
    message = f"s3://acme/fraud.onnx has sha256 {found} and should have {wanted}; one of them is wrong"
    world.fetch_fails(1, "DigestMismatch", message, retry=False)

    plan = world.look()

    assert (plan.reason, plan.stalled) == ("DigestMismatch", True)
    assert found in plan.message
    assert wanted in plan.message


def test_out_of_memory_names_the_limit_and_heals_by_a_change_of_the_spec() -> None:
    world = World(trained(), model())
    world.look()
    world.ends(1, main=oom_killed(), limits={"memory": "512Mi"})
    plan = world.look()
    assert (plan.reason, plan.stalled) == ("OOMKilled", True)
    assert "512Mi" in plan.message

    world.change(generation=2)
    plan = world.look()

    assert (plan.reason, plan.stalled) == ("Verifying", False)
    assert world.jobs == [names.job(world.version, "verify", 2)]


def test_lost_pods_are_tried_again_with_growing_pauses() -> None:
    world = World(trained(), model())
    pauses = []
    for attempt in (1, 2, 3):
        world.look()
        name = names.job(world.version, "verify", attempt)
        world.ends(attempt)
        world.cluster.put(evicted(world.version, f"{name}-x", job=name))
        plan = world.look()
        assert (plan.ready, plan.stalled, plan.reason) == (False, False, "Evicted")
        assert plan.requeue_after is not None
        pauses.append(plan.requeue_after.total_seconds())
        assert world.look().children == plan.children, "nothing starts before the pause is over"
        world.cluster.advance(plan.requeue_after)

    world.look()
    world.succeeds(4)
    plan = world.look()

    assert pauses == [10, 20, 40]
    assert plan.ready
    assert world.version.status.failure is None


@pytest.mark.parametrize(
    "reason", ["SourceMissing", "ArtifactMissing", "BucketMissing", "CredentialsRefused", "HostNotAllowed"]
)
def test_what_may_still_arrive_is_waited_for(reason: str) -> None:
    world = World(brought(), model("fraud"))
    world.look()
    world.fetch_fails(1, reason, "it is not there; put it there", retry=False)

    plan = world.look()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, reason)
    assert "Trying again at 12:00:10 UTC (attempt 2)" in plan.message


def test_who_asks_gets_a_second_verification_and_the_version_stays_ready_meanwhile() -> None:
    world = verified()
    world.change(annotations={REQUEST_ANNOTATION: "today"})

    plan = world.look()
    assert (plan.ready, plan.progressing, plan.reason) == (True, True, "Verifying")
    assert world.jobs == [names.job(world.version, "verify", 2)], "a new attempt, since the old one's result is kept"

    world.succeeds(2)
    world.look()
    plan = world.look()
    assert (plan.ready, plan.children) == (True, ())


def test_a_second_verification_that_fails_keeps_the_digest_that_is_served() -> None:
    world = verified()
    world.change(annotations={REQUEST_ANNOTATION: "today"})
    world.look()
    world.fetch_fails(2, "DigestMismatch", "blob has sha256 1 and should have 2; restore it", retry=False)

    plan = world.look()

    assert (plan.ready, plan.stalled, plan.reason) == (False, True, "DigestMismatch")
    assert world.version.status.digest == TRAINED
    assert "is served on" in plan.message

    world.change(annotations={REQUEST_ANNOTATION: "mended"})
    plan = world.look()
    assert (plan.ready, plan.stalled) == (False, False), "it was found bad, so it is not ready until it was found good"
    world.succeeds(3)
    assert world.look().ready


def test_a_second_verification_that_is_disturbed_changes_nothing() -> None:
    world = verified()
    world.change(annotations={REQUEST_ANNOTATION: "today"})
    world.look()
    world.fetch_fails(2, "StoreUnreachable", "the store does not answer", retry=True)

    plan = world.look()

    assert (plan.ready, plan.progressing, plan.reason) == (True, True, "StoreUnreachable")
    world.cluster.advance(timedelta(seconds=11))
    world.look()
    assert world.jobs == [names.job(world.version, "verify", 3)]


def test_the_same_look_twice_gives_the_same_plan() -> None:
    world = verified()

    assert world.look() == world.look()


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        pytest.param(3, "Quantisation made 3 weights int8: 8400 bytes became 3600, and no number of 50 rows' answers moved by more than 0.02", id="a network"),
        pytest.param(0, "Quantisation changed nothing", id="a tree"),
    ],
)  # fmt: skip
def test_what_quantisation_did_is_told_and_can_be_judged(weights: int, words: str) -> None:
    world = World(trained(spec={"quantize": "Dynamic"}), model())
    world.look()
    fact = {"weights": weights, "rows": 50, "gap": 0.0201, "sizeBefore": 8400, "size": 3600}
    world.succeeds(packed=True, facts={**FACTS, "quantization": fact}, metrics={**METRICS, "quantization_gap": 0.0201})
    world.look()

    assert words in world.plan.message
    assert world.version.status.digest == PACKED
    assert world.version.status.metrics["quantization_gap"] == "0.0201"
    assert world.plan.summary.startswith("roc_auc 0.742")
