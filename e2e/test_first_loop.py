"""The loop, small: patients' measurements become a Dataset, a short Experiment, a champion, a served answer with its reasons."""

import json
import math
import urllib.request

import numpy
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from e2e import kube
from e2e.manifests import SMALL_LOOP, read_patients
from e2e.namespace import Namespace


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    place = namespace.upload("patients.csv", read_patients().to_csv(index=False))
    namespace.apply(SMALL_LOOP % (place, "none") + "  explain: {header: true}\n")
    namespace.wait("fwds", "patients")
    namespace.wait("fwexp", "malignant", seconds=300)
    namespace.wait("fwmodel", "malignant")
    namespace.wait("fwsvc", "malignant")
    return namespace


def test_every_resource_has_a_summary_and_a_message(served: Namespace) -> None:
    """READY True, a reason and a detail for each of the five kinds."""
    rows = [line.split() for line in served.kubectl("get", "flywheel", "--no-headers").splitlines() if line.strip()]

    assert {row[0].split(".")[0] for row in rows} == {
        "dataset",
        "experiment",
        "model",
        "modelversion",
        "inferenceservice",
    }
    assert all(row[1] == "True" and len(row) >= 5 for row in rows), rows


def test_the_search_used_its_budget_and_found_a_good_model(served: Namespace) -> None:
    status = (served.get("fwexp", "malignant") or {})["status"]

    assert status["trials"]["succeeded"] == 3
    assert float(status["best"]["value"]) > 0.95


def test_the_version_knows_where_it_comes_from(served: Namespace) -> None:
    [version] = kube.list_objects("fwver", served.name)
    lineage = version["spec"]["lineage"]

    assert lineage["dataset"] == "patients"
    assert lineage["experiment"] == "malignant"
    assert version["status"]["digest"] == version["spec"]["source"]["artifact"]["digest"]


def test_the_version_says_what_its_model_relies_on(served: Namespace) -> None:
    [version] = kube.list_objects("fwver", served.name)
    features = version["status"]["featureImportance"]["features"]

    assert len(features) == 10
    assert set(read_patients().columns) >= {each["name"] for each in features}
    importances = [float(each["importance"]) for each in features]
    assert importances == sorted(importances, reverse=True)
    assert importances[0] > 0


def test_tritonclient_gets_the_same_answer_over_rest_and_grpc(served: Namespace) -> None:
    row = read_patients().drop(columns="malignant").iloc[[0]]

    with kube.port_forward("service/malignant", 8080, served.name) as port:
        rest = triton_http.InferenceServerClient(f"127.0.0.1:{port}")
        names = [each["name"] for each in rest.get_model_metadata("malignant")["inputs"]]
        tensors = [triton_http.InferInput(name, [1, 1], "FP32") for name in names]
        for tensor, name in zip(tensors, names, strict=True):
            tensor.set_data_from_numpy(row[[name]].to_numpy(numpy.float32))
        over_rest = rest.infer("malignant", tensors).as_numpy("probabilities")
        rest.close()
    with kube.port_forward("service/malignant", 8081, served.name) as port:
        grpc = triton_grpc.InferenceServerClient(f"127.0.0.1:{port}")
        tensors = [triton_grpc.InferInput(name, [1, 1], "FP32") for name in names]
        for tensor, name in zip(tensors, names, strict=True):
            tensor.set_data_from_numpy(row[[name]].to_numpy(numpy.float32))
        over_grpc = grpc.infer("malignant", tensors).as_numpy("probabilities")
        grpc.close()

    assert over_rest[0][1] > 0.5  # the first patient's tumour was malignant
    numpy.testing.assert_array_equal(over_rest, over_grpc)


def test_an_answer_is_the_sum_of_what_its_columns_contribute(served: Namespace) -> None:
    row = read_patients().drop(columns="malignant").iloc[0].to_dict()
    body = json.dumps({"rows": [row]}).encode()
    with kube.port_forward("service/malignant", 8080, served.name) as port:
        url = f"http://127.0.0.1:{port}/v2/models/malignant/predict"
        with urllib.request.urlopen(
            urllib.request.Request(url, body, {"x-flywheel-explain": "true"}), timeout=10
        ) as response:
            answer = json.load(response)
    [explained] = answer["parameters"]["explanation"]["rows"]
    positive = explained["outputs"]["1"]
    probability = answer["predictions"][0]["probabilities"]["1"]

    assert set(positive["contributions"]) <= set(row)
    assert positive["base"] + math.fsum(positive["contributions"].values()) == pytest.approx(
        positive["value"], abs=1e-4
    )
    # A model of trees is explained as log odds.
    value = 1 / (1 + math.exp(-positive["value"])) if explained["scale"] == "LogOdds" else positive["value"]
    assert value == pytest.approx(probability, abs=1e-4)


def test_the_server_exports_metrics_to_prometheus(served: Namespace) -> None:
    with (
        kube.port_forward("service/malignant", 8080, served.name) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response,
    ):
        text = response.read().decode()

    assert "model_infer_request_success" in text


def test_raising_the_budget_goes_on(served: Namespace) -> None:
    served.kubectl("patch", "fwexp", "malignant", "--type", "merge", "--patch", '{"spec":{"budget":{"maxTrials":4}}}')
    served.wait("fwexp", "malignant", seconds=120)
    trials = (served.get("fwexp", "malignant") or {})["status"]["trials"]["succeeded"]

    assert trials == 4
