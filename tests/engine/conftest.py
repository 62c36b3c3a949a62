"""An engine on a real API server for each test: a namespace each."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from tests.engine import harness as harnesses
from tests.engine.harness import NAMESPACES, EngineHarness

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def widgets(apiserver: Path) -> Path:
    """The kubeconfig of an API server that knows Widgets."""
    harnesses.install(Client(configuration({"KUBECONFIG": str(apiserver)})))
    return apiserver


@pytest.fixture
def harness(widgets: Path) -> EngineHarness:
    """An empty namespace and an engine for it."""
    found = EngineHarness(widgets, f"engine-{next(_NUMBERS)}")
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found.namespace, "namespace": ""}}
    found.client.create(NAMESPACES, manifest)
    return found


@pytest.fixture
def writes() -> Iterator[list[str]]:
    """The engine's writes during this test, in order."""
    with harnesses.writes() as found:
        yield found
