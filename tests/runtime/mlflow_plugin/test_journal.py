"""Processes of one step share the state of its runs through a file."""

from pathlib import Path

import pytest

from flywheel_runtime.mlflow_plugin.journal import Journal
from flywheel_runtime.mlflow_plugin.run_state import State, path_segment

STARTED = {"name": "first", "experiment": "0", "user": "", "started": 1}


def begin(journal: Journal, run_id: str, **fields: object) -> None:
    with journal.update() as update:
        update.append({"kind": "run", "id": run_id, "set": {**STARTED, **fields}})


def test_a_folder_without_a_journal_has_no_runs(tmp_path: Path) -> None:
    assert Journal(tmp_path).read().runs == {}


def test_one_process_reads_what_another_appends(tmp_path: Path) -> None:
    reader, writer = Journal(tmp_path), Journal(tmp_path)
    begin(writer, "a", params={"rate": "0.1"})
    assert reader.read().runs["a"].params == {"rate": "0.1"}

    with writer.update() as update:
        update.append({"kind": "run", "id": "a", "set": {"params": {"depth": "3"}, "status": "FINISHED"}})

    run = reader.read().runs["a"]
    assert (run.params, run.status) == ({"rate": "0.1", "depth": "3"}, "FINISHED")


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begin(Journal(tmp_path), "a")
    file = tmp_path / ".mlflow" / "journal.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"kind": "run", "id": "a", "set"')
    assert journal.read().runs["a"].status == "RUNNING"

    file.write_bytes(whole + b'{"kind": "run", "id": "a", "set": {"status": "FAILED"}}\n')

    assert journal.read().runs["a"].status == "FAILED"


def test_a_tag_without_a_value_is_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begin(journal, "a", tags={"team": "x", "stage": "try"})

    with journal.update() as update:
        update.append({"kind": "run", "id": "a", "set": {"tags": {"team": None}}})

    assert journal.read().runs["a"].tags == {"stage": "try"}


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        pytest.param("fold-1", "fold-1", id="a name stays"),
        pytest.param("fold/é 1", "fold_ 1", id="what MLflow allows in no metric, and slashes"),
        pytest.param("..", "run", id="no path leaves its folder"),
        pytest.param("x" * 300, "x" * 100, id="a long name is cut"),
    ],
)
def test_the_name_of_a_nested_run_is_one_segment_of_a_path(name: str, segment: str) -> None:
    assert path_segment(name) == segment


def test_nested_runs_of_one_name_have_prefixes_of_their_own() -> None:
    state = State()
    state.apply({"kind": "run", "id": "a", "set": STARTED})
    found = []
    for run_id in ("b", "c"):
        found.append(state.prefix("fold", "a"))
        state.apply({"kind": "run", "id": run_id, "set": {**STARTED, "prefix": found[-1]}})

    assert found == ["fold/", "fold-2/"]
    assert state.prefix("inner", "c") == "fold-2/inner/"
    assert state.prefix("of a step before", "unknown") == ""
