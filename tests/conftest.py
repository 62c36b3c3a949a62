"""Shared by all floors: a real API server, started once if a test asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import apiserver as server


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an empty API server, without controllers or nodes."""
    with server.running(tmp_path_factory.mktemp("apiserver")) as running:
        yield running.kubeconfig
