"""Worlds for tests: a namespace each."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from tests.engine import harness as worlds
from tests.engine.harness import NAMESPACES, World

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def widgets(apiserver: Path) -> Path:
    """The kubeconfig of an API server that knows Widgets."""
    worlds.install(Client(configuration({"KUBECONFIG": str(apiserver)})))
    return apiserver


@pytest.fixture
def world(widgets: Path) -> World:
    """An empty namespace and an engine for it."""
    found = World(widgets, f"world-{next(_NUMBERS)}")
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found.namespace, "namespace": ""}}
    found.client.create(NAMESPACES, manifest)
    return found


@pytest.fixture
def writes() -> Iterator[list[str]]:
    """The engine's writes during this test, in order."""
    with worlds.writes() as found:
        yield found
