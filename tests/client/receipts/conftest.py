"""A service with one logged prediction."""

from pathlib import Path

import pytest

from tests.client.local_cluster import LocalCluster
from tests.client.receipts.sample_service import SampleService


@pytest.fixture
def sample(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleService:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = SampleService(cluster)
    found.build()
    return found
