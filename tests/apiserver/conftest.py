"""A real API server with our CRDs, shared by all tests of a run."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.cluster import apiserver as server
from e2e.cluster import golang

Kubectl = Callable[..., subprocess.CompletedProcess[str]]
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an empty API server, without controllers or nodes."""
    with server.running(tmp_path_factory.mktemp("apiserver")) as running:
        yield running.kubeconfig


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
    crds = CHECKOUT / "crds"
    done = kubectl("apply", "--server-side", "-f", crds)
    assert done.returncode == 0, done.stderr
    done = kubectl("wait", "--for=condition=Established", "--timeout=60s", "--recursive=false", "-f", crds)
    assert done.returncode == 0, done.stderr
    return kubectl
