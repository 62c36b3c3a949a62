"""However a text is cut, its records are the same."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.commands.batch.formats import csv_rows, jsonl_rows
from flywheel_runtime.commands.batch.formats.text_records import records, slices
from flywheel_runtime.commands.batch.storage.locations import File
from flywheel_runtime.contract.errors import Failure

CELL = st.text(st.sampled_from('ab ,"\n\rÅ'), max_size=6)
TABLE = st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=12)


@dataclass
class Memory:
    """A source of one file."""

    content: bytes
    name: str = "memory"

    def files(self) -> list[File]:
        return [File("a.csv", len(self.content), "1")]

    def read_range(self, file: File, start: int, stop: int) -> bytes:
        return self.content[start:stop]


def written(rows: list[list[str]], end: str = "\n") -> bytes:
    """A row with an empty first cell begins with quotes, so that it is not blank."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    return "".join(",".join(map(cell, row)) + end for row in rows).encode()


def cells(source: Memory, every: int) -> list[tuple[int, str, str]]:
    """Each row's number and cells, read slice by slice."""
    (file,) = source.files()
    head = csv_rows.head(source, file)
    found = []
    for part in slices(source, file, every, quoted=True, header=True):
        read = list(csv_rows.rows(source, file, head, part, ["x", "y"], Path()))
        assert sum(map(len, read)) == part.rows
        for rows in read:
            assert rows.bad == []
            found += list(zip(rows.numbers, rows.columns["x"], rows.columns["y"], strict=True))
    return found


@given(TABLE, st.integers(1, 60), st.sampled_from(["\n", "\r\n"]))
def test_every_row_comes_once_wherever_the_file_is_cut(table: list[list[str]], every: int, end: str) -> None:
    source = Memory(written([["x", "y"], *table], end))

    assert cells(source, every) == [(number, *row) for number, row in enumerate(table, 1)]


@given(TABLE, st.integers(1, 9))
def test_records_do_not_depend_on_the_blocks(table: list[list[str]], size: int) -> None:
    text = written(table)

    def parts(length: int) -> Iterator[bytes]:
        return (text[at : at + length] for at in range(0, len(text), length))

    def found(length: int) -> list[bytes]:
        return [record for part in records(parts(length), "a", quoted=True) for record in part.all()]

    assert found(size) == found(len(text))


def test_blank_lines_are_no_rows_and_the_last_line_needs_no_end() -> None:
    source = Memory(b"x,y\n1,2\n\n\r\n3,4\n\n5,6")

    assert cells(source, 1) == [(1, "1", "2"), (2, "3", "4"), (3, "5", "6")]


def test_a_compressed_file_is_one_slice() -> None:
    source = Memory(gzip.compress(b"x,y\n1,2\n") + gzip.compress(b"3,4\n"))

    assert cells(source, 1) == [(1, "1", "2"), (2, "3", "4")]


@pytest.mark.parametrize("cut", [10, -9, -1])
def test_broken_gzip_is_named(cut: int) -> None:
    source = Memory(gzip.compress(b"x,y\n" + b"1,2\n" * 1000)[:cut])

    with pytest.raises(Failure, match=r"file 'a.csv' (is broken gzip|ends in the middle)"):
        slices(source, source.files()[0], 1, quoted=True, header=True)


def test_a_quote_that_nobody_closes_is_no_end_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel_runtime.commands.batch.formats.text_records.LONGEST", 100)

    with pytest.raises(Failure, match="has a record of more than"):
        list(records([b'a,"b\n', *[b"c,d\n"] * 50], "a.csv", quoted=True))


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"1,2,3\n", "RaggedRow"), (b"1\n", "RaggedRow"), (b"\xff,2\n", "NotUTF8"), (b'1,5" disk\n', None)],
)
def test_a_bad_row_of_csv_fails_alone(line: bytes, reason: str | None) -> None:
    source = Memory(b"x,y\n0,0\n" + line + b"9,9\n" if reason else b"x,y\n" + line)
    (file,) = source.files()
    (part,) = slices(source, file, 1 << 20, quoted=True, header=True)

    (rows,) = csv_rows.rows(source, file, csv_rows.head(source, file), part, ["x"], Path())

    if reason is None:
        assert rows.columns["x"] == ["1"]
    else:
        assert (rows.numbers, rows.columns["x"]) == ([1, 3], ["0", "9"])
        assert [(error.row, error.reason) for error in rows.bad] == [(2, reason)]


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"x": \xff}', b"[" * 100_000])
def test_a_bad_line_of_json_fails_alone(line: bytes) -> None:
    source = Memory(b'{"x": 1}\n' + line + b'\n{"x": 3, "y": "a"}\n')
    (file,) = source.files()
    (part,) = slices(source, file, 1 << 20, quoted=False, header=False)

    (rows,) = jsonl_rows.rows(source, file, jsonl_rows.head(source, file), part, ["x", "y"], Path())

    assert (rows.numbers, rows.columns) == ([1, 3], {"x": [1, 3], "y": [None, "a"]})
    assert [error.row for error in rows.bad] == [2]


@pytest.mark.parametrize(
    ("header", "words"),
    [(b"a,,b\n", "must name each column once"), (b"a,b,a\n", "must name each column once"), (b"\xe5,b\n", "is not UTF-8")],
)  # fmt: skip
def test_a_header_that_names_no_columns_is_refused(header: bytes, words: str) -> None:
    source = Memory(header + b"1,2,3\n")

    with pytest.raises(Failure, match=words):
        csv_rows.head(source, source.files()[0])
