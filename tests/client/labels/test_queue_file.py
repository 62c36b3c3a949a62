"""The file of rows to label, whose texts come from callers of the service."""

from pathlib import Path

import pytest

from flywheel.client.labels.label_queue import DrawnRow
from flywheel.client.labels.queue_file import read_cells, write_queue


@pytest.mark.parametrize("name", ["=cmd()", "@cmd()", "'=cmd()", "+cmd()"])
def test_an_id_that_a_spreadsheet_would_compute_is_a_text_there_and_the_same_id_when_read(
    name: str, tmp_path: Path
) -> None:
    queue = tmp_path / "queue.csv"
    row = DrawnRow(0.5, {"id": name, "row": 0, "key": name})

    assert (write_queue(queue, [row]), write_queue(queue, [row])) == (0, 0)

    assert f",'{name},0,'{name},0.5" in queue.read_text()
    assert [(each["id"], each["key"]) for each in read_cells(queue)] == [(name, name)]


@pytest.mark.parametrize("key", ["-5", "+49", "'quoted'", "UA-7"])
def test_a_key_that_no_spreadsheet_computes_is_written_as_it_is(key: str, tmp_path: Path) -> None:
    queue = tmp_path / "queue.csv"

    write_queue(queue, [DrawnRow(0.5, {"id": "r-1", "row": 0, "key": key})])

    assert f",r-1,0,{key},0.5" in queue.read_text()
