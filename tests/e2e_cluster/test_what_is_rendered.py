"""What the cluster's programs and people read."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import kubeconfig, progress, volumes

CLAIM: dict[str, Any] = {
    "metadata": {"name": "data", "namespace": "shop", "uid": "3f9a"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
        "storageClassName": "standard",
    },
    "status": {"phase": "Pending"},
}


def test_a_kubeconfig_is_whole_in_itself() -> None:
    config = yaml.safe_load(kubeconfig.render("https://127.0.0.1:6443", b"the ca", "admin", b"a certificate", b"a key"))

    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]) == b"the ca"
    assert base64.b64decode(config["users"][0]["user"]["client-key-data"]) == b"a key"
    assert config["current-context"] == config["contexts"][0]["name"]


def test_a_volume_belongs_to_its_claim_and_a_second_try_has_the_same_name() -> None:
    volume = volumes.volume_for(CLAIM)

    assert volume["metadata"]["name"] == "pvc-3f9a"
    assert volume["spec"]["claimRef"]["uid"] == "3f9a"
    assert volume["spec"]["capacity"] == {"storage": "10Gi"}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        pytest.param({}, True, id="a pending claim of our class"),
        pytest.param({"spec": {**CLAIM["spec"], "storageClassName": "fast"}}, False, id="another class"),
        pytest.param({"spec": {**CLAIM["spec"], "volumeName": "pv-7"}}, False, id="a volume chosen by hand"),
        pytest.param({"status": {"phase": "Bound"}}, False, id="bound already"),
    ],
)
def test_wants_volume(change: dict[str, Any], wanted: bool) -> None:
    assert volumes.wants_volume({**CLAIM, **change}) is wanted


def test_a_failure_shows_what_the_log_says_and_where_it_is(tmp_path: Path) -> None:
    log = tmp_path / "kubelet.log"
    log.write_text("started\nError: no sandbox image\nstopped\n")

    report = progress.Failure("kubelet ended soon after its start", log).report()

    assert report == f"    Error: no sandbox image\nkubelet ended soon after its start\nThe whole log: {log}"
