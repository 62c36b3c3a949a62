"""What a Parquet file takes once it is decoded, which is known before a decoder reads it."""

import io
from pathlib import Path
from typing import Any

import duckdb
import pytest
from arro3.core import Array, DataType, Table, list_array
from arro3.io import write_parquet

from flywheel_reader.errors import StoredDataInvalid, TooLarge
from flywheel_reader.tables.parquet_sizes import BATCH_ROWS, batch_rows
from flywheel_reader.tables.rows import Window, encode_rows
from tests.reader.routes import parquet_bytes

MIB = 1 << 20


def texts(values: list[str]) -> Any:
    return Array(values, DataType.string())


def written(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    write_parquet(Table.from_pydict(columns), file, compression="zstd(3)", **options)
    return file.getvalue()


def test_a_usual_table_is_decoded_in_large_batches() -> None:
    numbers = Array([float(number) for number in range(20_000)], DataType.float64())
    names = texts([f"name-{number % 300}" for number in range(20_000)])

    assert batch_rows(parquet_bytes({"number": numbers, "name": names})) == BATCH_ROWS[0]


def test_a_version_of_a_dataset_is_decoded_in_large_batches(tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    columns = "i AS number, i / 7 AS real, 'name-' || (i % 2000) AS name, now() AS time, 'text of ' || i AS text, i % 2 = 0 AS flag"
    duckdb.sql(
        f"COPY (SELECT {columns} FROM range(200000) t(i)) TO '{file}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
    )

    assert batch_rows(file.read_bytes()) == BATCH_ROWS[0]


@pytest.mark.parametrize(
    "options", [{}, {"dictionary_enabled": False, "encoding": "delta_byte_array"}], ids=["dictionary", "delta"]
)
def test_one_long_text_in_every_row_is_decoded_in_small_batches(options: dict[str, Any]) -> None:
    content = written({"text": texts(["x" * 500_000] * 2000)}, **options)
    assert len(content) < MIB

    rows = batch_rows(content)

    assert rows < 100
    body = encode_rows([content], Window((), 0, 2000), "json")
    assert body.rows < 100  # the body has its bound
    assert body.next_offset == body.rows


@pytest.mark.parametrize("length", [1000, 60 * MIB], ids=["many", "long"])
def test_pages_that_are_large_unpacked_are_refused(length: int) -> None:
    options = {"data_page_size_limit": 1 << 30, "data_page_row_count_limit": 1 << 30, "dictionary_enabled": False}
    content = written({"column": texts(["x" * length] * (60 * MIB // length))}, **options)
    assert len(content) < MIB

    with pytest.raises(TooLarge, match="unpacked"):
        batch_rows(content)


def test_long_lists_are_bounded_by_all_of_their_values() -> None:
    def written_list(length: int) -> bytes:
        values = Array([7] * length, DataType.int64())
        return written({"list": list_array(Array([0, length], DataType.int32()), values)})

    with pytest.raises(TooLarge):
        batch_rows(written_list(4_000_000))
    assert batch_rows(written_list(3)) == BATCH_ROWS[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no parquet",
        b"PAR1PAR1",
        b"PAR1\0\0\0\0PAR1",
        b"PAR1" + b"\xff" * 100 + b"\x64\0\0\0PAR1",
        b"PAR1" + b"\0" * 8 + b"\xff\xff\0\0PAR1",
    ],
)
def test_what_is_no_parquet_is_an_error_with_a_sentence(content: bytes) -> None:
    assert content == b"PAR1\0\0\0\0PAR1" or len(content) != 12
    with pytest.raises(StoredDataInvalid):
        list(encode_rows([content], Window((), 0, 10), "json").content)


def test_no_byte_of_a_footer_that_is_changed_does_more_than_fail() -> None:
    content = parquet_bytes({"name": texts(["a", "b"])})
    for position in range(len(content) - 1, 4, -1):
        changed = content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :]
        try:
            assert batch_rows(changed) in BATCH_ROWS
        except (StoredDataInvalid, TooLarge):
            continue
