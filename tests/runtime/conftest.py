"""A real S3 server on loopback, and a proxy before it that breaks what tests tell it to break."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from flywheel_runtime.store.access import Access
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.s3 import Bucket
from tests.runtime.faulty_proxy import Proxy
from tests.runtime.pods import IMPATIENT, Pod
from tests.runtime.s3_server import Server, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("s3")) as found:
        yield found


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
    return Store.from_env(env, "shop", IMPATIENT)


@pytest.fixture
def through(env: dict[str, str], server: Server) -> Iterator[Callable[[Proxy], Store]]:
    """The same store, reached through a proxy."""
    open_proxies: list[Proxy] = []

    def build(proxy: Proxy) -> Store:
        proxy.start(server.port)
        open_proxies.append(proxy)
        access = replace(Access.from_env(env, env["FLYWHEEL_BUCKET"]), endpoint=proxy.endpoint)
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
