"""The footer says that a file has no row with a value, and never of a file that has one."""

import io

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_reader.tables.footer_bounds import may_contain
from tests.examples import examples

TEXTS = st.lists(st.text(max_size=80), min_size=1, max_size=8)


def parquet(texts: list[str], column: str = "id") -> bytes:
    file = io.BytesIO()
    numbers = Array(list(range(len(texts))), DataType.int64())
    write_parquet(
        Table.from_pydict({"n": numbers, column: Array(texts, DataType.string())}), file, max_row_group_size=3
    )
    return file.getvalue()


@settings(max_examples=examples(100, ci=40), deadline=None)
@given(texts=TEXTS, more=st.data())
def test_a_value_that_is_there_is_never_denied(texts: list[str], more: st.DataObject) -> None:
    assert may_contain(parquet(texts), "id", more.draw(st.sampled_from(texts)))


def test_ids_of_another_boot_are_not_in_a_file() -> None:
    content = parquet([f"3f12b3b13160-1c8a4f2-{number}" for number in range(5)])

    assert not may_contain(content, "id", "5a12b3b13160-1c8a4f2-1")
    assert not may_contain(content, "name", "3f12b3b13160-1c8a4f2-1")


@pytest.mark.parametrize("tail", [b"", b"PAR1", b"\xff\xff\xff\xffPAR1", b"\x15" * 40 + b"\x10\x00\x00\x00PAR1"])
def test_bytes_that_say_nothing_deny_nothing(tail: bytes) -> None:
    assert may_contain(tail, "id", "x")
