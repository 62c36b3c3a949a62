"""A real S3 server on loopback, and a proxy before it that breaks what tests tell it to break."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from e2e.cluster import golang
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.s3 import Access, Bucket
from tests.runtime.pods import IMPATIENT, Pod
from tests.runtime.proxy import Proxy

KEY, SECRET = "tester", "secret-of-tester"


@dataclass(frozen=True)
class Server:
    """versitygw with its folder of buckets."""

    port: int
    folder: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def env(self, bucket: str) -> dict[str, str]:
        """The store's Secret."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "FLYWHEEL_BUCKET": bucket,
        }

    def make_bucket(self, name: str) -> None:
        Bucket(Access.of(self.env(name), name))._ask("create_bucket")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("s3")) as found:
        yield found


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """versitygw on a free port of loopback, with its buckets below `folder`."""
    port = free_port()
    buckets, log = folder / "buckets", folder / "log"
    buckets.mkdir()
    command = [
        str(golang.build(golang.VERSITYGW)),
        "--access",
        KEY,
        "--secret",
        SECRET,
        "--port",
        f"127.0.0.1:{port}",
        "posix",
        str(buckets),
    ]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield Server(port, buckets)
        finally:
            process.terminate()


NUMBERS = count(1)


@pytest.fixture
def bucket(server: Server) -> str:
    """The name of a bucket of the test's own."""
    name = f"bucket-{next(NUMBERS)}"
    server.make_bucket(name)
    return name


@pytest.fixture
def env(server: Server, bucket: str) -> dict[str, str]:
    return server.env(bucket)


@pytest.fixture
def store(env: dict[str, str]) -> Store:
    return Store.of(env, "shop", IMPATIENT)


@pytest.fixture
def through(env: dict[str, str], server: Server) -> Iterator[Callable[[Proxy], Store]]:
    """The same store, reached through a proxy."""
    open_proxies: list[Proxy] = []

    def build(proxy: Proxy) -> Store:
        proxy.start(server.port)
        open_proxies.append(proxy)
        access = replace(Access.of(env, env["FLYWHEEL_BUCKET"]), endpoint=proxy.endpoint)
        return Store(Bucket(access, read_timeout=5), "shop/", IMPATIENT)

    yield build
    for proxy in open_proxies:
        proxy.stop()


@pytest.fixture
def pod(tmp_path: Path, env: dict[str, str]) -> Pod:
    (tmp_path / "root").mkdir()
    own = {
        "FLYWHEEL_ROOT": str(tmp_path / "root"),
        "FLYWHEEL_TERMINATION_LOG": str(tmp_path / "log"),
        "FLYWHEEL_NAMESPACE": "shop",
        "FLYWHEEL_PARAMS": '{"rate": 0.1}',
    }
    return Pod(tmp_path / "root", env | own)


@pytest.fixture
def finished(tmp_path: Path, env: dict[str, str]) -> dict[str, str]:
    """A pod's environment, where fetch has succeeded and main has written all that it should."""
    root = tmp_path / "flywheel"
    (root / "run").mkdir(parents=True)
    (root / "run" / "fetched").write_text("[1]")
    (root / "params.json").write_text('{"rate": 0.1}')
    model = root / "outputs" / "model"
    model.mkdir(parents=True)
    (model / "model.onnx").write_bytes(b"weights")
    (root / "outputs" / "metrics.json").write_text('{"loss": 0.4}')
    (root / "outputs" / "metrics.jsonl").write_text('{"step": 0, "name": "loss", "value": 0.4}\n')
    return env | {
        "FLYWHEEL_ROOT": str(root),
        "FLYWHEEL_TERMINATION_LOG": str(tmp_path / "termination-log"),
        "FLYWHEEL_NAMESPACE": "shop",
        "FLYWHEEL_UID": "1234",
        "FLYWHEEL_STEP": "trial-7",
        "FLYWHEEL_COLLECT": json.dumps({"timeoutSeconds": None, "outputs": [{"name": "model", "required": True}]}),
        "FLYWHEEL_GRACE_SECONDS": "20",
    }
