"""A cluster on loopback, and a kubeconfig that leads to it."""

from pathlib import Path

import pytest

from tests.client.local_cluster import LocalCluster


@pytest.fixture(autouse=True)
def kubeconfig(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(
        f"""apiVersion: v1
kind: Config
current-context: main
clusters: [{{name: local, cluster: {{server: "{cluster.url}"}}}}]
users: [{{name: jane, user: {{token: user-token}}}}]
contexts: [{{name: main, context: {{cluster: local, user: jane, namespace: shop}}}}]
"""
    )
    monkeypatch.setenv("KUBECONFIG", str(path))
    for name in (
        "FLYWHEEL_READER_URL",
        "FLYWHEEL_SERVICE_ACCOUNT",
        "FLYWHEEL_TOKEN_FILE",
        "FLYWHEEL_RELEASE_NAMESPACE",
        "FLYWHEEL_NAMESPACE_OF_RELEASE",
    ):
        monkeypatch.delenv(name, raising=False)
    return path
