"""The API server with our CRDs, and kubectl as users have it."""

import subprocess
from pathlib import Path

import pytest

from e2e.cluster import golang
from tests.apiserver.manifests import Kubectl
from tests.documents import CHECKOUT


@pytest.fixture(scope="session")
def kubectl(apiserver: Path) -> Kubectl:
    """Runs kubectl; `stdin` is text for `-f -`. A refusal is an answer, not an error: look at returncode and stderr."""

    def call(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [golang.kubectl(), "--kubeconfig", apiserver, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)

    return call


@pytest.fixture(scope="session")
def installed(kubectl: Kubectl) -> Kubectl:
    """kubectl, once every generated CRD is Established."""
    crds = [word for path in sorted((CHECKOUT / "crds").glob("*.yaml")) for word in ("--filename", str(path))]
    for words in (("apply", "--server-side"), ("wait", "--for=condition=Established", "--timeout=60s")):
        done = kubectl(*words, *crds)
        assert done.returncode == 0, done.stderr
    return kubectl
