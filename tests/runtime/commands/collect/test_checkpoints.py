"""Checkpoints: only whole ones are kept, the newest is found again, and none of this can spoil the work itself."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime import run
from flywheel_runtime.commands.collect.checkpoints import Checkpoints
from flywheel_runtime.commands.collect.main import collect
from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.commands.collect.outputs import read_output
from flywheel_runtime.commands.collect.results import Files
from flywheel_runtime.contract.checkpoint import Pointer, newest_checkpoint
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.upload import blob_key
from tests.runtime.pods import Pod

ASKED: dict[str, Any] = {"FLYWHEEL_CHECKPOINT": "/flywheel/inputs/checkpoint"}
OWNER: dict[str, Any] = {"FLYWHEEL_UID": "1234", "FLYWHEEL_STEP": "trial-7"}
KEY = "checkpoints/1234/trial-7.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoints"
    made.mkdir()
    return made


def write(folder: Path, name: str, text: str, age: float = 0) -> None:
    (folder / name).mkdir()
    (folder / name / "model").write_text(text)
    os.utime(folder / name, (time.time() - age, time.time() - age))


def attempt(number: int = 1) -> Attempt:
    return Attempt("shop", "1234", "trial-7", str(number))


def test_the_newest_whole_checkpoint_counts(folder: Path) -> None:
    write(folder, "step-9", "old", age=60)
    write(folder, "step-10", "new", age=30)
    write(folder, ".step-11", "half")
    (folder / "notes.txt").write_text("no checkpoint")
    (folder / "link").symlink_to(folder / "step-9")

    found = newest_checkpoint(folder)

    assert found is not None
    assert found.name == "step-10"


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "nothing") is None


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYWHEEL_ROOT", str(tmp_path))
    monkeypatch.setenv("FLYWHEEL_CHECKPOINT", "asked")
    return tmp_path


def test_the_helper_names_a_checkpoint_only_when_it_is_whole(helper: Path) -> None:
    with run.new_checkpoint("step-1") as part:
        (part / "model").write_text("weights")
        assert newest_checkpoint(helper / "checkpoints") is None

    assert (helper / "checkpoints" / "step-1" / "model").read_text() == "weights"


def test_the_helper_leaves_nothing_whole_when_writing_failed(helper: Path) -> None:
    with pytest.raises(OSError, match="disk"), run.new_checkpoint("step-1"):
        raise OSError("disk full")

    assert newest_checkpoint(helper / "checkpoints") is None


def test_where_nobody_keeps_checkpoints_the_same_code_runs(helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYWHEEL_CHECKPOINT")

    with run.new_checkpoint("step-1") as part:
        (part / "model").write_text("weights")

    assert not (helper / "checkpoints").exists()
    assert run.checkpoint() is None


@pytest.mark.integration
def test_the_next_attempt_finds_the_newest(folder: Path, store: Store, pod: Pod) -> None:
    keeper = Checkpoints(folder, store, attempt())
    write(folder, "step-1", "one", age=60)
    keeper.upload(store)
    write(folder, "step-2", "two")
    keeper.upload(store)

    assert pod.fetch(**ASKED, **OWNER, FLYWHEEL_ATTEMPT="2") == 0

    assert pod.files("checkpoint") == {"model": b"two"}


@pytest.mark.integration
def test_the_first_attempt_finds_none_and_is_content(pod: Pod) -> None:
    assert pod.fetch(**ASKED, **OWNER) == 0
    assert not (pod.root / "inputs" / "checkpoint").exists()


@pytest.mark.integration
def test_a_step_that_keeps_none_is_brought_none(folder: Path, store: Store, pod: Pod) -> None:
    write(folder, "step-1", "one")
    Checkpoints(folder, store, attempt()).upload(store)

    assert pod.fetch(**OWNER) == 0
    assert not (pod.root / "inputs" / "checkpoint").exists()


@pytest.mark.integration
def test_an_attempt_that_lingers_does_not_overwrite_what_came_after_it(folder: Path, store: Store) -> None:
    write(folder, "step-1", "one")
    Checkpoints(folder, store, attempt(2)).upload(store)
    write(folder, "step-0", "late", age=-5)
    Checkpoints(folder, store, attempt(1)).upload(store)

    pointer = Pointer.parse(store.result(KEY) or b"")

    assert pointer is not None
    assert (pointer.name, pointer.attempt) == ("step-1", 2)


@pytest.mark.integration
def test_a_checkpoint_that_was_lost_or_spoiled_means_begin_anew(folder: Path, store: Store, pod: Pod) -> None:
    gone = Pointer("sha256:" + "0" * 64, "step-1", 1)
    store.replace(KEY, gone.encode())
    assert pod.fetch(**ASKED, **OWNER) == 0

    store.replace(KEY, b"not a pointer")
    assert pod.fetch(**ASKED, **OWNER) == 0

    assert not (pod.root / "inputs" / "checkpoint").exists()


@pytest.mark.integration
def test_a_checkpoint_that_cannot_be_kept_is_told_and_spoils_nothing(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, "step-1", "one")
    (folder / "step-1" / "link").symlink_to("/etc/passwd")

    Checkpoints(folder, store, attempt()).upload(store)

    assert "checkpoint 'step-1' was not uploaded" in capsys.readouterr().err
    assert store.result(KEY) is None


@pytest.mark.integration
@pytest.mark.parametrize("part", ["step-1", "step-1/deep"])
def test_a_folder_that_becomes_a_link_after_it_was_listed_gives_nothing_away(
    part: str, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Main is at work meanwhile, and the folder is its own."""
    (folder / "step-1" / "deep").mkdir(parents=True)
    (folder / "step-1" / "deep" / "model").write_text("weights")
    secret = folder.parent / "secret"
    (secret / "deep").mkdir(parents=True)
    for at in (secret / "model", secret / "deep" / "model"):
        at.write_text("the key of the store")
    list_files = read_output

    def list_then_replace(*args: Any, **given: Any) -> Files:
        found = list_files(*args, **given)
        (folder / part).rename(folder / ".before")
        (folder / part).symlink_to(secret)
        return found

    monkeypatch.setattr("flywheel_runtime.commands.collect.checkpoints.read_output", list_then_replace)

    Checkpoints(folder, store, attempt()).upload(store)

    assert "checkpoint 'step-1' was not uploaded: UnsafeFile: a link" in capsys.readouterr().err
    key = blob_key(store.root, hashlib.sha256(b"the key of the store").hexdigest())
    assert not store.bucket.exists(key, len("the key of the store"))


@pytest.mark.integration
def test_what_was_stopped_in_the_middle_leaves_its_last_checkpoint(finished: dict[str, str], store: Store) -> None:
    root = Path(finished["FLYWHEEL_ROOT"])
    (root / "outputs" / "metrics.json").unlink()
    (root / "checkpoints").mkdir()
    write(root / "checkpoints", "step-5", "five")
    order: dict[str, Any] = {"timeoutSeconds": None, "outputs": [], "checkpoint": {"everySeconds": 3600}}
    env = {**finished, "FLYWHEEL_COLLECT": json.dumps(order)}

    told = collect(env, Paths.from_env(env), Stop(at=time.monotonic()))

    pointer = Pointer.parse(store.result(KEY) or b"")
    assert not told["complete"]
    assert pointer is not None
    assert pointer.name == "step-5"
