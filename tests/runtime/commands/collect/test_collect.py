"""What collect reports, message by message as the contract's golden ones, with a real store."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import flywheel_runtime
from e2e.waiting import wait_until
from flywheel_runtime.commands.collect.main import collect
from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.commands.collect.outputs import read_output
from flywheel_runtime.commands.collect.results import Files, ResultStore
from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store import installation
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.upload import blob_key
from tests.runtime import pods

pytestmark = pytest.mark.integration  # the other side is a real S3 server

SOURCES = Path(flywheel_runtime.__file__).parents[1]
Pod = dict[str, str]


@pytest.fixture
def pod(finished: Pod) -> Pod:
    return finished


def golden(name: str) -> dict[str, Any]:
    return dict(pods.golden(f"collect_{name}")["message"])


def stopped() -> Stop:
    return Stop(at=time.monotonic())


def report(pod: Pod) -> dict[str, Any]:
    """collect's final message, where main ended before collect looked."""
    return collect(pod, Paths.from_env(pod), stopped())


def outputs(pod: Pod) -> Path:
    return Path(pod["FLYWHEEL_ROOT"]) / "outputs"


def test_the_finished_message_is_the_golden_one(pod: Pod) -> None:
    (outputs(pod) / "facts.json").write_text('{"rows": 3}')

    told = report(pod)

    assert list(told) == list(golden("finished"))
    assert told["complete"]
    assert told["metrics"] == {"loss": 0.4}
    assert told["facts"] == {"rows": 3}
    assert {name: set(output) for name, output in told["outputs"].items()} == {
        name: set(output) for name, output in golden("finished")["outputs"].items()
    }
    assert told["outputs"]["tracking"]["files"] == 4


def test_the_source_of_main_is_tracked(pod: Pod, store: Store) -> None:
    source = Path(pod["FLYWHEEL_ROOT"]) / "source" / "train.py"
    source.parent.mkdir()
    source.write_text("print('trained')")

    told = report(pod)

    assert "train.py" in {each.path for each in store.manifest(told["outputs"]["tracking"]["digest"]).files}


def test_what_is_reported_can_be_fetched(pod: Pod, store: Store, tmp_path: Path) -> None:
    told = report(pod)

    manifest = store.manifest(told["outputs"]["model"]["digest"])
    store.download_file(manifest.files[0], tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").read_bytes() == b"weights"
    assert manifest.size == told["outputs"]["model"]["size"] == 7


def test_empty_metrics_are_metrics(pod: Pod) -> None:
    (outputs(pod) / "metrics.json").write_text("{}")

    assert report(pod)["complete"]


def no_metrics(out: Path) -> None:
    (out / "metrics.json").unlink()


def nan(out: Path) -> None:
    (out / "metrics.json").write_text('{"loss": NaN}')


def no_model(out: Path) -> None:
    (out / "model" / "model.onnx").unlink()


def linked(out: Path) -> None:
    (out / "model" / "last.onnx").symlink_to("/proc/self/environ")


def large_facts(out: Path) -> None:
    (out / "facts.json").write_text(json.dumps({"text": "x" * 5300}))


def listed_facts(out: Path) -> None:
    (out / "facts.json").write_text("[1]")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param("metrics_missing", no_metrics, id="no metrics"),
        pytest.param("metrics_invalid", nan, id="a metric that is NaN"),
        pytest.param("output_missing", no_model, id="an empty required output"),
        pytest.param("output_invalid", linked, id="a link to what main may not read"),
        pytest.param("facts_too_large", large_facts, id="large facts"),
        pytest.param("facts_invalid", listed_facts, id="facts that are no object"),
    ],
)
def test_what_main_did_wrong_is_said_as_the_golden_message_says(
    name: str, damage: Callable[[Path], None], pod: Pod
) -> None:
    damage(outputs(pod))

    told = report(pod)

    said = json.dumps(told["error"]).replace(pod["FLYWHEEL_ROOT"], "/flywheel")
    assert json.loads(said) == golden(name)["error"]
    assert list(told) == list(golden(name))
    assert not told["complete"]
    assert set(told["outputs"]) == {"tracking"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('{"loss": 1e999}', "metric 'loss' in .* is infinite", id="infinity"),
        pytest.param('{"loss": 1%s}' % ("0" * 400), "is too large", id="a whole number beyond floats"),
        pytest.param('{"loss": true}', "is true; every", id="a truth value"),
        pytest.param('{"loss": "0.4"}', "is text; every", id="text"),
        pytest.param('{"loss": {"a": 1}}', "is an object; every", id="a metric inside another"),
        pytest.param("[0.4]", "is not a JSON object", id="a list"),
        pytest.param('{"loss": 0.', "is not JSON", id="half a file"),
        pytest.param("[" * 100_000, "is not JSON", id="a hundred thousand brackets"),
        pytest.param('{"a": "%s"}' % ("x" * 2_000_000), "has more than 1.0 MiB", id="two megabytes"),
    ],
)
def test_metrics_that_are_no_flat_finite_numbers(text: str, words: str, pod: Pod) -> None:
    (outputs(pod) / "metrics.json").write_text(text)

    error = report(pod)["error"]

    assert error["reason"] == "MetricsInvalid"
    assert not error["retry"]
    with pytest.raises(Failure, match=words):
        raise Failure("", error["message"])


def pipe(model: Path) -> None:
    os.mkfifo(model / "pipe")


def latin_name(model: Path) -> None:
    (Path(os.fsdecode(os.fsencode(model) + b"/caf\xe9"))).write_bytes(b"x")


def a_file(model: Path) -> None:
    (model / "model.onnx").unlink()
    model.rmdir()
    model.write_bytes(b"x")


def a_link(model: Path) -> None:
    model.rename(model.with_name("elsewhere"))
    model.symlink_to(model.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(pipe, "holds not a regular file, 'pipe'", id="a pipe, which would hold us for ever"),
        pytest.param(latin_name, "is not UTF-8; rename it", id="a name in Latin-1"),
        pytest.param(a_file, "is a file; write it into", id="a file where a folder should be"),
        pytest.param(a_link, "is a link; write its files", id="a linked folder"),
    ],
)
def test_outputs_that_can_never_be_uploaded(damage: Callable[[Path], None], words: str, pod: Pod) -> None:
    damage(outputs(pod) / "model")

    error = report(pod)["error"]

    assert error["reason"] == "OutputInvalid"
    assert words in error["message"]


def test_a_folder_that_becomes_a_link_after_it_was_listed_gives_nothing_away(
    pod: Pod, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of main may outlive it in watch, which has its user."""
    secret = outputs(pod).with_name("secret")
    secret.mkdir()
    (secret / "model.onnx").write_bytes(b"the key of the store")
    list_files = read_output

    def list_then_replace(*args: Any) -> Files:
        found = list_files(*args)
        folder = outputs(pod) / "model"
        folder.rename(folder.with_name("model-before"))
        folder.symlink_to(secret)
        return found

    monkeypatch.setattr("flywheel_runtime.commands.collect.main.read_output", list_then_replace)

    told = report(pod)

    assert (told["complete"], told["error"]["reason"]) == (False, "OutputInvalid")
    key = blob_key(store.root, hashlib.sha256(b"the key of the store").hexdigest())
    assert not store.bucket.exists(key, len(b"the key of the store"))


def test_an_output_that_is_not_required_may_be_absent(pod: Pod) -> None:
    pod["FLYWHEEL_COLLECT"] = json.dumps({"outputs": [{"name": "model", "required": True}, {"name": "plots"}]})

    told = report(pod)

    assert told["complete"]
    assert set(told["outputs"]) == {"model", "tracking"}


def test_a_second_run_of_an_attempt_repeats_the_first_ones_words(pod: Pod) -> None:
    first = report(pod)
    Paths.from_env(pod).main_ended.unlink()  # it is another pod

    (outputs(pod) / "model" / "model.onnx").write_bytes(b"other weights")
    assert report(pod) == {**first, "repeated": True}
    assert Paths.from_env(pod).repeated.exists()
    assert Paths.from_env(pod).collecting.exists()


def alone(pod: Pod) -> Pod:
    """The pod of a step that fetches nothing: collect lets main in."""
    Paths.from_env(pod).fetched.unlink()
    return {**pod, "FLYWHEEL_PARAMS": '{"rate": 0.2}'}


def test_where_nothing_is_fetched_collect_brings_the_parameters(pod: Pod) -> None:
    told = report(alone(pod))

    assert told["complete"]
    assert json.loads(Paths.from_env(pod).params.read_text()) == {"rate": 0.2}
    assert Paths.from_env(pod).fetched.exists()
    assert Paths.from_env(pod).collecting.exists()


def test_a_collect_that_starts_again_leaves_the_parameters_of_a_running_main(pod: Pod) -> None:
    again = {**pod, "FLYWHEEL_PARAMS": '{"rate": 0.2}'}

    report(again)

    assert json.loads(Paths.from_env(pod).params.read_text()) == {"rate": 0.1}


def test_watch_gets_a_folder_that_it_may_write_to(pod: Pod) -> None:
    report(pod)

    assert Paths.from_env(pod).watch.stat().st_mode & 0o7777 == 0o2770


def test_where_nothing_is_fetched_main_is_not_let_in_twice(pod: Pod) -> None:
    first = report(pod)
    Paths.from_env(pod).main_ended.unlink()  # it is another pod
    Paths.from_env(pod).collecting.unlink()

    assert report(alone(pod)) == {**first, "repeated": True}
    assert not Paths.from_env(pod).collecting.exists()


def test_where_nothing_is_fetched_collect_says_that_the_store_refuses(pod: Pod) -> None:
    told = report({**alone(pod), "AWS_ACCESS_KEY_ID": "nobody"})

    assert (told["refused"], told["error"]["reason"], told["error"]["retry"]) == (True, "StoreRefused", True)
    assert list(told) == list(golden("refused"))
    assert not Paths.from_env(pod).collecting.exists()


def test_a_collect_that_is_started_again_repeats_its_last_message(pod: Pod) -> None:
    no_metrics(outputs(pod))
    log = Path(pod["FLYWHEEL_TERMINATION_LOG"])
    command = [sys.executable, "-m", "flywheel_runtime", "collect"]
    variables = {**os.environ, **pod, "PYTHONPATH": str(SOURCES)}
    said = []
    for _ in range(2):
        with subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL) as process:
            wait_until(lambda: log.exists() and bool(log.read_bytes()))  # it listens before it writes
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        said.append(json.loads(log.read_bytes()))
        log.unlink()
        (outputs(pod) / "metrics.json").write_text('{"loss": 0.1}')

    assert said[0]["error"]["reason"] == "MetricsMissing"
    assert said[1] == said[0]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        pytest.param({"metric": "loss", "maximize": False, "reach": 0.5}, True, id="better"),
        pytest.param({"metric": "loss", "maximize": False, "reach": 0.4}, True, id="as good"),
        pytest.param({"metric": "loss", "maximize": False, "reach": 0.3999999999}, True, id="as good, but for digits"),
        pytest.param({"metric": "loss", "maximize": False, "reach": 0.39}, False, id="worse"),
        pytest.param({"metric": "loss", "maximize": True, "reach": 0.41}, False, id="worse where more is better"),
        pytest.param({"metric": "other", "maximize": True, "reach": 9.0}, True, id="not reported"),
    ],
)
def test_only_what_is_among_the_best_is_kept(keep: dict[str, Any], kept: bool, pod: Pod) -> None:
    pod["FLYWHEEL_COLLECT"] = json.dumps({"outputs": [{"name": "model", "required": True}], "keep": keep})

    told = report(pod)

    assert told["complete"]
    assert told["metrics"] == {"loss": 0.4}
    assert set(told["outputs"]) == {"tracking", *(["model"] if kept else [])}


def test_another_attempt_is_not_a_repetition(pod: Pod) -> None:
    report(pod)

    assert not report(pod | {"FLYWHEEL_ATTEMPT": "2"})["repeated"]


def test_a_failed_attempt_commits_nothing(pod: Pod) -> None:
    no_metrics(outputs(pod))
    report(pod)
    (outputs(pod) / "metrics.json").write_text("{}")

    again = report(pod)

    assert again["complete"]
    assert not again["repeated"]


def test_of_two_pods_of_one_attempt_the_first_commit_holds(pod: Pod, store: Store) -> None:
    keeper = ResultStore(store, Attempt.from_env(pod), installation.installation_owner(pod))
    first = {"v": 1, "complete": True, "metrics": {"loss": 0.3}}
    deadline = time.monotonic() + 10
    keeper.commit(first, deadline)

    assert keeper.commit(first | {"metrics": {"loss": 0.5}}, deadline) == first


def test_main_never_started_where_fetch_did_not_end(pod: Pod) -> None:
    Paths.from_env(pod).fetched.unlink()

    told = report(pod)

    assert told["error"] == golden("main_never_started")["error"]
    assert list(told) == list(golden("main_never_started"))


@pytest.mark.parametrize(
    ("change", "name", "field"),
    [
        pytest.param(
            {"FLYWHEEL_BUCKET": "flywheel-is-not-here"}, "bucket_missing", "flywheel-is-not-here", id="bucket"
        ),
        pytest.param({"AWS_ACCESS_KEY_ID": "nobody"}, "store_refused", "XAdminUserNotFound", id="key"),
    ],
)
def test_a_store_that_takes_nothing_is_found_before_main_starts(
    change: Mapping[str, str], name: str, field: str, pod: Pod
) -> None:
    Paths.from_env(pod).fetched.unlink()

    with pytest.raises(Failure) as caught:
        report({**pod, **change})

    paths = Paths.from_env(pod)
    assert json.loads(paths.refused.read_text()) == {
        "reason": caught.value.reason,
        "message": caught.value.message,
        "retry": True,
    }
    assert paths.collecting.exists()
    expected = golden(name)["error"]
    said = caught.value.message.replace(pod["AWS_ENDPOINT_URL"], "http://store.flywheel:7070")
    assert caught.value.reason == expected["reason"]
    assert said == expected["message"].replace("bucket 'flywheel'", f"bucket '{field}'").replace(
        "InvalidAccessKeyId", field
    )


def test_the_process_says_running_and_then_how_it_ended(pod: Pod) -> None:
    log = Path(pod["FLYWHEEL_TERMINATION_LOG"])
    command = [sys.executable, "-m", "flywheel_runtime", "collect"]
    variables = {**os.environ, **pod, "PYTHONPATH": str(SOURCES)}
    with subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: Paths.from_env(pod).collecting.exists() or process.poll() is not None)
        assert process.poll() is None
        running = json.loads(log.read_bytes())
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)

    assert running == golden("running") == dict(termination_message.RUNNING)
    assert json.loads(log.read_bytes())["complete"]
    assert code == 0


def test_its_memory_is_closed_to_processes_of_the_same_user() -> None:
    program = "import ctypes; from flywheel_runtime.commands.collect.main import make_undumpable; make_undumpable(); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"

    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "0"  # PR_GET_DUMPABLE
