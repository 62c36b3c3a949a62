"""Shared by all floors: a real API server, started once if a test asks for it."""

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import apiserver as server


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an empty API server, without controllers or nodes."""
    folder = tmp_path_factory.mktemp("apiserver")
    with warnings.catch_warnings():
        # Its processes outlive the objects that started them, on purpose: they are stopped by their recorded pids.
        warnings.simplefilter("ignore", ResourceWarning)
        running = server.up(folder)
        gc.collect()
    yield running.kubeconfig
    server.down(folder)
