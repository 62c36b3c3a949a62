"""Story: one answer is found by its id, given again by the stored model bit for bit, and its receipt is checked without the cluster."""

import json
import os
from pathlib import Path

import pytest

from e2e.cluster import cluster
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.reader_access import MOUNT_SECONDS, bind, give_reader_a_key
from e2e.rollouts import NAME, ROW, add_versions, serve_champion
from e2e.waiting import wait_until
from flywheel.cli import main

VERSION, WEIGHTS = f"{NAME}-1", [0.1, -3.7]


def flywheel(namespace: Namespace, account: str, *words: str | Path) -> int:
    """The exit code of a command, whose requests to the reader are those of the account."""
    os.environ["FLYWHEEL_SERVICE_ACCOUNT"] = account
    return main([*map(str, words), "--namespace", namespace.name])


def ask(namespace: Namespace) -> str:
    """The id of an answer."""
    path = f"/api/v1/namespaces/{namespace.name}/services/http:{NAME}:8080/proxy/v2/models/{NAME}/infer"
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, len(ROW)], "data": ROW}]
    said = namespace.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps({"inputs": inputs}))
    return str(json.loads(said)["id"])


def test_a_prediction_is_replayed_and_its_receipt_checked(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))
    monkeypatch.setenv("FLYWHEEL_SERVICE_ACCOUNT", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    give_reader_a_key()
    bind(namespace, "analyst", "view", "flywheel-data-reader")
    bind(namespace, "visitor", "view")
    add_versions(namespace, {VERSION: linear(WEIGHTS)})
    serve_champion(namespace, VERSION, None, logging={"sample": "100%"})
    asked = ask(namespace)
    namespace.kubectl("delete", "fwsvc", NAME)  # its server writes what it holds; the rows outlive the service

    receipt, words = tmp_path / "receipt.json", ("why", asked, "--service", NAME)
    wait_until(
        lambda: flywheel(namespace, "analyst", *words, "--to", receipt) == 0, MOUNT_SECONDS, "the row is not found"
    )
    printed = capsys.readouterr().out
    assert "the model gives the same answer, bit for bit: score" in printed
    assert f"of Model '{NAME}', sha256:" in printed
    assert "are a chain; the last one has SHA-256" in printed

    assert flywheel(namespace, "visitor", *words) == 1
    assert "may not read-data inferenceservices" in capsys.readouterr().err
    files = tmp_path / "files"
    assert flywheel(namespace, "analyst", "download", "version", VERSION, "--to", files) == 0

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    head = json.loads(receipt.read_text())["parts"]["audit"]["head"]["sha256"]
    assert flywheel(namespace, "", "why", "--check", receipt, "--model", files, "--head", head) == 0
    held = capsys.readouterr().out
    assert "holds  the model gives the same answer, bit for bit: score" in held
    assert "holds  audit record" in held

    receipt.write_text(receipt.read_text().replace(f'"service":"{NAME}"', '"service":"other"'))
    assert flywheel(namespace, "", "why", "--check", receipt) == 1
    assert "FAILS  the part 'prediction' was changed" in capsys.readouterr().out
