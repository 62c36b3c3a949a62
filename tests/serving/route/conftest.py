"""A champion that doubles, and challengers of several kinds: real servers with real models."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving.route.rollout import Rollout
from tests.serving.route.toy_servers import Start


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with ExitStack() as stack:
        yield Start(tmp_path_factory.mktemp("models"), stack)


@pytest.fixture
def rollout(start: Start, tmp_path: Path) -> Iterator[Rollout]:
    """A champion for this test alone."""
    with start.champion("doubles", tmp_path) as server:
        yield Rollout(server, tmp_path / "route.json")


@pytest.fixture(scope="module")
def shared(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rollout]:
    """One champion for a module's tests, each with a challenger at another address."""
    folder = tmp_path_factory.mktemp("shared")
    with start.champion("doubles", folder) as server:
        yield Rollout(server, folder / "route.json")
