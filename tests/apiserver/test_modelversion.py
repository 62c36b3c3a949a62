"""Bad ModelVersions are refused by the API server with a sentence of ours, and good ones cannot be changed."""

import json
from typing import Any

import pytest
import yaml

from tests.apiserver.manifests import Kubectl

pytestmark = pytest.mark.apiserver


ARTIFACT = {"artifact": {"digest": f"sha256:{'a' * 64}"}}
S3 = {"s3": {"uri": "s3://acme/fraud.onnx"}}
BROUGHT = {**S3, "sha256": "b" * 64}


def manifest(spec: dict[str, Any], name: str = "fraud-1") -> str:
    return yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "ModelVersion", "metadata": {"name": name}, "spec": spec}
    )


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"source": {**ARTIFACT, **S3}}, "give exactly one of artifact, s3 and http", id="two sources"),
        pytest.param({"source": {"sha256": "b" * 64}}, "give exactly one of artifact, s3 and http", id="no source"),
        pytest.param({"source": S3}, "sha256 is required for s3 and http", id="a file of unknown content"),
        pytest.param(
            {"source": {**ARTIFACT, "sha256": "b" * 64}},
            "not allowed for an artifact",
            id="two words on one content",
        ),
        pytest.param(
            {"source": {"s3": {"uri": "s3://acme/models/"}, "sha256": "b" * 64}}, "spec.source.s3.uri", id="a folder"
        ),
        pytest.param(
            {"source": {"s3": {**S3["s3"], "endpoint": "https://elsewhere.example"}, "sha256": "b" * 64}},
            "endpoint and region of another store require secretName",
            id="a foreign store without credentials",
        ),
        pytest.param({"source": {**S3, "sha256": "xyz"}}, "spec.source.sha256", id="no sha256"),
        pytest.param({"source": BROUGHT, "format": "Pickle"}, 'supported values: "ONNX"', id="a format that runs code"),
        pytest.param(
            {"source": BROUGHT, "example": {}}, "give exactly one of inline and file", id="an example without rows"
        ),
        pytest.param(
            {"source": BROUGHT, "example": {"inline": "month: 12"}}, "spec.example.inline", id="an example in YAML"
        ),
        pytest.param(
            {"source": BROUGHT, "example": {"file": "rows.json"}},
            "with a source of s3 or http give the rows in example.inline",
            id="a file beside a single file",
        ),
        pytest.param(
            {"source": BROUGHT, "model": "Fraud"}, "must be the name of an object", id="a model that has no such name"
        ),
        pytest.param({"source": BROUGHT, "path": "/etc/passwd"}, "spec.path", id="a path out of the artifact"),
        pytest.param(
            {"source": BROUGHT, "approval": {"by": "jane", "digest": "latest", "reason": "why not"}},
            "spec.approval.digest",
            id="an approval of nothing in particular",
        ),
    ],
)
def test_a_bad_version_is_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({"model": "fraud", **spec}))

    assert answer.returncode != 0
    assert sentence in answer.stderr


LINEAGE = {"experiment": "search", "parameters": {"C": "1.0"}}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"model": "other"}, id="another model"),
        pytest.param({"source": {"artifact": {"digest": f"sha256:{'c' * 64}"}}}, id="another artifact"),
        pytest.param({"path": "net.onnx"}, id="another path"),
        pytest.param({"lineage": {**LINEAGE, "trial": 8}}, id="another past"),
        pytest.param({"quantize": "Dynamic"}, id="smaller all of a sudden"),
        pytest.param({"example": {"inline": '{"inputs": {"x": [1]}}'}}, id="an example all of a sudden"),
    ],
)
def test_a_version_cannot_be_changed(installed: Kubectl, change: dict[str, Any]) -> None:
    spec = {"model": "fraud", "source": ARTIFACT, "lineage": LINEAGE}
    made = installed("apply", "--server-side", "-f", "-", stdin=manifest(spec, "fixed"))
    assert made.returncode == 0, made.stderr

    answer = installed("apply", "--server-side", "-f", "-", stdin=manifest({**spec, **change}, "fixed"))

    assert answer.returncode != 0
    assert "a ModelVersion is immutable" in answer.stderr


def test_its_lineage_cannot_be_taken_away(installed: Kubectl) -> None:
    spec = {"model": "fraud", "source": ARTIFACT}
    made = installed("apply", "--server-side", "-f", "-", stdin=manifest({**spec, "lineage": LINEAGE}, "rooted"))
    assert made.returncode == 0, made.stderr

    answer = installed("apply", "--server-side", "-f", "-", stdin=manifest(spec, "rooted"))

    assert "a ModelVersion is immutable" in answer.stderr


def test_the_queries_and_tables_behind_its_data_are_kept(installed: Kubectl) -> None:
    tables = [
        {"name": "flights", "dataset": "flights", "version": "flights-1", "digest": f"sha256:{'1' * 64}"},
        {"name": "recent", "digest": f"sha256:{'2' * 64}", "sql": "SELECT * FROM flights", "reads": ["flights"]},
    ]
    sql = "SELECT * FROM recent WHERE month > $(params.months)" + " OR true" * 2_000  # as long as a step's may be
    prepared = {"step": "window", "sql": sql, "values": {"params.months": "3"}, "from": tables}
    prepared |= {"reads": ["recent"], "types": {"params.months": "Integer"}, "digest": "3f9a1c2e3f9a1c2e"}
    spec = {"model": "fraud", "source": ARTIFACT, "lineage": {**LINEAGE, "prepared": prepared}}
    made = installed("apply", "--server-side", "-f", "-", stdin=manifest(spec, "prepared"))
    assert made.returncode == 0, made.stderr

    found = json.loads(installed("get", "fwver", "prepared", "-o", "json").stdout)

    assert found["spec"]["lineage"]["prepared"] == prepared


def test_the_resources_of_its_verify_job_can_be_changed(installed: Kubectl) -> None:
    spec = {"model": "fraud", "source": BROUGHT, "metrics": {"roc_auc": "0.9"}}
    made = installed("apply", "--server-side", "-f", "-", stdin=manifest(spec, "roomy"))
    assert made.returncode == 0, made.stderr

    answer = installed(
        "apply",
        "--server-side",
        "-f",
        "-",
        stdin=manifest({**spec, "resources": {"limits": {"memory": "1Gi"}}}, "roomy"),
    )

    assert answer.returncode == 0, answer.stderr


def test_versions_are_found_by_their_model(installed: Kubectl) -> None:
    for name, model in (("mine-1", "mine"), ("yours-1", "yours")):
        made = installed(
            "apply", "--server-side", "-f", "-", stdin=manifest({"model": model, "source": ARTIFACT}, name)
        )
        assert made.returncode == 0, made.stderr

    answer = installed("get", "fwver", "--field-selector", "spec.model=mine", "--output", "name")

    assert answer.stdout.split() == ["modelversion.flywheel.ml/mine-1"]
