"""The cluster on loopback that tests of the client and of the commands that read use."""

from collections.abc import Iterator

import pytest

from tests.client.local_cluster import LocalCluster, run_cluster


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with run_cluster() as found:
        yield found
