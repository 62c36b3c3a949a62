"""The code of docs/client.md runs, block after block, as a reader would paste it."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.client.local_cluster import Call, LocalCluster, Reply, artifact
from tests.client.sample_records import record
from tests.documents import CHECKOUT

PAGE = (CHECKOUT / "docs/client.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
IMPORTANCE = {"metric": "roc_auc", "rows": 900, "features": [{"name": "month", "importance": 0.1, "deviation": 0.01}]}
DEPENDENCE = {"outputs": ["1"], "features": [{"name": "month", "gridValues": [1, 2], "average": [[0.25, 0.75]]}]}
ARTIFACT = {
    "model.onnx": b"an ONNX model",
    "permutation_importance.json": json.dumps(IMPORTANCE).encode(),
    "partial_dependence.json": json.dumps(DEPENDENCE).encode(),
}
DIGEST, FILES = artifact(ARTIFACT)
TRIALS = "/v1/namespaces/shop/trials"


class Session:
    """In place of ONNX Runtime's, whose models are no matter of this page."""

    def __init__(self, content: bytes, **_options: Any) -> None:
        self.content = content

    def get_inputs(self) -> list[Any]:
        return []


@pytest.fixture
def shop(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalCluster:
    config = tmp_path / "kubeconfig"
    config.write_text(
        f"""{{"apiVersion": "v1", "kind": "Config", "current-context": "main",
"clusters": [{{"name": "local", "cluster": {{"server": "{cluster.url}"}}}}], "users": [{{"name": "jane", "user": {{"token": "user-token"}}}}],
"contexts": [{{"name": "main", "context": {{"cluster": "local", "user": "jane", "namespace": "shop"}}}}]}}"""
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    objects: dict[str, list[dict[str, Any]]] = {
        "models": [{"status": {"champion": "flight-delay-3f9a1c2e"}}],
        "modelversions": [{"name": "flight-delay-3f9a1c2e", "spec": {"model": "flight-delay"}, "status": {"digest": DIGEST}}],
        "datasets": [{"name": "flights", "status": {"version": "flights-1", "versions": [{"name": "flights-1"}]}}],
        "inferenceservices": [{"spec": {"model": "flight-delay", "auth": {"none": {}}}, "status": {"version": "flight-delay-3f9a1c2e"}}],
        "trainingpipelines": [{"name": "flight-delay-monthly"}],
    }  # fmt: skip
    for plural, manifests in objects.items():
        for each in manifests:
            metadata = {"name": each.pop("name", "flight-delay"), "namespace": "shop"}
            cluster.add(plural, {"metadata": metadata, "spec": {}, **each})
    cluster.add("models", {"metadata": {"name": "new-model", "namespace": "shop"}, "spec": {}})
    add_reader(cluster)
    return cluster


def add_reader(cluster: LocalCluster) -> None:
    trial = f"{TRIALS}/{record(7)['id']}"
    version = "/v1/namespaces/shop/modelversions/flight-delay-3f9a1c2e"
    cluster.reader |= {
        TRIALS: Reply({"items": [record(7)], "next": None}),
        trial: Reply(record(7)),
        f"{trial}/log": Reply(b"epoch 1\n"),
        f"{trial}/curves": Reply({"curves": {"loss": [[0, 0.5, None]]}, "downsampled": {}}),
        version: Reply({"files": FILES}),
        **{f"{version}/files/{name}": Reply(content) for name, content in ARTIFACT.items()},
        "/v1/namespaces/shop/inferenceservices/flight-delay/predictions": Reply({"items": [], "next": None}),
        "/v1/namespaces/shop/datasets/flights/versions/flights-1/rows": Reply(b"arrow"),
    }

    def predict(call: Call) -> Reply:
        return Reply(
            {"model_version": "flight-delay-3f9a1c2e", "predictions": [{"label": 1} for _ in call.body["rows"]]}
        )

    cluster.servers["flight-delay/v2/models/flight-delay/predict"] = predict


def test_the_code_of_the_page_runs(shop: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel.client.objects.live_dataset.read_arrow", lambda _content: pd.DataFrame())
    succeeded = {"conditions": [{"type": "Succeeded", "status": "True"}], "steps": []}
    run = {"metadata": {"name": "flight-delay-monthly-x7k2p", "namespace": "shop"}, "status": succeeded}
    shop.api["/apis/flywheel.ml/v1alpha1/namespaces/shop/trainingruns/flight-delay-monthly-x7k2p"] = Reply(run)
    names: dict[str, Any] = {"__name__": "page"}

    for block in BLOCKS:
        exec(compile(block, "docs/client.md", "exec"), names)

    assert len(BLOCKS) >= 10
    assert names["best"][0]["metrics.roc_auc"] == pytest.approx(0.67)
    assert isinstance(names["session"], Session)


def test_the_page_names_every_column() -> None:
    from flywheel.client.trial_list import COLUMNS

    assert {name for name in COLUMNS if f"`{name}`" not in PAGE} == set()
