"""However a file is cut, its rows are the same, and a row that cannot be read fails alone."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.commands.batch.inference.cells import read_values
from flywheel_runtime.commands.batch.reading import Chunk, Format, Piece, RowError, csv_rows, jsonl_rows
from flywheel_runtime.commands.batch.reading.columns import describe_cells
from flywheel_runtime.commands.batch.storage.locations import File
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.sql import connect
from tests.examples import examples

CELL = st.text(st.sampled_from('ab ,"\n\rÅ'), max_size=6)
TABLE = st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=12)


@dataclass
class Memory:
    """A source of one file."""

    content: bytes
    name: str = "memory"
    path: str = "a.csv"

    def files(self) -> list[File]:
        return [File(self.path, len(self.content), "1")]

    def read_range(self, file: File, start: int, stop: int) -> bytes:
        return self.content[start:stop]


def written(rows: list[list[str]], end: str = "\n") -> bytes:
    """A row with an empty first cell begins with quotes, so that it is not blank."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    return "".join(",".join(map(cell, row)) + end for row in rows).encode()


def texts(
    source: Memory, every: int = 1 << 20, wanted: tuple[str, ...] = ("x", "y"), format_: Format = csv_rows.FORMAT
) -> tuple[list[tuple[Any, ...]], list[RowError]]:
    """Each row's number and its cells as text, read slice by slice, and the rows that cannot be read."""
    (file,) = source.files()
    form = TableForm()
    head = format_.head(source, file, form)
    found: list[tuple[Any, ...]] = []
    bad: list[RowError] = []
    with connect(threads=1) as connection:
        cells = describe_cells("CSV" if format_ is csv_rows.FORMAT else "JSONL", head, wanted, form)

        def column(chunk: Chunk, name: str) -> list[str]:
            array, wrong = read_values(connection, chunk.rows, cells[name], "BYTES")
            assert wrong == {}
            return list(array)

        for part in format_.slices(source, file, head, every):
            chunks = list(format_.chunks(connection, Piece(source, file, head, part, wanted), form, Path("/tmp")))
            assert sum(len(chunk) + len(chunk.bad) for chunk in chunks) == part.rows
            for chunk in chunks:
                bad += chunk.bad
                if len(chunk):
                    found += list(zip(chunk.numbers, *(column(chunk, name) for name in wanted), strict=True))
    return found, bad


@settings(max_examples=examples(40, ci=10), deadline=None)
@given(TABLE, st.integers(1, 60), st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_row_comes_once_wherever_the_file_is_cut(table: list[list[str]], every: int, end: str) -> None:
    source = Memory(written([["x", "y"], *table], end))

    assert texts(source, every) == ([(number, *row) for number, row in enumerate(table, 1)], [])


def test_blank_lines_are_no_rows_and_the_last_line_needs_no_end() -> None:
    source = Memory(b"x,y\n1,2\n\n\r\n3,4\n\n5,6")

    assert texts(source, 1) == ([(1, "1", "2"), (2, "3", "4"), (3, "5", "6")], [])


def test_a_compressed_file_is_one_slice() -> None:
    source = Memory(gzip.compress(b"x,y\n1,2\n") + gzip.compress(b"3,4\n"))

    assert texts(source, 1) == ([(1, "1", "2"), (2, "3", "4")], [])


@pytest.mark.parametrize("cut", [10, -9, -1])
def test_broken_gzip_is_named(cut: int) -> None:
    source = Memory(gzip.compress(b"x,y\n" + b"1,2\n" * 1000)[:cut])
    (file,) = source.files()

    with pytest.raises(Failure, match=r"file 'a.csv' (is broken gzip|ends in the middle)"):
        csv_rows.slices(source, file, csv_rows.head(source, file, TableForm()), 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2,3\n", "RaggedRow"),
        (b"1\n", "RaggedRow"),
        (b"\xff,2\n", "NotUTF8"),
        (b'1,5" disk\n', None),
        (b'1,"x"y\n', "BrokenRow"),
    ],
)
def test_a_bad_row_of_csv_fails_alone(line: bytes, reason: str | None) -> None:
    found, bad = texts(Memory(b"x,y\n0,0\n" + line + b"9,9\n"))

    if reason is None:
        assert found == [(1, "0", "0"), (2, "1", '5" disk'), (3, "9", "9")]
    else:
        assert found == [(1, "0", "0"), (3, "9", "9")]
    assert [(error.row, error.reason) for error in bad] == ([(2, reason)] if reason else [])


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"x": \xff}', b"[" * 100_000])
def test_a_bad_line_of_json_fails_alone(line: bytes) -> None:
    source = Memory(b'{"x": 1}\n' + line + b'\n{"x": 3, "y": "a"}\n')

    found, bad = texts(source, format_=jsonl_rows.FORMAT)

    assert found == [(1, "1", ""), (3, "3", "a")]
    assert [error.row for error in bad] == [2]


@pytest.mark.parametrize(
    ("header", "reason"),
    [(b"a,,b\n", "HeaderInvalid"), (b"a,b,a\n", "RepeatedColumn"), (b"a,b,A\n", "RepeatedColumn"), (b"\xe5,b\n", "NotUTF8")],
)  # fmt: skip
def test_a_header_that_names_no_columns_is_refused(header: bytes, reason: str) -> None:
    source = Memory(header + b"1,2,3\n")

    with pytest.raises(Failure) as refused:
        csv_rows.head(source, source.files()[0], TableForm())

    assert refused.value.reason == reason


def test_a_key_that_comes_late_is_a_column() -> None:
    rows = [{"x": n} for n in range(200)] + [{"x": 200, "y": "late"}]
    source = Memory("".join(json.dumps(row) + "\n" for row in rows).encode())

    found, _ = texts(source, format_=jsonl_rows.FORMAT)

    assert found[0] == (1, "0", "")
    assert found[-1] == (201, "200", "late")


def test_a_column_of_a_folder_is_a_column() -> None:
    source = Memory(b"x\n1\n2\n", path="region=north%20sea/a.csv")

    assert texts(source, wanted=("x", "region")) == ([(1, "1", "north sea"), (2, "2", "north sea")], [])
