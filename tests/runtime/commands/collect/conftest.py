"""A pod without processes: on a machine with a cluster, /proc has the processes of its pods."""

from types import SimpleNamespace

import pytest

from flywheel_runtime.commands.collect import main_observer
from tests.runtime.process_family import NOBODY


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_observer, "ProcessTable", lambda: SimpleNamespace(read=lambda: NOBODY))
