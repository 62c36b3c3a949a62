"""A reader with a store and the API server's double."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from e2e.waiting import wait_until
from tests.reader import cluster_double
from tests.reader.cluster_double import ClusterDouble
from tests.reader.running_reader import ALICE, BUCKET, TOKEN, RunningReader
from tests.reader.seeds import Seeds
from tests.runtime import s3_server
from tests.runtime.s3_server import free_port, is_listening


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    """versitygw with the bucket."""
    with s3_server.running(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterDouble]:
    with cluster_double.running() as found:
        yield found


@pytest.fixture(scope="module")
def reader_process(
    s3: s3_server.Server, cluster: ClusterDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningReader]:
    """A reader that has a key for the namespaces shop and bakery."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "token").write_text("token-of-the-reader")
    for namespace in ("shop", "bakery"):
        stores = folder / "stores" / namespace
        stores.mkdir(parents=True)
        for key, value in s3.env(BUCKET).items():
            (stores / key).write_text(value)
    port, health_port = free_port(), free_port()
    command = [
        sys.executable, "-m", "flywheel_reader", "--host", "127.0.0.1", "--port", str(port),
        "--health-port", str(health_port), "--stores", str(folder / "stores"), "--api-server", cluster.url, "--credentials", str(folder),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "2"}  # as in the chart
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, env=environment) as process:
        try:
            wait_until(lambda: is_listening(port) or process.poll() is not None, 60)
            assert process.poll() is None, (folder / "log").read_text()
            seeds = Seeds.of_server(s3, BUCKET, "shop")
            yield RunningReader(port, health_port, process.pid, cluster, seeds, s3, folder / "stores")
        finally:
            process.terminate()
            assert process.wait(20) == 0, (folder / "log").read_text()
            sys.stderr.write((folder / "log").read_text())


@pytest.fixture
def reader(reader_process: RunningReader, cluster: ClusterDouble) -> RunningReader:
    """The reader, and a cluster that knows alice."""
    cluster.tokens = {TOKEN: (ALICE, "flywheel-reader")}
    cluster.rights = {ALICE: {("*", "*", "shop", "*")}}
    cluster.is_away = False
    return reader_process
