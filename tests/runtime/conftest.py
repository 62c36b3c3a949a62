"""A real S3 server on loopback, and a proxy before it that breaks what tests tell it to break."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.store.s3 import Access, Bucket
from tests.runtime.proxy import Proxy

KEY, SECRET = "tester", "secret-of-tester"
IMPATIENT = Retry(patience=2)


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


def versitygw() -> str:
    """The binary: named, or on the path, or in the cache of the development cluster."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flywheel"
    cached = [str(file) for file in sorted(cache.glob("**/versitygw")) if file.is_file()]
    found = [os.environ.get("FLYWHEEL_VERSITYGW"), shutil.which("versitygw"), *cached]
    binary = next((file for file in found if file), None)
    if binary is not None:
        return binary
    words = "versitygw is not built; `make up` builds it, or name one with FLYWHEEL_VERSITYGW"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    buckets, log = folder / "buckets", folder / "log"
    buckets.mkdir()
    command = [versitygw(), "--access", KEY, "--secret", SECRET, "--port", f"127.0.0.1:{port}", "posix", str(buckets)]
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
