"""The life of a ModelVersion, look by look."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, Reference
from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.children import VERIFY_ANNOTATION, ModelVersion
from tests.kinds.modelversion.situations import FACTS, METRICS, PACKED, TRAINED, Version, brought, model, trained
from tests.simulation import evicted_pod, oom_killed_state, terminated_state, waiting_state
from tests.simulation import pod as pod_of


def verified(start: ModelVersion | None = None, packed: bool = False) -> Version:
    """A version whose first attempt went well, reconciled until nothing is left to do."""
    version = Version(start or trained(), model())
    version.reconcile()
    version.succeed(packed=packed)
    version.reconcile()
    version.reconcile()
    return version


def test_a_new_version_is_being_verified() -> None:
    version = Version(trained(), model())

    plan = version.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, "Verifying")
    assert version.job_names() == [names.job(version.resource, "verify", 1)]


def test_what_verify_found_is_in_the_status() -> None:
    version = verified()
    status = version.status

    assert (version.plan.ready, version.plan.reason) == (True, "Verified")
    assert status.digest == TRAINED
    assert status.metrics == {"roc_auc": "0.7421934871", "p50_ms": "0.31", "p95_ms": "0.42", "size_bytes": "47123"}
    assert status.test_digest == "sha256:" + "d" * 64
    assert status.signature is not None
    assert status.signature.inputs[0].shape == (-1, 1)
    assert status.golden is not None
    assert (status.golden.rows, status.golden.max_difference) == (50, "9e-08")


def test_a_model_whose_rows_may_mix_is_verified_and_the_message_says_what_follows() -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.succeed(facts={**FACTS, "rowMixing": "operator Loop has a graph of its own"})
    version.reconcile()

    assert (version.plan.ready, version.status.row_mixing) == (True, "operator Loop has a graph of its own")
    assert "Requests do not share calls of the model: operator Loop has a graph of its own." in version.plan.message


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        pytest.param({"p50_ms": 0.3}, "in the serving image and predicted", id="it predicted"),
        pytest.param({}, "in the serving image. Note: ", id="no row is known that it takes"),
    ],
)
def test_the_message_says_what_verification_did_not_refuse(metrics: dict[str, float], sentence: str) -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.succeed(metrics=dict(metrics), facts={"note": "output 'm' has the shape [] for 1 row"})
    version.reconcile()

    assert (version.plan.ready, version.status.note) == (True, "output 'm' has the shape [] for 1 row")
    assert sentence in version.plan.message
    assert "Note: output 'm' has the shape [] for 1 row." in version.plan.message


@pytest.mark.parametrize("facts", [{}, {"isolated": ""}, {"isolated": "Loop"}], ids=["unknown", "none", "Loop"])
def test_the_status_says_whether_verification_looked_for_an_unsafe_operator(facts: dict[str, str]) -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.succeed(facts={**FACTS, **facts})
    version.reconcile()

    assert version.status.isolated == facts.get("isolated")


def test_a_brought_model_is_served_as_verify_packed_it_and_keeps_its_declared_metrics() -> None:
    version = verified(brought(), packed=True)

    assert version.status.digest == PACKED
    # Measured wins over declared.
    assert version.status.metrics["roc_auc"] == "0.7421934871"


def test_declared_metrics_stay_as_they_were_written() -> None:
    version = Version(brought(), model("fraud"))
    version.reconcile()
    version.succeed(packed=True, metrics={"p50_ms": 0.1, "p95_ms": 0.2, "size_bytes": 100})
    version.reconcile()

    assert version.status.metrics["roc_auc"] == "0.91"


@pytest.mark.parametrize(
    ("lineage", "tested_on"),
    [
        pytest.param({"datasetDigest": "sha256:" + "e" * 64}, "sha256:" + "e" * 64, id="the data it was made from"),
        pytest.param({"experiment": "search"}, None, id="unknown"),
    ],
)
def test_an_artifact_that_does_not_say_on_what_it_was_tested(lineage: dict[str, str], tested_on: str | None) -> None:
    version = Version(trained(spec={"lineage": lineage, "metrics": {"roc_auc": "0.7"}}), model())
    version.reconcile()
    version.succeed(metrics={"p95_ms": 0.1}, facts={})
    version.reconcile()

    assert version.status.test_digest == tested_on
    assert version.status.metrics == {"roc_auc": "0.7", "p95_ms": "0.1"}


def test_the_job_goes_only_after_its_outcome_is_written() -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.succeed()

    version.reconcile()
    assert len(version.job_names()) == 1
    version.reconcile()
    assert version.job_names() == []


def test_a_verified_version_is_never_verified_again_by_itself() -> None:
    version = verified()
    version.patch_spec(resources={"limits": {"memory": "1Gi"}})

    plan = version.reconcile()

    assert (plan.ready, plan.children) == (True, ())


@pytest.mark.parametrize(
    ("champion", "summary"),
    [
        pytest.param("flight-delay-3f9a1c2e", "champion, roc_auc 0.742, 47.1 kB, p95 0.4 ms", id="of the champion"),
        pytest.param("another", "roc_auc 0.742, 47.1 kB, p95 0.4 ms", id="of any other"),
    ],
)
def test_the_summary(champion: str, summary: str) -> None:
    version = verified()
    version.put(model(champion=champion))

    assert version.reconcile().summary == summary


def test_a_job_that_vanished_before_it_ended_is_made_again() -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.cluster.remove(Reference(JOB, "default", version.job_names()[0]))

    version.reconcile()

    assert version.job_names() == [names.job(version.resource, "verify", 1)]


def test_a_diagnosis_is_the_reason_while_the_job_waits() -> None:
    version = Version(trained(), model())
    version.reconcile()
    refused = waiting_state("ImagePullBackOff", "not found")
    version.put(pod_of(version.resource, "p", job=version.job_names()[0], main=refused, phase="Pending"))

    plan = version.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, "ImagePullFailed")


def test_a_model_that_verify_refuses_is_stalled_in_its_words() -> None:
    version = Version(brought(), model("fraud"))
    version.reconcile()
    text = {"reason": "NotONNX", "message": "fraud.onnx is not an ONNX model; export it with skl2onnx or torch.onnx"}
    version.end(1, main=terminated_state(2, text))

    plan = version.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, True, "NotONNX")
    assert "fraud.onnx is not an ONNX model" in plan.message
    assert f"set annotation {VERIFY_ANNOTATION}" in plan.message
    assert len(version.job_names()) == 1, "its logs can still be read"


def test_both_digests_are_named_where_the_bytes_are_not_those() -> None:
    version = Version(brought(), model("fraud"))
    version.reconcile()
    found, wanted = "1" * 64, "2" * 64
    message = f"s3://acme/fraud.onnx has sha256 {found} and should have {wanted}; one of them is wrong"
    version.fail_fetch(1, "DigestMismatch", message, retry=False)

    plan = version.reconcile()

    assert (plan.reason, plan.stalled) == ("DigestMismatch", True)
    assert found in plan.message
    assert wanted in plan.message


def test_out_of_memory_names_the_limit_and_heals_by_a_change_of_the_spec() -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.end(1, main=oom_killed_state(), limits={"memory": "512Mi"})
    plan = version.reconcile()
    assert (plan.reason, plan.stalled) == ("OOMKilled", True)
    assert "512Mi" in plan.message

    version.patch_spec(resources={"limits": {"memory": "1Gi"}})
    plan = version.reconcile()

    assert (plan.reason, plan.stalled) == ("Verifying", False)
    assert version.job_names() == [names.job(version.resource, "verify", 2)]


def test_lost_pods_are_tried_again_with_growing_pauses() -> None:
    version = Version(trained(), model())
    pauses = []
    for attempt in (1, 2, 3):
        version.reconcile()
        name = names.job(version.resource, "verify", attempt)
        version.end(attempt)
        version.put(evicted_pod(version.resource, f"{name}-pod", job=name))
        plan = version.reconcile()
        assert (plan.ready, plan.stalled, plan.reason) == (False, False, "Evicted")
        assert plan.requeue_after is not None
        pauses.append(plan.requeue_after.total_seconds())
        assert version.reconcile().children == plan.children, "nothing starts before the pause is over"
        version.advance(plan.requeue_after)

    version.reconcile()
    version.succeed(4)
    plan = version.reconcile()

    assert pauses == [10, 20, 40]
    assert plan.ready
    assert version.status.failure is None


@pytest.mark.parametrize(
    "reason", ["SourceMissing", "ArtifactMissing", "BucketMissing", "CredentialsRefused", "HostNotAllowed"]
)
def test_what_may_still_arrive_is_waited_for(reason: str) -> None:
    version = Version(brought(), model("fraud"))
    version.reconcile()
    version.fail_fetch(1, reason, "it is not there; put it there", retry=False)

    plan = version.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, reason)
    assert "Trying again at 12:00:10 UTC (attempt 2)" in plan.message


def test_who_asks_gets_a_second_verification_and_the_version_stays_ready_meanwhile() -> None:
    version = verified()
    version.annotate({VERIFY_ANNOTATION: "today"})

    plan = version.reconcile()
    assert (plan.ready, plan.progressing, plan.reason) == (True, True, "Verifying")
    assert version.job_names() == [names.job(version.resource, "verify", 2)], (
        "a new attempt, since the old one's result is kept"
    )

    version.succeed(2)
    version.reconcile()
    plan = version.reconcile()
    assert (plan.ready, plan.children) == (True, ())


def test_a_version_whose_golden_rows_are_gone_is_told_by_its_file_and_served_on() -> None:
    version = verified()
    version.annotate({VERIFY_ANNOTATION: "today"})
    version.reconcile()
    finding = f"golden.json of input 'model' ({TRAINED}) is not in the store; run what made it again"
    version.fail_fetch(2, "ArtifactMissing", finding, retry=False)

    plan = version.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (True, False, "ArtifactMissing")
    assert finding in plan.message
    assert version.status.digest == TRAINED


def test_a_second_verification_that_fails_keeps_the_digest_that_is_served() -> None:
    version = verified()
    version.annotate({VERIFY_ANNOTATION: "today"})
    version.reconcile()
    version.fail_fetch(2, "DigestMismatch", "blob has sha256 1 and should have 2; restore it", retry=False)

    plan = version.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, True, "DigestMismatch")
    assert version.status.digest == TRAINED
    assert "is served on" in plan.message

    version.annotate({VERIFY_ANNOTATION: "corrected"})
    plan = version.reconcile()
    assert (plan.ready, plan.stalled) == (False, False), "it was found bad, so it is not ready until it was found good"
    version.succeed(3)
    assert version.reconcile().ready


def test_a_second_verification_that_is_disturbed_changes_nothing() -> None:
    version = verified()
    version.annotate({VERIFY_ANNOTATION: "today"})
    version.reconcile()
    version.fail_fetch(2, "StoreUnreachable", "the store does not answer", retry=True)

    plan = version.reconcile()

    assert (plan.ready, plan.progressing, plan.reason) == (True, True, "StoreUnreachable")
    version.advance(timedelta(seconds=11))
    version.reconcile()
    assert version.job_names() == [names.job(version.resource, "verify", 3)]


def test_the_same_look_twice_gives_the_same_plan() -> None:
    version = verified()

    assert version.reconcile() == version.reconcile()


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        pytest.param(3, "Quantization made 3 weights int8: 8400 bytes became 3600, and no number of 50 rows' predictions moved by more than 0.02", id="a network"),
        pytest.param(0, "Quantization changed nothing", id="a tree"),
    ],
)  # fmt: skip
def test_the_message_has_the_effect_of_quantization(weights: int, text: str) -> None:
    version = Version(trained(spec={"quantize": "Dynamic"}), model())
    version.reconcile()
    fact = {"weights": weights, "rows": 50, "gap": 0.0201, "sizeBefore": 8400, "size": 3600}
    version.succeed(packed=True, facts={**FACTS, "quantization": fact}, metrics={**METRICS, "quantization_gap": 0.0201})
    version.reconcile()

    assert text in version.plan.message
    assert version.status.digest == PACKED
    assert version.status.metrics["quantization_gap"] == "0.0201"
    assert version.plan.summary.startswith("roc_auc 0.742")


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        pytest.param({"metric": "roc_auc", "features": [["month", 0.02], ["day", -1e-05]]}, {"month": "0.02", "day": "-1e-05"}, id="measured"),
        pytest.param(None, None, id="a version of an earlier release"),
        pytest.param({"metric": "roc_auc", "features": [["month"]]}, None, id="unreadable"),
    ],
)  # fmt: skip
def test_the_status_has_the_importance_of_columns(fact: Any, expected: Any) -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.succeed(facts={**FACTS, **({"importance": fact} if fact else {})})
    version.reconcile()

    found = version.status.feature_importance
    assert (found and {each.name: each.importance for each in found.features}) == expected


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        pytest.param({"features": ["speed"], "largestDifference": 1.5}, (("speed",), "1.5"), id="features by SQL"),
        pytest.param({"features": ["speed"]}, None, id="unreadable"),
        pytest.param(None, None, id="a model without any"),
    ],
)
def test_the_status_has_the_features_that_the_model_computes(fact: Any, expected: Any) -> None:
    version = Version(trained(), model())
    version.reconcile()
    version.succeed(facts={**FACTS, **({"rowwise": fact} if fact else {})})
    version.reconcile()

    found = version.status.rowwise
    assert (found and (found.features, found.largest_difference)) == expected


def test_a_model_that_is_not_the_namespaces_own_is_not_fetched() -> None:
    version = Version(brought(), model("fraud"))
    version.restart_with(Settings(store_folders=("default=s3://flywheel/default/",)))

    plan = version.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, True, "SourceNotAllowed")
    assert "set spec.source.s3.secretName" in plan.message
    assert version.job_names() == []


def test_a_verification_in_flight_is_left_to_its_end() -> None:
    version = Version(brought(), model("fraud"))
    version.reconcile()
    version.restart_with(Settings(store_folders=("default=s3://flywheel/default/",)))

    assert version.reconcile().reason == "Verifying"
    version.succeed(packed=True)
    version.reconcile()
    assert version.reconcile().reason == "Verified"
