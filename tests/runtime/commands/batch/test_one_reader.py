"""A file has the same cells in a batch as in the Dataset of the model: of any type, in any format, wherever it is cut."""

import math
import tempfile
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flywheel_runtime.commands.batch.inference.cells import read_values
from flywheel_runtime.commands.batch.reading import Piece
from flywheel_runtime.commands.batch.reading.choice import FORMATS
from flywheel_runtime.commands.batch.reading.columns import describe_cells
from flywheel_runtime.commands.batch.storage.locations import File
from flywheel_runtime.datasets import source, types
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.datasets.sql import connect, quote_identifier, quote_literal
from tests.examples import examples

pytestmark = pytest.mark.integration  # seconds of DuckDB
TEXT = st.one_of(
    st.sampled_from(["NA", "?", "", " ", "1", "00501", "2013-01-31", "yes", "1,5", '5" disk', "null", "Å\nÄ", "a;b"]),
    st.text(st.sampled_from("a1 ,;\"'\n\r.ß"), max_size=5),
)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "TINYINT": st.integers(-128, 127),
    "SMALLINT": st.integers(-(2**15), 2**15 - 1),
    "UTINYINT": st.integers(0, 255),
    "USMALLINT": st.integers(0, 65535),
    "UINTEGER": st.integers(0, 2**32 - 1),
    "INTEGER": st.integers(-(2**31), 2**31 - 1),
    "BIGINT": INTEGERS,
    "UBIGINT": st.integers(0, 2**63 - 1),  # greater ones are refused, as are those of the next two
    "HUGEINT": INTEGERS,
    "UHUGEINT": st.integers(0, 2**63 - 1),
    "FLOAT": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "DOUBLE": st.floats(allow_nan=False, allow_infinity=False),
    "DECIMAL(9,2)": st.decimals(-9999, 9999, places=2),
    "DECIMAL(18,0)": st.integers(-(10**17), 10**17),
    "BOOLEAN": st.booleans(),
    "VARCHAR": TEXT,
    "DATE": st.dates().map(str),
    "TIMESTAMP": st.datetimes().map(str),
    "TIMESTAMP_S": st.datetimes().map(str),
    "TIMESTAMP_MS": st.datetimes().map(str),
    "TIMESTAMP_NS": st.dates(date(1700, 1, 1), date(2200, 1, 1)).map(lambda day: f"{day} 12:34:56.7"),
    "TIMESTAMPTZ": st.datetimes().map(lambda time: f"{time}+02"),
    "UUID": st.uuids().map(str),
    "ENUM('a', 'b', '7')": st.sampled_from("ab7"),
}
NAMES = [
    "c0",
    "size (cm, m)",
    'a "b"',
    "it's",
    "Ä",
    "select",
    "value",
    "7",
    "x.y",
    "row",
    "file_row_number",
    "a;b",
    "$1",
]
DATATYPES = {"Integer": "INT64", "Float": "FP64", "String": "BYTES", "Boolean": "BOOL", "Timestamp": "FP64"}
COPY = {"CSV": "FORMAT csv, HEADER", "JSONL": "FORMAT json", "Parquet": "FORMAT parquet, ROW_GROUP_SIZE 2048"}
SUFFIX = {"CSV": "csv", "JSONL": "jsonl", "Parquet": "parquet"}


@dataclass
class Folder:
    """A source of one file on this disk."""

    path: Path
    name: str = "folder"

    def files(self) -> list[File]:
        return [File(self.path.name, self.path.stat().st_size, "1")]

    def read_range(self, file: File, start: int, stop: int) -> bytes:
        return self.path.read_bytes()[start:stop]


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Columns with types of DuckDB, and rows of them; the first column has no empty cell, so that no row is a blank line."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=len(kinds) + 1, max_size=len(kinds) + 1, unique=True))
    row = st.tuples(st.integers(0, 9), *(st.none() | VALUES[kind] for kind in kinds))
    return dict(zip(names, ["INTEGER", *kinds], strict=True)), draw(st.lists(row, min_size=1, max_size=12))


def write(folder: Path, kinds: dict[str, str], rows: list[tuple[Any, ...]], format_: str) -> Path:
    path = folder / f"a.{SUFFIX[format_]}"
    with connect(threads=1) as connection:
        columns = ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in kinds.items())
        connection.execute(f"CREATE TABLE made ({columns})")
        places = ", ".join("?" for _ in kinds)
        connection.executemany(f"INSERT INTO made VALUES ({places})", [list(row) for row in rows])
        connection.execute(f"COPY made TO {quote_literal(str(path))} ({COPY[format_]})")
    return path


def read_dataset(folder: Path, form: TableForm) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """The types and the cells of all columns, as the check of a Dataset reads them; timestamps as training does."""
    with connect(threads=1) as connection:
        stated = source.load_source(connection, source.list_files(folder), form)
        inferred = types.infer_types(connection, [name for name, kind in stated.items() if kind is None], form.csv)
        kinds = {name: kind or inferred[name] for name, kind in stated.items()}
        typed = {name: types.typed_value(name, stated[name], kind, True, form.csv) for name, kind in kinds.items()}
        values = ", ".join(
            types.timestamp_number(f"({sql})") if kinds[name] == "Timestamp" else sql for name, sql in typed.items()
        )
        rows = connection.execute(f"SELECT {values} FROM raw").fetchall()
    return kinds, {name: [row[at] for row in rows] for at, name in enumerate(kinds)}


def read_batch(path: Path, form: TableForm, format_: str, kinds: dict[str, str], every: int) -> dict[str, list[Any]]:
    """The cells of the columns that can be features, as a batch reads them; None where it has none."""
    folder = Folder(path)
    (file,) = folder.files()
    reader = FORMATS[format_]
    head = reader.head(folder, file, form)
    names = tuple(name for name, kind in kinds.items() if kind in DATATYPES)
    found: dict[str, list[Any]] = {name: [] for name in names}
    with connect(threads=1) as connection:
        cells = describe_cells(format_, head, names, form)
        for part in reader.slices(folder, file, head, every):
            for chunk in reader.chunks(connection, Piece(folder, file, head, part, names), form, path.parent):
                assert chunk.bad == ()
                for name in names:
                    cell = replace(cells[name], is_timestamp=kinds[name] == "Timestamp")
                    array, wrong = read_values(connection, chunk.rows, cell, DATATYPES[kinds[name]])
                    found[name] += [None if at in wrong else value for at, value in enumerate(array.tolist())]
    return found


def same(left: Any, right: Any) -> bool:
    """Of the Dataset and the batch: no value is NaN for a float, no text, and else none."""
    if left is None:
        return right in (None, "") or math.isnan(right)
    return bool(left == right)


@pytest.mark.parametrize("format_", ["CSV", "JSONL", "Parquet"])
@settings(max_examples=examples(25, ci=5), deadline=None)
@given(table=tables(), every=st.integers(1, 80))
def test_a_batch_reads_the_cells_of_the_dataset(
    format_: str, table: tuple[dict[str, str], list[tuple[Any, ...]]], every: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), *table, format_)
        kinds, expected = read_dataset(Path(folder), TableForm())

        found = read_batch(path, TableForm(), format_, kinds, every)

    assert {len(cells) for cells in expected.values()} == {len(table[1])}
    for name, cells in found.items():
        assert len(cells) == len(expected[name])
        assert all(map(same, expected[name], cells)), (name, kinds[name], expected[name], cells)


CELL = st.text(st.sampled_from('ab1.,;? "'), max_size=4)
FORMS = st.builds(
    CsvOptions,
    delimiter=st.sampled_from([";", "|", "\t"]),
    decimal=st.sampled_from([".", ","]),
    thousands=st.sampled_from([None, "'", "_"]),
    missing=st.sampled_from([(), ("?", "-")]),
)


@settings(max_examples=examples(30, ci=10), deadline=None)
@given(
    form=FORMS, rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=9), end=st.sampled_from(["\n", "\r\n", "\r"])
)
def test_a_batch_reads_the_dialect_of_the_dataset(form: CsvOptions, rows: list[tuple[str, str]], end: str) -> None:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if set(text) & set('";|\t') else text

    lines = [f"c0{form.delimiter}c1", *(f"7{cell(a)}{form.delimiter}{cell(b)}" for a, b in rows)]
    lines = [line for line in lines if not line.startswith('7"')]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes((end.join(lines) + end).encode())
        table = TableForm(csv=form)
        assume(len(lines) > 1)
        kinds, expected = read_dataset(Path(folder), table)

        found = read_batch(path, table, "CSV", kinds, 9)

    for name, cells in found.items():
        assert all(map(same, expected[name], cells)), (name, kinds[name], expected[name], cells)
