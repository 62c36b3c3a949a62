"""Audit records in a real S3 server: written once, chained, and whatever is done to them is found and named."""

import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flywheel_runtime.audit import chain, records
from flywheel_runtime.commands import audit
from flywheel_runtime.commands.collect.main import finish
from flywheel_runtime.commands.collect.main_observer import MainObserver, Stop
from flywheel_runtime.commands.collect.results import ResultStore, add_audit_record
from flywheel_runtime.commands.collect.tracker import Tracker
from flywheel_runtime.contract.config.collect import CollectConfig
from flywheel_runtime.contract.errors import ObjectMissing
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store import installation
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
from tests.runtime.pods import golden

pytestmark = pytest.mark.integration  # the other side is a real S3 server

DIGEST = "sha256:" + "a" * 64
CHAMPION = {"version": "fraud-2", "digest": DIGEST, "since": "2026-01-01T12:00:00Z"}
RESULT: dict[str, Any] = {"outputs": {}, "metrics": {"roc_auc": 0.7}, "facts": {}}


def write(store: Store, number: int, champion: bool = False) -> records.AuditRecord:
    """One more record, as the Job of some version would."""
    entry = {"event": "Promoted" if champion else "Verified", "version": f"fraud-{number}", "digest": DIGEST}
    order = {"model": "fraud", "entries": [entry], "champion": CHAMPION if champion else None}
    return records.append_records(store, order, {"uid": f"u{number}", "step": "verify", "attempt": "1"}, RESULT)


@pytest.fixture
def written(store: Store) -> Store:
    """Three records, the second of which promotes."""
    for number in (1, 2, 3):
        write(store, number, champion=number == 2)
    return store


def spoil(store: Store, number: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write a changed record over one, as somebody with the store's keys could."""
    key = store.root + records.record_key("fraud", number)
    body = json.loads(store.bucket.get(key, limit=1 << 20))
    store.bucket.put(key, records.canonical_bytes(change(body)))


def test_records_are_numbered_and_each_knows_the_one_before(written: Store) -> None:
    checked = chain.check_chain(written, "fraud")

    assert [record.number for record in checked.records] == [1, 2, 3]
    assert checked.findings == ()
    first, second, _ = checked.records
    assert first.body["previous"] is None
    assert second.body["previous"] == hashlib.sha256(first.text).hexdigest()
    assert second.body["found"]["metrics"] == {"roc_auc": 0.7}
    assert second.body["by"] == {"uid": "u2", "step": "verify", "attempt": "1", "entry": 0}


def test_the_pointer_names_the_champion_and_its_record(written: Store) -> None:
    pointer = chain.read_champion(written, "fraud")

    assert pointer is not None
    assert {key: pointer[key] for key in CHAMPION} == CHAMPION
    assert pointer["audit"]["number"] == 2


def test_an_attempt_that_is_repeated_writes_nothing_again(written: Store) -> None:
    again = write(written, 2, champion=True)

    assert again.number == 2
    assert len(chain.check_chain(written, "fraud").records) == 3


def test_writers_at_the_same_time_make_one_chain(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write(store, number), range(24)))

    checked = chain.check_chain(store, "fraud")
    assert checked.findings == ()
    assert sorted(record.body["version"] for record in checked.records) == sorted(
        f"fraud-{number}" for number in range(24)
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "record 1 was changed after it was written, or record 2 was"),
        (2, "record 2 of Model 'fraud' was changed: champions/fraud.json knows it by another digest"),
    ],
)
def test_a_changed_record_is_found(written: Store, number: int, words: str) -> None:
    spoil(written, number, lambda body: {**body, "version": "fraud-666"})

    assert any(words in finding for finding in chain.check_chain(written, "fraud").findings)


def test_a_record_that_was_taken_out_is_found_and_the_chain_goes_on(written: Store) -> None:
    written.bucket.delete(written.root + records.record_key("fraud", 2))
    write(written, 4)

    findings = chain.check_chain(written, "fraud").findings
    assert findings[0] == "record 2 of Model 'fraud' is missing; the next one there is 3"
    assert "champions/fraud.json points at record 2, which is not there" in findings


def test_a_chain_that_was_cut_before_the_promotion_is_found_by_the_pointer(written: Store) -> None:
    for number in (2, 3):
        written.bucket.delete(written.root + records.record_key("fraud", number))

    assert chain.check_chain(written, "fraud").findings == (
        "champions/fraud.json points at record 2, which is not there",
    )


def test_a_pointer_at_another_version_is_found(written: Store) -> None:
    pointer = {**(chain.read_champion(written, "fraud") or {}), "version": "fraud-666"}
    written.bucket.put(f"{written.root}champions/fraud.json", records.canonical_bytes(pointer))

    [finding] = chain.check_chain(written, "fraud").findings
    assert "it names 'fraud-666', and record 2 promoted 'fraud-2'" in finding


def test_garbage_is_found_and_stops_nobody(written: Store) -> None:
    written.bucket.put(written.root + records.record_key("fraud", 3), b"\x00 not json")
    write(written, 4)

    checked = chain.check_chain(written, "fraud")
    assert checked.findings == ("record 3 of Model 'fraud' was changed: it is no JSON object",)
    assert len(checked.records) == 4


def test_the_command_says_what_it_found(
    written: Store, env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    here = {**env, "FLYWHEEL_NAMESPACE": "shop"}
    good = audit.main(here)
    told = capsys.readouterr().out
    spoil(written, 1, lambda body: {**body, "time": "yesterday"})
    bad = audit.main(here)

    assert (good, told) == (0, "Model 'fraud': 3 records, as they were written\n")
    assert bad == 1
    assert "record 1 was changed" in capsys.readouterr().out
    assert audit.main({**here, "AWS_SECRET_ACCESS_KEY": "wrong"}) == 2
    assert audit.main(env) == 2


ORDER = {"model": "fraud", "entries": [{"event": "Verified", "version": "fraud-1"}]}


def kept(pod: dict[str, str], store: Store, attempt: str = "1") -> dict[str, Any]:
    """What collect does at the end of a main that has done its work."""
    pod = {**pod, "FLYWHEEL_ATTEMPT": attempt}
    told = {**json.loads(pod["FLYWHEEL_COLLECT"]), "audit": ORDER}
    paths = Paths.from_env(pod)
    observer = MainObserver(None, paths)
    observer.run(Stop(at=time.monotonic()))
    keeper = ResultStore(store, Attempt.from_env(pod), installation.installation_owner(pod))
    return finish(Tracker(CollectConfig.parse(json.dumps(told)), paths, {}), observer, keeper, time.monotonic() + 20)


def test_collect_records_what_it_committed(finished: dict[str, str], store: Store) -> None:
    report = kept(finished, store)

    [record] = chain.check_chain(store, "fraud").records
    assert report["complete"]
    assert report["audit"] == {"number": 1, "sha256": record.sha256}
    assert list(report) == list(golden("collect_finished_audited")["message"])
    assert record.body["found"]["outputs"] == {name: each["digest"] for name, each in report["outputs"].items()}


def test_collect_records_once_what_was_committed_before_it_died(finished: dict[str, str], store: Store) -> None:
    kept(finished, store)
    store.bucket.delete(store.root + records.record_key("fraud", 1))
    keeper = ResultStore(
        store, Attempt.from_env({**finished, "FLYWHEEL_ATTEMPT": "1"}), installation.installation_owner(finished)
    )
    order = CollectConfig.parse(json.dumps({"audit": ORDER}))

    for _ in range(2):
        earlier = keeper.earlier()
        assert earlier is not None
        assert add_audit_record(earlier, order, keeper, time.monotonic() + 20)["audit"]["number"] == 1

    assert len(chain.check_chain(store, "fraud").records) == 1


def test_a_result_that_cannot_be_recorded_does_not_count(
    finished: dict[str, str], store: Store, env: dict[str, str]
) -> None:
    class Broken(Store):
        def commit(self, key: str, result: bytes) -> bytes:
            if key.startswith("audit/"):
                raise ObjectMissing("NoSuchKey", key)
            return super().commit(key, result)

    broken = Broken.from_env(env, "shop", Retry(patience=2))
    report = kept(finished, broken, attempt="7")

    assert not report["complete"]
    assert report["error"]["retry"]
