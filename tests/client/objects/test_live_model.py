"""Models: the champion, predictions by the service that serves it, and the model's verified bytes."""

import json
import math
import warnings
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flywheel.client.errors import FlywheelError
from flywheel.client.predictor import MAX_ROWS, encode_json, to_json_value
from flywheel.client.session import Options
from tests.client.local_cluster import Call, LocalCluster, Reply, artifact, reader_error, status

CONTENT = b"an ONNX model"
IMPORTANCE = {"metric": "roc_auc", "rows": 900, "features": [{"name": "month", "importance": 0.02, "deviation": 0.001}]}
DEPENDENCE = {
    "outputs": ["1"],
    "features": [{"name": "month", "type": "Integer", "gridValues": [1.0, 2.0], "average": [[0.25, 0.75]]}],
}
DIGEST, FILES = artifact(
    {
        "model.onnx": CONTENT,
        "evaluation.json": b"{}",
        "permutation_importance.json": json.dumps(IMPORTANCE).encode(),
        "partial_dependence.json": json.dumps(DEPENDENCE).encode(),
    }
)
VERSION = "/v1/namespaces/shop/modelversions/delay-1"
PREDICT = "delay/v2/models/delay/predict"


def condition(reason: str, message: str) -> dict[str, Any]:
    return {"type": "Ready", "status": "False", "reason": reason, "message": message}


def model(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "delay", "namespace": "shop"}, "spec": {}, "status": status}


def version(name: str = "delay-1", of: str = "delay", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"model": of},
        "status": {"digest": DIGEST, "metrics": {"roc_auc": "0.7"}, **status},
    }


def service(auth: dict[str, Any], name: str = "delay", serves: str = "delay-1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"model": "delay", "auth": auth, **spec},
        "status": {"version": serves, "url": f"http://{name}.shop.svc:8080"},
    }


def predictions(call: Call) -> Reply:
    rows = [{"label": row["month"], "probabilities": {"0": 0.25, "1": 0.75}} for row in call.body["rows"]]
    return Reply({"model_name": "delay", "model_version": "delay-1", "predictions": rows})


@pytest.fixture
def serving(cluster: LocalCluster) -> LocalCluster:
    cluster.add("models", model(champion="delay-1"))
    cluster.add("modelversions", version())
    cluster.add("inferenceservices", service({"none": {}}))
    cluster.servers[PREDICT] = predictions
    return cluster


def test_the_champion_predicts_a_dataframe(serving: LocalCluster) -> None:
    rows = pd.DataFrame({"month": [1, 2], "carrier": ["UA", None]}, index=["a", "b"])

    found = serving.workspace().model("delay").champion().predict(rows)

    assert isinstance(found, pd.DataFrame)
    assert list(found.index) == ["a", "b"]
    assert found.to_dict(orient="list") == {
        "label": [1, 2],
        "probabilities.0": [0.25] * 2,
        "probabilities.1": [0.75] * 2,
    }
    assert found.attrs["model_versions"] == ["delay-1"]
    assert serving.calls[-1].body == {"rows": [{"month": 1, "carrier": "UA"}, {"month": 2, "carrier": None}]}


def test_rows_as_objects_give_predictions_as_objects(serving: LocalCluster) -> None:
    found = serving.workspace().model("delay").predict([{"month": 3}])

    assert found == [{"label": 3, "probabilities": {"0": 0.25, "1": 0.75}}]


def test_a_service_for_everybody_gets_no_token(serving: LocalCluster) -> None:
    serving.workspace().model("delay").predict([{"month": 3}])

    assert serving.calls[-1].headers["X-Flywheel-Authorization"] is None


def test_a_service_with_authentication_gets_a_token_for_its_audience(serving: LocalCluster) -> None:
    serving.add("inferenceservices", service({"serviceAccount": {}}))

    serving.workspace(options=Options(service_account="science")).model("delay").predict([{"month": 3}])

    assert serving.calls[-1].headers["X-Flywheel-Authorization"] == "Bearer shop/science for delay.shop.svc"


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        pytest.param({"serviceAccount": {"audiences": ["shop-models"]}}, "takes tokens for the audience 'shop-models'", id="service account"),
        pytest.param({"jwt": {"issuer": "https://login.example"}}, "takes tokens of its identity provider", id="jwt"),
    ],
)  # fmt: skip
def test_a_service_whose_token_nobody_has_is_named(serving: LocalCluster, auth: dict[str, Any], message: str) -> None:
    serving.add("inferenceservices", service(auth))

    with pytest.raises(FlywheelError, match=f"InferenceService 'delay' {message}"):
        serving.workspace().model("delay").predict([{"month": 3}])


def test_a_token_of_an_identity_provider_comes_from_a_file(serving: LocalCluster, tmp_path: Any) -> None:
    serving.add("inferenceservices", service({"jwt": {"issuer": "https://login.example"}}))
    (tmp_path / "token").write_text("from-the-provider\n")

    serving.workspace(options=Options(token_file=str(tmp_path / "token"))).model("delay").predict([{"month": 3}])

    assert serving.calls[-1].headers["X-Flywheel-Authorization"] == "Bearer from-the-provider"


def test_predictions_of_another_version_are_said_so(serving: LocalCluster) -> None:
    serving.servers[PREDICT] = Reply({"model_version": "delay-2", "predictions": [{"label": 1}]})

    with pytest.warns(UserWarning, match="ModelVersion 'delay-2' made these predictions, not 'delay-1'"):
        serving.workspace().model("delay").champion().predict([{"month": 3}])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(Reply({"error": "row 0: column 'month' is missing"}, 400), "column 'month' is missing", id="the server's own message"),
        pytest.param(Reply({"model_version": "delay-1", "predictions": []}), "returned 0 predictions for 1 rows", id="too few"),
    ],
)  # fmt: skip
def test_a_refused_prediction_says_why(serving: LocalCluster, reply: Reply, message: str) -> None:
    serving.servers[PREDICT] = reply

    with pytest.raises(FlywheelError, match=message):
        serving.workspace().model("delay").predict([{"month": 3}])


@pytest.mark.parametrize("rows", ["month", [[1, 2]], np.zeros((2, 2)), 7])
def test_rows_without_names_are_refused(serving: LocalCluster, rows: Any) -> None:
    with pytest.raises(FlywheelError, match="rows must be a DataFrame or a list of objects"):
        serving.workspace().model("delay").predict(rows)


def test_a_busy_service_is_asked_again_when_it_says_so(serving: LocalCluster) -> None:
    busy = Reply({"error": "busy"}, 429, {"Retry-After": "3"})
    replies = [busy, busy]
    paused: list[float] = []
    serving.servers[PREDICT] = lambda call: replies.pop() if replies else predictions(call)
    session = serving.workspace().session
    predictor = replace(session.predictor(service({"none": {}})), sleep=paused.append)

    assert predictor.predict([{"month": 3}]) == [{"label": 3, "probabilities": {"0": 0.25, "1": 0.75}}]
    assert paused == [3.0, 3.0]


def test_a_service_that_stays_busy_is_an_error_with_its_message(serving: LocalCluster) -> None:
    serving.servers[PREDICT] = Reply({"error": "all workers are busy"}, 503, {"Retry-After": "1"})
    predictor = replace(serving.workspace().session.predictor(service({"none": {}})), sleep=lambda _seconds: None)

    with pytest.raises(FlywheelError, match="all workers are busy"):
        predictor.predict([{"month": 3}])


def test_a_token_that_a_service_no_longer_accepts_is_replaced_once(serving: LocalCluster) -> None:
    serving.add("inferenceservices", service({"serviceAccount": {}}))
    replies = [Reply({"error": "the token has expired"}, 401)]
    serving.servers[PREDICT] = lambda call: replies.pop() if replies else predictions(call)

    serving.workspace(options=Options(service_account="science")).model("delay").predict([{"month": 3}])

    assert [call.path.rpartition("/")[2] for call in serving.calls][-4:] == ["token", "predict", "token", "predict"]


def test_a_prediction_whose_connection_breaks_is_not_sent_again(serving: LocalCluster) -> None:
    serving.drops += ["/predict"]

    with pytest.raises(FlywheelError, match="gave no response"):
        serving.workspace().model("delay").predict([{"month": 3}])

    assert not any(call.path.endswith("/predict") for call in serving.calls)


def test_a_service_without_servers_has_its_condition(serving: LocalCluster) -> None:
    broken = service({"none": {}})
    broken["status"]["conditions"] = [condition("ImageNotFound", "The image cannot be pulled.")]
    serving.add("inferenceservices", broken)
    serving.servers[PREDICT] = status(503, "ServiceUnavailable", "no endpoints available")

    with pytest.raises(FlywheelError, match=r"no endpoints available.*The image cannot be pulled") as caught:
        serving.workspace().model("delay").predict([{"month": 3}])

    assert caught.value.condition["reason"] == "ImageNotFound"


def test_predictions_of_a_model_that_does_not_exist_name_it(serving: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="Model 'dely' in namespace 'shop' does not exist"):
        serving.workspace().model("dely").predict([{"month": 3}])


def test_a_version_that_no_service_serves_is_named(serving: LocalCluster) -> None:
    serving.add("modelversions", version("delay-2"))

    with pytest.raises(FlywheelError, match="no InferenceService of the namespace serves ModelVersion 'delay-2'"):
        serving.workspace().model("delay").version("2").predict([{"month": 3}])


def test_a_service_of_another_runtime_is_named(serving: LocalCluster) -> None:
    serving.add("inferenceservices", service({"none": {}}, runtime={"triton": {}}))

    with pytest.raises(FlywheelError, match=r"by spec.runtime, whose API has no rows by column names"):
        serving.workspace().model("delay").predict([{"month": 3}])


def test_many_rows_are_several_requests_in_order(serving: LocalCluster) -> None:
    rows = [{"month": number} for number in range(MAX_ROWS + 5)]

    found = serving.workspace().model("delay").predict(rows)

    assert [each["label"] for each in found] == list(range(MAX_ROWS + 5))
    assert [len(call.body["rows"]) for call in serving.calls if call.body] == [MAX_ROWS, 5]


def test_long_rows_are_several_requests() -> None:
    rows = [{"text": "x" * 1_000_000} for _ in range(5)]

    assert [body.rows for body in encode_json(rows)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None), (pd.NaT, None), (pd.NA, None), (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True),
        (pd.Timestamp("2026-01-31T09:30:00Z"), "2026-01-31T09:30:00+00:00"), (datetime(2026, 1, 31), "2026-01-31T00:00:00"),  # noqa: DTZ001
        (np.array([1, 2]), [1, 2]), (np.datetime64("2026-01-31"), "2026-01-31"),
    ],
)  # fmt: skip
def test_a_cell_is_what_the_server_reads(value: object, expected: object) -> None:
    assert to_json_value(value) == expected


@pytest.mark.parametrize("value", [math.inf, {"a": 1}, object()])
def test_a_cell_that_no_model_takes_is_refused(value: object) -> None:
    with pytest.raises(FlywheelError):
        to_json_value(value)


def test_a_model_without_champion_has_its_condition(cluster: LocalCluster) -> None:
    cluster.add("models", model(conditions=[condition("GateFailed", "roc_auc 0.5 is below 0.6.")]))

    with pytest.raises(FlywheelError, match=r"Model 'delay' has no champion yet: roc_auc 0.5 is below 0.6.") as caught:
        cluster.workspace().model("delay").champion()

    assert caught.value.condition["reason"] == "GateFailed"


def test_a_model_that_does_not_exist_is_named(cluster: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="Model 'delay' in namespace 'shop' does not exist"):
        cluster.workspace().model("delay").champion()


def test_a_version_of_another_model_is_none_of_this_one(serving: LocalCluster) -> None:
    serving.add("modelversions", version("fraud-1", of="fraud"))

    with pytest.raises(FlywheelError, match="Model 'delay' has no version 'fraud-1'"):
        serving.workspace().model("delay").version("fraud-1")


def test_versions_are_a_table_with_the_champion(serving: LocalCluster) -> None:
    (row,) = serving.workspace().model("delay").versions()

    assert (row["version"], row["champion"], row["metrics.roc_auc"]) == ("delay-1", True, 0.7)


def test_the_model_file_is_read_and_verified(serving: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    serving.reader |= {VERSION: Reply({"files": FILES}), f"{VERSION}/files/model.onnx": Reply(CONTENT, is_file=True)}
    found: list[bytes] = []
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda content, providers: found.append(content))

    serving.workspace().model("delay").champion().load()

    assert found == [CONTENT]


@pytest.mark.parametrize("content", [b"an ONNX modeX", CONTENT + b"!"], ids=["other bytes", "more bytes"])
def test_other_bytes_are_not_loaded(serving: LocalCluster, content: bytes) -> None:
    serving.reader |= {VERSION: Reply({"files": FILES}), f"{VERSION}/files/model.onnx": Reply(content, is_file=True)}

    with pytest.raises(FlywheelError, match="does not have the SHA-256"):
        serving.workspace().model("delay").champion().load()


@pytest.mark.parametrize("files", [FILES[:1], FILES[1:]], ids=["without the model", "without another file"])
def test_a_list_that_is_not_the_artifacts_is_not_read(serving: LocalCluster, files: list[Any]) -> None:
    serving.reader |= {VERSION: Reply({"files": files}), f"{VERSION}/files/model.onnx": Reply(CONTENT, is_file=True)}

    with pytest.raises(FlywheelError, match=f"does not have the digest {DIGEST} that its status states"):
        serving.workspace().model("delay").champion().load()


def test_a_model_without_the_right_to_its_bytes_is_refused(serving: LocalCluster) -> None:
    serving.reader |= {
        VERSION: Reply({"files": FILES}),
        f"{VERSION}/files/model.onnx": reader_error(403, "Forbidden", "read-data is needed"),
    }

    with pytest.raises(FlywheelError, match="read-data is needed"):
        serving.workspace().model("delay").champion().load()


def test_the_importance_of_columns_is_a_table(serving: LocalCluster) -> None:
    content = json.dumps(IMPORTANCE).encode()
    file = f"{VERSION}/files/permutation_importance.json"
    serving.reader |= {VERSION: Reply({"files": FILES}), file: Reply(content, is_file=True)}

    found = serving.workspace().model("delay").champion().feature_importance()

    assert list(found) == IMPORTANCE["features"]
    assert found.caption.startswith("importance of columns for roc_auc on 900 test rows")


def test_partial_dependence_is_a_table_of_one_column(serving: LocalCluster) -> None:
    content = json.dumps(DEPENDENCE).encode()
    file = f"{VERSION}/files/partial_dependence.json"
    serving.reader |= {VERSION: Reply({"files": FILES}), file: Reply(content, is_file=True)}
    version = serving.workspace().model("delay").champion()

    assert list(version.partial_dependence("month")) == [
        {"value": 1.0, "average": 0.25},
        {"value": 2.0, "average": 0.75},
    ]
    with pytest.raises(FlywheelError, match="no partial dependence on 'day'; it has that on month"):
        version.partial_dependence("day")


def test_a_version_without_importances_is_named(serving: LocalCluster) -> None:
    digest, files = artifact({"model.onnx": CONTENT})
    serving.add("modelversions", version("delay-2", digest=digest))
    serving.reader["/v1/namespaces/shop/modelversions/delay-2"] = Reply({"files": files})

    with pytest.raises(
        FlywheelError, match=r"'delay-2' has no permutation_importance.json; .files\(\) lists what it has"
    ):
        serving.workspace().model("delay").version("delay-2").feature_importance()


def test_no_warning_where_the_version_is_the_one(serving: LocalCluster) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        serving.workspace().model("delay").champion().predict([{"month": 3}])
