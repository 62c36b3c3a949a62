"""A store that is away when main has ended: the outputs are kept, and whoever looks is told what they wait for."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2e.waiting import wait_until
from flywheel_runtime.commands.collect import patience
from flywheel_runtime.commands.collect.main import collect, observe_main
from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.commands.collect.results import ResultStore
from flywheel_runtime.contract.config.collect import CollectConfig
from flywheel_runtime.contract.errors import OutputsWait
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store import installation
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
from tests.runtime import pods

pytestmark = pytest.mark.integration  # the other side is a real S3 server

Pod = dict[str, str]
AWAY = "http://127.0.0.1:9"


@pytest.fixture
def pod(finished: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    """A pod whose main has finished, with the store's Secret mounted."""
    monkeypatch.setattr(patience, "ATTEMPT_SECONDS", 0.5)
    monkeypatch.setattr("flywheel_runtime.commands.collect.main.START_TIMEOUT_SECONDS", 0.5)
    secret = tmp_path / "secret"
    secret.mkdir()
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FLYWHEEL_BUCKET"):
        (secret / name).write_text(finished.pop(name))
    return with_patience({**finished, "FLYWHEEL_STORE_FOLDER": str(secret)}, 3600)


def with_patience(pod: Pod, seconds: float) -> Pod:
    config = json.loads(pod["FLYWHEEL_COLLECT"]) | {"uploadPatienceSeconds": seconds}
    return {**pod, "FLYWHEEL_COLLECT": json.dumps(config)}


def change_secret(pod: Pod, key: str, value: str) -> str:
    """The value before."""
    file = Path(pod["FLYWHEEL_STORE_FOLDER"]) / key
    before = file.read_text()
    file.write_text(value)
    return before


def observe(pod: Pod, stop: Stop) -> dict[str, Any]:
    """collect, from main's end on."""
    store = installation.open_store(pod, Retry())
    results = ResultStore(store, Attempt.from_env(pod), installation.installation_owner(pod))
    return observe_main(pod, CollectConfig.parse(pod["FLYWHEEL_COLLECT"]), Paths.from_env(pod), stop, results)


def golden_message() -> str:
    return str(pods.golden("collect_waiting")["message"]["message"])


def test_outputs_wait_for_a_store_that_is_away_and_are_uploaded_when_it_is_back(pod: Pod) -> None:
    there = change_secret(pod, "AWS_ENDPOINT_URL", AWAY)

    with pytest.raises(OutputsWait) as waiting:
        observe(pod, Stop(at=time.monotonic()))
    with pytest.raises(OutputsWait) as still_waiting:
        collect(pod, Paths.from_env(pod), Stop())
    change_secret(pod, "AWS_ENDPOINT_URL", there)
    report = collect(pod, Paths.from_env(pod), Stop())

    said = re.sub(r"until .* UTC", "until 2026-11-29 16:00 UTC", str(waiting.value.report["message"]))
    assert said.replace(AWAY, "http://store.flywheel:7070") == golden_message()
    assert still_waiting.value.report == waiting.value.report
    assert (report["complete"], report["metrics"]) == (True, {"loss": 0.4})
    assert set(report["outputs"]) == {"model", "tracking"}


def test_outputs_wait_for_credentials_that_are_refused(pod: Pod) -> None:
    key = change_secret(pod, "AWS_SECRET_ACCESS_KEY", "revoked")

    with pytest.raises(OutputsWait, match="refuses the credentials"):
        observe(pod, Stop(at=time.monotonic()))
    (Path(pod["FLYWHEEL_STORE_FOLDER"]) / "AWS_SECRET_ACCESS_KEY").unlink()
    with pytest.raises(OutputsWait, match="has AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"):
        collect(pod, Paths.from_env(pod), Stop())
    (Path(pod["FLYWHEEL_STORE_FOLDER"]) / "AWS_SECRET_ACCESS_KEY").write_text(key)

    assert collect(pod, Paths.from_env(pod), Stop())["complete"]


def test_what_was_observed_of_main_is_reported_by_a_later_collect(pod: Pod) -> None:
    paths = Paths.from_env(pod)
    change_secret(pod, "AWS_ENDPOINT_URL", AWAY)
    with pytest.raises(OutputsWait):
        observe(pod, Stop(at=time.monotonic()))
    observed = json.loads(paths.main_ended.read_text())
    paths.main_ended.write_text(json.dumps(observed | {"timedOut": True, "usage": {"cpu_seconds": 12.5}}))

    report = collect(with_patience(pod, 0.001), paths, Stop())

    assert (report["timedOut"], report["usage"]["cpuSeconds"]) == (True, 12.5)


def test_patience_ends_with_the_stores_last_word(pod: Pod) -> None:
    change_secret(pod, "AWS_ENDPOINT_URL", AWAY)
    with pytest.raises(OutputsWait):
        observe(pod, Stop(at=time.monotonic()))

    report = collect(with_patience(pod, 0.001), Paths.from_env(pod), Stop())

    assert (report["complete"], report["error"]["reason"], report["error"]["retry"]) == (
        False,
        "StoreUnreachable",
        True,
    )


def test_a_pod_that_ends_has_its_grace_period(pod: Pod) -> None:
    there = change_secret(pod, "AWS_ENDPOINT_URL", AWAY)
    now = time.monotonic()

    given_up = observe({**pod, "FLYWHEEL_GRACE_SECONDS": "4"}, Stop(at=now, terminated_at=now))
    change_secret(pod, "AWS_ENDPOINT_URL", there)

    assert given_up["error"]["reason"] == "StoreUnreachable"
    assert time.monotonic() - now > 2  # of 4, less the margin for the message and the last pause


def test_a_failure_of_main_waits_for_nothing(pod: Pod) -> None:
    (Paths.from_env(pod).outputs / "metrics.json").unlink()
    change_secret(pod, "AWS_ENDPOINT_URL", AWAY)

    assert observe(pod, Stop(at=time.monotonic()))["error"]["reason"] == "MetricsMissing"


def test_a_collect_that_starts_again_while_main_works_needs_no_store(pod: Pod) -> None:
    there = change_secret(pod, "AWS_ENDPOINT_URL", AWAY)
    paths, stop = Paths.from_env(pod), Stop()

    def end_of_main() -> None:
        wait_until(paths.collecting.exists)
        stop.now()

    with ThreadPoolExecutor() as pool:
        pool.submit(end_of_main)
        with pytest.raises(OutputsWait, match="has finished"):
            collect(pod, paths, stop)
    assert not paths.refused.exists()
    change_secret(pod, "AWS_ENDPOINT_URL", there)

    assert collect(pod, paths, Stop())["complete"]


def test_a_collect_that_cannot_open_the_store_while_main_works_starts_again(pod: Pod) -> None:
    (Path(pod["FLYWHEEL_STORE_FOLDER"]) / "AWS_SECRET_ACCESS_KEY").unlink()

    with pytest.raises(OutputsWait, match=r"is at work; its outputs wait for the store: .* no AWS_SECRET_ACCESS_KEY"):
        collect(pod, Paths.from_env(pod), Stop())
    assert not Paths.from_env(pod).refused.exists()


def test_a_result_of_this_pod_is_not_one_of_an_earlier_pod(pod: Pod) -> None:
    """The operator must not take it for the success of another pod where main has failed here."""
    first = observe(pod, Stop(at=time.monotonic()))

    again = observe(pod, Stop(at=time.monotonic()))

    assert (again["outputs"], again["repeated"]) == (first["outputs"], False)


def test_a_result_that_is_there_already_is_not_waited_for(pod: Pod) -> None:
    first = observe(pod, Stop(at=time.monotonic()))

    assert collect(pod, Paths.from_env(pod), Stop()) == first
    assert isinstance(Store.from_env(pod, "shop", Retry()).result(Attempt.from_env(pod).result_key), bytes)
