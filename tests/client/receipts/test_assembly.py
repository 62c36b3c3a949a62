"""What `fw.why` knows of a prediction, and what it says where it may not know."""

from typing import Any

import pytest

from flywheel.client.errors import FlywheelError
from flywheel.client.receipts import evidence
from flywheel.client.receipts.document import Receipt
from tests.client.local_cluster import reader_error, status
from tests.client.receipts.sample_service import BASE, DIGEST, ID, OUTPUTS, RECORDS, SampleService, row


def why(sample: SampleService, id_: str = ID, **options: Any) -> Receipt:
    return sample.cluster.workspace().why(id_, **{"replay": False, **options})


def forbid(sample: SampleService, path: str) -> None:
    sample.cluster.reader[f"{BASE}/{path}"] = reader_error(403, "Forbidden", "'jane' may not")


@pytest.mark.integration
def test_the_stored_model_gives_the_logged_answer_bit_for_bit(sample: SampleService) -> None:
    receipt = why(sample, replay=True)

    assert (receipt.replay["result"], receipt.replay["compared"]) == ("Equal", ["label", "probabilities"])
    assert receipt.replay["outputs"] == {"label": [1], "probabilities": OUTPUTS["probabilities"]}
    assert str(receipt.contributions["missing"]).startswith("BackgroundMissing: ")
    before = len(sample.cluster.calls)
    why(sample, replay=True)
    assert not any("model.onnx" in call.path for call in sample.cluster.calls[before:])  # the cache has it


@pytest.mark.integration
def test_another_answer_is_told_with_column_and_values(sample: SampleService) -> None:
    sample.rows = [row(outputs={**OUTPUTS, "probabilities": [0.2689414322376251, 0.75]})]

    largest = why(sample, replay=True).replay["largest"]

    assert (largest["column"], largest["logged"], largest["computed"]) == ("probabilities[1]", 0.75, 0.7310585975646973)


def test_version_and_audit_are_those_of_the_answer(sample: SampleService) -> None:
    receipt = why(sample)

    assert (receipt.version["digest"], receipt.version["approval"]["by"]) == (DIGEST, "jane")
    assert receipt.version["gates"] == [{"name": "quality", "passed": True, "message": "0.81 is above 0.7"}]
    assert receipt.audit["records"] == RECORDS[1:]  # from the first one that names the version to the newest
    assert (receipt.audit["head"]["number"], receipt.audit["stated"]["number"]) == (5, 3)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        pytest.param({"month": {"action": "Hmac"}}, "month (hashed)", id="hashed"),
        pytest.param(
            {"hour": {"action": "Bucket", "width": 2.0}}, "hour (the lower end of a bucket 2.0 wide)", id="bucketed"
        ),
    ],
)
def test_columns_that_the_log_holds_back_are_named(sample: SampleService, columns: dict[str, Any], reason: str) -> None:
    sample.columns = columns

    replayed = why(sample, replay=True).replay

    assert replayed == {"result": "NotReplayed", "reason": f"columns that the model reads are not in the log: {reason}"}


def test_other_files_with_the_id_are_named(sample: SampleService) -> None:
    sample.others = [{"file": "dt=2026-11-29/hour=12/pod=b/b-0-0.parquet", "rows": 1}]

    found = str(why(sample).prediction["ambiguous"])

    assert found.startswith("requests in 2 files have this id, since clients choose ids; this is the one of file dt=")
    assert "hour=12/pod=b/b-0-0.parquet; --around" in found


def test_requests_of_one_file_with_the_id_are_told(sample: SampleService) -> None:
    sample.rows = [row(), row(time="2026-11-29T11:00:09+00:00")]

    receipt = why(sample)

    assert str(receipt.prediction["ambiguous"]).startswith("2 requests have this id")
    assert receipt.prediction["time"] == "2026-11-29T11:00:09+00:00"


def test_an_id_of_two_services_needs_the_name_of_one(sample: SampleService) -> None:
    other = {"metadata": {"name": "fares", "namespace": "shop"}, "spec": {"logging": {"sample": "100%"}}}
    sample.cluster.add("inferenceservices", other)
    routes = sample.cluster.reader
    routes[f"{BASE}/inferenceservices/fares/prediction"] = routes[f"{BASE}/inferenceservices/delay/prediction"]

    with pytest.raises(FlywheelError, match=r"delay, fares have a request .* --service"):
        why(sample)
    assert why(sample, service="delay").prediction["service"] == "delay"


def test_the_explanation_of_the_log_is_taken(sample: SampleService) -> None:
    sample.rows = [row(explanation='{"method": "PathDependentTreeSHAP", "scale": "LogOdds", "outputs": {}}')]

    assert why(sample).contributions == {
        "source": "Log",
        "method": "PathDependentTreeSHAP",
        "scale": "LogOdds",
        "outputs": {},
    }


@pytest.mark.parametrize(
    ("path", "part", "says"),
    [
        pytest.param("models/delay/audit", "audit", "you may not read the audit records of Model 'delay'", id="audit"),
        pytest.param(
            "modelversions/delay-1", "version", "you may not read the files of ModelVersion 'delay-1'", id="files"
        ),
    ],
)
def test_what_the_caller_may_not_read_is_said(sample: SampleService, path: str, part: str, says: str) -> None:
    forbid(sample, path)

    found = why(sample).parts[part]

    assert says in str(found.get("missing") or found["notes"])


def test_a_version_that_may_not_be_read_is_said(sample: SampleService) -> None:
    sample.cluster.api["/apis/flywheel.ml/v1alpha1/namespaces/shop/modelversions/delay-1"] = status(
        403, "Forbidden", "no"
    )

    receipt = why(sample, replay=True)

    assert str(receipt.version["missing"]).startswith("you may not read ModelVersion 'delay-1'")
    assert receipt.version["digest"] == DIGEST  # the row has it
    assert receipt.replay["result"] == "NotReplayed"


def test_a_version_that_was_deleted_is_said(sample: SampleService) -> None:
    del sample.cluster.objects["modelversions", "delay-1"]

    receipt = why(sample, replay=True)

    assert "does not exist" in str(receipt.version["missing"])
    assert "does not exist" in str(receipt.replay["reason"])


def test_a_model_file_that_is_gone_is_said(sample: SampleService) -> None:
    sample.cluster.reader[f"{BASE}/modelversions/delay-1/files/model.onnx"] = reader_error(
        404, "NotFound", "the content of 'model.onnx' is no longer in the store"
    )

    assert why(sample, replay=True).replay["reason"] == "the content of 'model.onnx' is no longer in the store"


def test_a_version_that_is_another_artifact_now_is_not_replayed(sample: SampleService) -> None:
    sample.rows = [row(digest=f"sha256:{'0' * 64}")]

    receipt = why(sample, replay=True)

    assert "is another artifact now" in str(receipt.version["notes"])
    assert "is another artifact now" in str(receipt.replay["reason"])


def test_an_id_outside_of_the_sample_is_said(sample: SampleService) -> None:
    sample.cluster.objects["inferenceservices", "delay"]["spec"] = {"logging": {"sample": "0.01%"}}

    with pytest.raises(
        FlywheelError, match=r"outside of the sample of InferenceService 'delay': spec.logging.sample is 0.0001"
    ):
        why(sample, "another-id")


def test_an_id_in_the_sample_that_is_not_there_has_the_readers_message(sample: SampleService) -> None:
    with pytest.raises(FlywheelError, match="InferenceService 'delay' has no logged row with the id") as error:
        why(sample, "another-id")

    assert error.value.status == 404


def test_predictions_that_may_not_be_read_are_said(sample: SampleService) -> None:
    forbid(sample, "inferenceservices/delay/prediction")

    with pytest.raises(FlywheelError, match="you may not read the predictions of InferenceService 'delay'") as error:
        why(sample)

    assert error.value.status == 403


@pytest.mark.parametrize(("id_", "options", "says"), [
    pytest.param(" ", {}, "is empty", id="no id"),
    pytest.param(ID, {"row": 4}, "has 1 rows, from 0 on, and no row 4", id="no such row"),
])  # fmt: skip
def test_bad_input(sample: SampleService, id_: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(FlywheelError, match=says):
        why(sample, id_, **options)


def test_a_namespace_without_logging_is_said(sample: SampleService) -> None:
    sample.cluster.objects["inferenceservices", "delay"]["spec"] = {}

    with pytest.raises(FlywheelError, match="no InferenceService of namespace 'shop' logs predictions"):
        why(sample)


def test_the_position_in_the_sample_is_that_of_the_server() -> None:
    from flywheel_serving.prediction_log.config import sample_position, sample_threshold

    for number in range(200):
        id_ = f"request-{number}"
        assert (sample_position(id_) < sample_threshold(0.25)) == (evidence.sample_position(id_) < 0.25)
