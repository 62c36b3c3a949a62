"""The verify Job, and where a ModelVersion leads."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel.core.resource.api import DATASET, MODEL, Reference
from flywheel.core.resource.ownership import with_owner
from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.children import ModelVersion, verify_job
from flywheel.kinds.modelversion.kind import KIND
from tests.golden_files import same_as
from tests.kinds.modelversion.situations import SHA256, TRAINED, brought, trained
from tests.pod_security import violations

HERE = Path(__file__).parent
SETTINGS = Settings(allowed_http_hosts=("models.example",))
FOREIGN = {"s3": {"uri": "s3://acme/fraud.onnx", "endpoint": "https://s3.example", "secretName": "acme"}}
WEB = {"http": {"url": "https://models.example/all/fraud%20new.onnx?sign=1"}}
ROOMY = {"resources": {"limits": {"memory": "4Gi", "nvidia.com/gpu": 1}}, "imagePullSecrets": [{"name": "registry"}]}


def pod(version: ModelVersion) -> dict[str, Any]:
    spec: dict[str, Any] = verify_job(version, 1, SETTINGS).manifest["spec"]["template"]["spec"]
    return spec


def container_config(version: ModelVersion, container: str, variable: str) -> Any:
    found = next(each for each in pod(version)["initContainers"] if each["name"] == container)
    return json.loads(next(each["value"] for each in found["env"] if each["name"] == variable))


QUANTIZED = {
    "quantize": "Dynamic",
    "lineage": {"dataset": "flights", "datasetDigest": "sha256:" + "e" * 64},
}


@pytest.mark.parametrize(
    ("name", "version"),
    [("trained", trained()), ("brought", brought(**FOREIGN)), ("quantized", trained(spec=QUANTIZED))],
)
def test_the_job_is_the_golden_one(name: str, version: ModelVersion) -> None:
    job = with_owner(version, verify_job(version, 1, SETTINGS))

    assert same_as(HERE / f"golden/{name}.yaml", job)


@pytest.mark.parametrize(
    "version",
    [trained(), brought(), brought(**FOREIGN), brought(**WEB), trained(spec=ROOMY), trained(spec=QUANTIZED)],
    ids=lambda each: str(each.name),
)
def test_every_pod_is_restricted(version: ModelVersion) -> None:
    assert violations(pod(version)) == []


@pytest.mark.parametrize(
    ("version", "source"),
    [
        pytest.param(trained(), {"artifact": TRAINED}, id="an artifact by its digest"),
        pytest.param(
            brought(), {"s3": {"uri": "s3://acme/models/fraud.onnx", "foreign": False}, "sha256": SHA256}, id="a file of the own store"
        ),
        pytest.param(
            brought(**FOREIGN),
            {
                "s3": {"uri": "s3://acme/fraud.onnx", "endpoint": "https://s3.example", "foreign": True, "secret": "acme"},
                "sha256": SHA256,
            },
            id="a file of a foreign store",
        ),
        pytest.param(
            brought(**WEB),
            {"http": {"url": WEB["http"]["url"], "sha256": SHA256, "allowedHosts": ["models.example"]}},
            id="a file of the web",
        ),
    ],
)  # fmt: skip
def test_fetch_gets_the_location_of_the_model(version: ModelVersion, source: dict[str, Any]) -> None:
    assert container_config(version, "fetch", "FLYWHEEL_FETCH")["inputs"] == [{"name": "model", **source}]


@pytest.mark.parametrize(
    ("version", "path", "is_packed"),
    [
        pytest.param(trained(), "model.onnx", False, id="an artifact is served as it is"),
        pytest.param(
            trained(spec={"path": "out/net.onnx"}), "out/net.onnx", True, id="one with another file name is packed"
        ),
        pytest.param(brought(), "fraud.onnx", True, id="a file is packed"),
        pytest.param(brought(**WEB), "fraud new.onnx", True, id="under the name that fetch gives it"),
    ],
)
def test_verify_gets_the_file_to_load(version: ModelVersion, path: str, is_packed: bool) -> None:
    assert container_config(version, "fetch", "FLYWHEEL_PARAMS") == {
        "format": "ONNX",
        "path": path,
        "brought": is_packed,
    }
    assert container_config(version, "collect", "FLYWHEEL_COLLECT")["outputs"] == (
        [{"name": "model", "required": True}] if is_packed else []
    )


@pytest.mark.parametrize(
    "example", [{"inline": '{"inputs": {"month": [12]}}'}, {"file": "rows.json"}], ids=["inline", "a file"]
)
def test_verify_gets_the_example_and_writes_an_artifact_with_it(example: dict[str, str]) -> None:
    version = trained(spec={"example": example})

    assert container_config(version, "fetch", "FLYWHEEL_PARAMS")["example"] == example
    outputs = container_config(version, "collect", "FLYWHEEL_COLLECT")["outputs"]
    assert outputs == [{"name": "model", "required": True}]


def test_the_job_has_the_resources_of_the_spec() -> None:
    assert pod(trained(spec=ROOMY))["containers"][0]["resources"] == {"limits": {"memory": "4Gi", "nvidia.com/gpu": 1}}
    assert pod(trained(spec=ROOMY))["imagePullSecrets"] == [{"name": "registry"}]


def test_it_leads_to_its_model_and_to_the_dataset_that_keeps_its_data() -> None:
    assert set(KIND.references(trained())) == {
        Reference(MODEL, "default", "flight-delay"),
        Reference(DATASET, "default", "flights"),
    }
    assert set(KIND.references(brought())) == {Reference(MODEL, "default", "fraud")}
