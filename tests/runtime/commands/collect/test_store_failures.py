"""collect against a store that is gone, busy or silent at the end: reported in time, and never as a success."""

import json
import time
from typing import Any

import pytest

from flywheel_runtime.commands.collect.main import collect, finish
from flywheel_runtime.commands.collect.main_observer import MainObserver, Stop
from flywheel_runtime.commands.collect.results import ResultStore
from flywheel_runtime.commands.collect.tracker import Tracker
from flywheel_runtime.contract.config.collect import CollectConfig
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store import installation
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
from tests.runtime import pods
from tests.runtime.faulty_proxy import SLOW_DOWN, Fault, Proxy
from tests.runtime.s3_server import Server

pytestmark = pytest.mark.integration  # the other side is a real S3 server

Pod = dict[str, str]


@pytest.fixture
def pod(finished: Pod) -> Pod:
    return finished


def golden(name: str) -> dict[str, Any]:
    return dict(pods.golden(f"collect_{name}")["message"])


def keep(pod: Pod, endpoint: str, seconds: float) -> dict[str, Any]:
    """finish(), with the store behind `endpoint` and so many seconds until the deadline."""
    paths = Paths.from_env(pod)
    observer = MainObserver(None, paths)
    observer.run(Stop(at=time.monotonic()))
    store = Store.from_env({**pod, "AWS_ENDPOINT_URL": endpoint}, "shop", Retry())
    keeper = ResultStore(store, Attempt.from_env(pod), installation.installation_owner(pod))
    return finish(
        Tracker(CollectConfig.parse(pod["FLYWHEEL_COLLECT"]), paths, pod), observer, keeper, time.monotonic() + seconds
    )


def test_a_store_that_is_gone_at_the_end_is_reported_in_time(pod: Pod) -> None:
    told = keep(pod, "http://127.0.0.1:9", seconds=2)

    said = json.dumps(told["error"]).replace("http://127.0.0.1:9", "http://store.flywheel:7070")
    assert json.loads(said) == golden("store_unreachable")["error"]
    assert told["metrics"] == {"loss": 0.4}


def test_a_store_that_stays_busy_is_reported_in_time(pod: Pod, server: Server) -> None:
    proxy = Proxy([Fault(answer=SLOW_DOWN)] * 1000)
    proxy.start(server.port)
    try:
        told = keep(pod, proxy.endpoint, seconds=2)
    finally:
        proxy.stop()

    said = json.dumps(told["error"]).replace(proxy.endpoint, "http://store.flywheel:7070")
    assert json.loads(said) == golden("upload_failed")["error"]


def test_a_store_that_answers_nothing_is_reported_in_time(pod: Pod, server: Server) -> None:
    proxy = Proxy([Fault(hold_up=0)] * 1000)
    proxy.start(server.port)
    try:
        told = keep(pod, proxy.endpoint, seconds=1)
    finally:
        proxy.stop()

    assert told["error"]["reason"] == "UploadFailed"
    assert told["error"]["retry"]


def test_a_store_that_comes_back_in_time_gets_all(pod: Pod, server: Server) -> None:
    proxy = Proxy([Fault(answer=SLOW_DOWN)] * 6)
    proxy.start(server.port)
    try:
        assert keep(pod, proxy.endpoint, seconds=20)["complete"]
    finally:
        proxy.stop()


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        pytest.param(
            {"FLYWHEEL_BUCKET": ""},
            "BucketMissing",
            "Secret 'flywheel-store' has no FLYWHEEL_BUCKET; add it",
            id="bucket",
        ),
        pytest.param(
            {"AWS_ENDPOINT_URL": "store:7070"},
            "StoreUnreachable",
            "Secret 'flywheel-store' has the AWS_ENDPOINT_URL 'store:7070', which is no URL; correct it",
            id="endpoint",
        ),
        pytest.param(
            {"FLYWHEEL_COLLECT": '{"outputs": [{"name": "tracking"}]}'},
            "OutputInvalid",
            "no output may be named 'tracking'; rename it",
            id="a name that is taken",
        ),
    ],
)
def test_what_cannot_work_is_told_to_fetch_before_main_starts(
    change: dict[str, str], reason: str, words: str, pod: Pod
) -> None:
    Paths.from_env(pod).fetched.unlink()

    with pytest.raises(Failure):
        collect({**pod, **change}, Paths.from_env(pod), Stop(at=time.monotonic()))

    refusal = json.loads(Paths.from_env(pod).refused.read_text())
    assert (refusal["reason"], refusal["message"]) == (reason, words)
    assert Paths.from_env(pod).collecting.exists()
