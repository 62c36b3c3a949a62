"""What collect tracks of a trial, with a real store: the output `tracking`, and the record in the index."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.collect import tracker
from flywheel_runtime.commands.collect.logged_files import last_values
from flywheel_runtime.commands.collect.main import collect
from flywheel_runtime.commands.collect.main_observer import MainObserver, Stop
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.tracking.index import record_key

pytestmark = pytest.mark.integration  # the other side is a real S3 server

TRACK = {"kind": "Experiment", "name": "delays", "trial": 7, "repeat": 1, "parameters": {"rate": 0.1}}
Pod = dict[str, str]


def config(**fields: Any) -> str:
    outputs = [{"name": "model", "required": True}]
    return json.dumps({"timeoutSeconds": None, "outputs": outputs, "track": TRACK, **fields})


@pytest.fixture
def pod(finished: Pod) -> Pod:
    return {**finished, "FLYWHEEL_COLLECT": config(), "FLYWHEEL_IMAGE": "acme/trainer:3"}


def outputs(pod: Pod) -> Path:
    return Path(pod["FLYWHEEL_ROOT"]) / "outputs"


def report(pod: Pod) -> dict[str, Any]:
    return collect(pod, Paths.from_env(pod), Stop(at=time.monotonic()))


def records(store: Store) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()
    while store.exists(record_key(len(found) + 1)):
        found.append(json.loads(store.get(record_key(len(found) + 1), 1 << 20)))
    return found


def tracked_files(store: Store, outputs: Mapping[str, Any]) -> dict[str, bytes]:
    return {file.path: store.read_file(file) for file in store.manifest(outputs["tracking"]["digest"]).files}


def test_a_trial_is_recorded_with_what_its_code_logged(pod: Pod, store: Store) -> None:
    (outputs(pod) / "tags.json").write_text('{"author": "ada"}')
    (outputs(pod) / "parameters.json").write_text('{"depth": 3, "warm_start": true}')
    (outputs(pod) / "artifacts" / "plots").mkdir(parents=True)
    (outputs(pod) / "artifacts" / "plots" / "roc.svg").write_text("<svg/>")

    told = report(pod)

    (record,) = records(store)
    assert told["complete"]
    assert (record["number"], record["id"], record["state"]) == (1, "1234.trial-7", "Succeeded")
    assert (record["tags"], record["loggedParameters"]) == ({"author": "ada"}, {"depth": 3, "warm_start": True})
    assert (record["metrics"], record["parameters"]) == ({"loss": 0.4}, {"rate": 0.1})
    assert record["outputs"] == told["outputs"]
    files = tracked_files(store, record["outputs"])
    assert set(files) == {
        "metrics.json", "metrics.jsonl", "params.json", "tags.json", "parameters.json", "artifacts/plots/roc.svg",
    }  # fmt: skip
    assert files["artifacts/plots/roc.svg"] == b"<svg/>"


def test_a_step_of_an_earlier_operator_is_not_recorded(finished: Pod, store: Store) -> None:
    (outputs(finished) / "tags.json").write_text('{"author": "ada"}')

    told = report(finished)

    assert records(store) == []
    assert "tags.json" not in tracked_files(store, told["outputs"])


def test_a_failed_trial_is_recorded_with_the_end_of_its_curves(pod: Pod, store: Store) -> None:
    (outputs(pod) / "metrics.json").unlink()
    (outputs(pod) / "metrics.jsonl").write_text(
        '{"step": 0, "name": "loss", "value": 0.9}\n{"step": 1, "name": "loss", "value": 0.8}\n{"step": 2, "name": "loss", "value": NaN}\n'
    )

    report(pod)

    (record,) = records(store)
    assert (record["state"], record["reason"], record["metrics"]) == ("Failed", "MetricsMissing", {"loss": 0.8})
    assert b"NaN" in tracked_files(store, record["outputs"])["metrics.jsonl"]


def test_an_end_that_is_tried_again_is_not_recorded(pod: Pod, store: Store) -> None:
    (Path(pod["FLYWHEEL_ROOT"]) / "run" / "fetched").unlink()
    pod.pop("FLYWHEEL_PARAMS", None)

    told = report(pod)

    assert told["error"]["reason"] == "MainNeverStarted"
    assert records(store) == []


def test_a_fetch_that_fails_for_good_is_recorded_with_its_reason(pod: Pod, store: Store) -> None:
    run = Path(pod["FLYWHEEL_ROOT"]) / "run"
    (run / "fetched").unlink()
    (run / "fetch-failure").write_text(
        '{"v": 1, "reason": "SourceMissing", "message": "there is no file", "retry": false}'
    )
    pod.pop("FLYWHEEL_PARAMS", None)

    told = report(pod)

    (record,) = records(store)
    assert told["error"]["reason"] == "MainNeverStarted"
    assert (record["state"], record["reason"], record["message"]) == ("Failed", "SourceMissing", "there is no file")


def test_a_main_that_failed_after_it_had_left_everything_has_no_result(
    pod: Pod, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MainObserver, "failure", Failure("ExitCode1", "main ended with exit code 1"))

    told = report(pod)

    (record,) = records(store)
    assert (told["complete"], told["error"]["reason"], list(told["outputs"])) == (False, "ExitCode1", ["tracking"])
    assert (record["state"], record["reason"], record["metrics"]) == ("Failed", "ExitCode1", {"loss": 0.4})
    assert store.result(Attempt.from_env(pod).result_key) is None


def test_a_follower_of_a_group_records_nothing(pod: Pod, store: Store) -> None:
    report({**pod, "FLYWHEEL_COLLECT": config(leader=0), "FLYWHEEL_INDEX": "1"})

    assert records(store) == []


def test_the_leader_of_a_group_has_the_id_of_the_step(pod: Pod, store: Store) -> None:
    report({**pod, "FLYWHEEL_COLLECT": config(leader=0), "FLYWHEEL_INDEX": "0"})

    assert [record["id"] for record in records(store)] == ["1234.trial-7"]


def test_a_collect_that_was_killed_after_its_result_is_recorded_by_the_next_one(pod: Pod, store: Store) -> None:
    (outputs(pod) / "tags.json").write_text('{"author": "ada"}')
    without = json.loads(pod["FLYWHEEL_COLLECT"])
    del without["track"]
    (outputs(pod) / "tags.json").rename(outputs(pod) / "model" / "tags.json")
    told = report({**pod, "FLYWHEEL_COLLECT": json.dumps(without)})  # committed, and then killed
    files = store.manifest(told["outputs"]["model"]["digest"])
    assert records(store) == []
    assert "tags.json" in {file.path for file in files.files}
    _restart(pod)

    repeated = report(pod)

    (record,) = records(store)
    assert repeated["repeated"]
    assert (record["state"], record["metrics"], record["outputs"]) == ("Succeeded", {"loss": 0.4}, told["outputs"])
    assert record["log"] is False


def test_what_an_earlier_collect_uploaded_is_read_from_the_store_for_the_record(pod: Pod, store: Store) -> None:
    (outputs(pod) / "tags.json").write_text('{"author": "ada"}')
    report(pod)
    _restart(pod)
    (outputs(pod) / "tags.json").write_text('{"author": "eve"}')  # not what counts

    report(pod)

    first, second = records(store)
    assert {**second, "number": 1} == first  # readers take the last record of an id


def _restart(pod: Pod) -> None:
    """As a new pod of the same attempt finds it."""
    for file in (Path(pod["FLYWHEEL_ROOT"]) / "run").iterdir():
        file.unlink()


def test_what_cannot_be_read_is_a_problem_of_the_record_and_no_failure(pod: Pod, store: Store) -> None:
    (outputs(pod) / "tags.json").write_text('{"author": 1}')
    (outputs(pod) / "parameters.json").symlink_to("/proc/self/environ")
    (outputs(pod) / "artifacts").mkdir()
    (outputs(pod) / "artifacts" / "environ").symlink_to("/proc/self/environ")

    assert report(pod)["complete"]

    (record,) = records(store)
    assert (record["tags"], record["loggedParameters"]) == ({}, {})
    assert [problem.partition(" ")[0] for problem in record["problems"]] == ["The", "parameters.json", "'author'"]
    assert not any(name.startswith("artifacts/") for name in tracked_files(store, record["outputs"]))


def test_more_logged_files_than_the_reader_lists_are_a_problem_of_the_record(
    pod: Pod, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "MAX_LOGGED_FILES", 2)
    (outputs(pod) / "artifacts").mkdir()
    for name in "abc":
        (outputs(pod) / "artifacts" / name).write_text(name)

    assert report(pod)["complete"]

    (record,) = records(store)
    assert "there are 3, and at most 2" in record["problems"][0]
    assert not any(name.startswith("artifacts/") for name in tracked_files(store, record["outputs"]))


def test_a_record_that_cannot_be_written_fails_no_trial(
    pod: Pod, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_store: Store, key: str, _body: bytes) -> None:
        raise AssertionError if key.startswith("results/") else _denied()

    create = Store.create
    monkeypatch.setattr(
        Store, "create", lambda *given: refuse(*given) if given[1].startswith("tracking/") else create(*given)
    )

    assert report(pod)["complete"]
    assert "not recorded" in capsys.readouterr().err


def _denied() -> Exception:
    from flywheel_runtime.contract.errors import AccessDenied

    return AccessDenied("AccessDenied", "no rights")


def test_an_output_that_is_named_artifacts_stays_the_users(pod: Pod, store: Store) -> None:
    (outputs(pod) / "artifacts").mkdir()
    (outputs(pod) / "artifacts" / "table.csv").write_text("a\n1\n")

    told = report({**pod, "FLYWHEEL_COLLECT": config(outputs=[{"name": "artifacts", "required": True}])})

    assert told["outputs"]["artifacts"]["files"] == 1
    assert "artifacts/table.csv" not in tracked_files(store, told["outputs"])


def test_the_last_values_of_a_curve_of_many_points_are_read_from_its_end(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    with file.open("w") as curve:
        curve.writelines(f'{{"step": {step}, "name": "loss", "value": {step}}}\n' for step in range(100_000))

    assert last_values(file) == {"loss": 99_999}
