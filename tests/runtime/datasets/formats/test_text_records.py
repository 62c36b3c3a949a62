"""Records are the same whatever blocks a text comes in, and a stray quote hides no line."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import text_records as module
from flywheel_runtime.datasets.formats.dialect import CsvOptions, Dialect, detect_dialect
from flywheel_runtime.datasets.formats.text_records import split_records

DIALECT = Dialect(",", ("x", "y"))
TEXT = st.text(st.sampled_from('ab ,"\n\r'), max_size=60)


def split(text: bytes, size: int, dialect: Dialect | None = DIALECT) -> list[bytes]:
    """The records of a text that comes in blocks of `size` bytes."""

    def blocks() -> Iterator[bytes]:
        return (text[at : at + size] for at in range(0, len(text), size))

    return [record for found in split_records(blocks(), "a.csv", dialect) for record in found.all()]


@given(TEXT, st.integers(1, 9))
def test_records_do_not_depend_on_the_blocks(text: str, size: int) -> None:
    assert split(text.encode(), size) == split(text.encode(), len(text) + 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b'1,5" disk\n2,ok\n3,6" disk\n', [b'1,5" disk\n', b"2,ok\n", b'3,6" disk\n'], id="a stray quote"),
        pytest.param(b'1,"a\nb"\n2,c\n', [b'1,"a\nb"\n', b"2,c\n"], id="a line end in quotes"),
        pytest.param(
            b'1,"a""\n"\n2,5" x\n3,c', [b'1,"a""\n"\n', b'2,5" x\n', b"3,c"], id="a doubled and a stray quote"
        ),
        pytest.param(b"1,a\r2,b\r\n3,c\n", [b"1,a\r", b"2,b\r\n", b"3,c\n"], id="all line ends"),
    ],
)
def test_where_records_end(text: bytes, expected: list[bytes]) -> None:
    for size in range(1, len(text) + 1):
        assert split(text, size) == expected


def test_canonical_text_has_one_kind_of_line_end() -> None:
    text = b'x,y\r\n1,"a\r\nb"\r\r\n\n2,c\r'

    found = b"".join(part.canonical() for part in split_records([text], "a.csv", DIALECT))

    assert found == b'x,y\n1,"a\r\nb"\n2,c\n'


def test_a_quote_that_is_not_closed_is_no_end_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORD_BYTES", 100)

    with pytest.raises(Failure, match="has a record of more than"):
        list(split_records([b'a,"b\n', *[b"c,d\n"] * 50], "a.csv", DIALECT))


@pytest.mark.parametrize(
    ("text", "delimiter", "columns"),
    [
        pytest.param(
            "id;size (cm, m, km);late\n0;0;0\n1;1;1\n", ";", ("id", "size (cm, m, km)", "late"), id="commas in a name"
        ),
        pytest.param("a,b\n1,2\n", ",", ("a", "b"), id="a comma"),
        pytest.param("a|b\n1|2,5\n", "|", ("a", "b"), id="a bar"),
        pytest.param("a\n1\n2\n", ",", ("a",), id="one column"),
        pytest.param('id, size, "kind"\n0, 0, "a"\n', ",", ("id", "size", "kind"), id="a blank after each comma"),
        pytest.param("a;b\n1,5;2,5\n1,5;3,5\n", ";", ("a", "b"), id="decimal commas"),
    ],
)
def test_the_dialect_is_what_divides_all_rows(text: str, delimiter: str, columns: tuple[str, ...]) -> None:
    found = detect_dialect(text, CsvOptions(), is_whole=True)

    assert (found.delimiter, found.columns) == (delimiter, columns)


def test_the_spec_says_the_dialect() -> None:
    found = detect_dialect("1:2,3\n4:5,6\n", CsvOptions(delimiter=":", header=False), is_whole=True)

    assert (found.delimiter, found.columns) == (":", ("column0", "column1"))
