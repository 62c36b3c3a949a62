"""Texts are timestamps, with the same values, for the server and for the reader of Datasets and batches."""

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.datasets.types import TIMESTAMP, parse_text, timestamp_number
from flywheel_serving.errors import InvalidRequest
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.model.timestamps import format_timestamp, parse_timestamp
from tests.examples import examples

SPEC = TensorSpec("signup", "FP64", (-1, 1), content=TIMESTAMP)
SIGNATURE = Signature((SPEC,), (TensorSpec("y", "FP32", (-1, 1)),))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(threads=1) as connection:
        yield connection


def read(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> object:
    row = connection.execute(f"SELECT {sql}", list(values)).fetchone()
    assert row is not None
    return row[0]


def read_text(connection: duckdb.DuckDBPyConnection, text: str) -> object:
    """The number that training and batch have for a text, None where it is no timestamp."""
    return read(connection, timestamp_number(f"({parse_text('$1', TIMESTAMP)})"), text)


def served(text: str) -> float | None:
    try:
        return float(parse_timestamp(text))
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31", -86_400_000_000),
        ("2024-01-31T09:30:00Z", 1_706_693_400_000_000),
        ("2024-01-31T09:30:00", 1_706_693_400_000_000),
        ("2024-01-31 09:30", 1_706_693_400_000_000),
        ("2024-01-31T10:30:00+01:00", 1_706_693_400_000_000),
        ("2024-01-31T00:00:00-09:30", 1_706_693_400_000_000),
        ("2024-01-31T09:30:00.000001Z", 1_706_693_400_000_001),
        ("2024-01-31T09:30:00.0000019Z", 1_706_693_400_000_001),
        ("2024-01-31T24:00:00Z", 1_706_745_600_000_000),
        ("9999-12-31", 253_402_214_400_000_000),
    ],
)
def test_a_text_is_these_microseconds(connection: duckdb.DuckDBPyConnection, text: str, microseconds: int) -> None:
    assert (parse_timestamp(text), read_text(connection, text)) == (microseconds, float(microseconds))


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2024-02-30", "2024-13-01", "31.01.2024", "2024-01-31T25:00:00Z", "2024-01-31T09:60:00Z"),
        *("20240131", "2024-01-31T09:30:60Z", "2024-01-31T24:00:01Z", "2024-01-31T", "2024-01-31Z", "\uff1202-01-31"),
    ],
)
def test_other_text_is_refused_with_what_is_expected(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    assert read_text(connection, text) is None
    with pytest.raises(ValueError, match="wanted RFC 3339 as 2024-01-31T09:30:00Z"):
        parse_timestamp(text)


DIGITS = st.text("0123456789", max_size=9)
OFFSETS = st.one_of(
    st.sampled_from(["", "Z"]),
    st.builds("{}{:02}{}{:02}".format, st.sampled_from("+-"), st.integers(0, 25), st.sampled_from([":", ""]), st.integers(0, 61)),
    st.builds("{}{:02}".format, st.sampled_from("+-"), st.integers(0, 25)),
)  # fmt: skip
TEXTS = st.builds(
    "{:04}-{:02}-{:02}{}{}".format,
    st.integers(0, 9999),
    st.integers(0, 13),
    st.integers(0, 32),
    st.one_of(
        st.just(""),
        st.builds("{}{:02}:{:02}".format, st.sampled_from("T "), st.integers(0, 25), st.integers(0, 61)),
        st.builds("T{:02}:{:02}:{:02}".format, st.integers(0, 25), st.integers(0, 61), st.integers(0, 61)),
        st.builds(" {:02}:{:02}:{:02}.{}".format, st.integers(0, 24), st.integers(0, 59), st.integers(0, 59), DIGITS.filter(bool)),
    ),
    OFFSETS,
)  # fmt: skip


@settings(max_examples=examples(400, ci=100), deadline=None)
@given(text=TEXTS)
def test_the_server_reads_and_refuses_what_training_and_batch_do(
    connection: duckdb.DuckDBPyConnection, text: str
) -> None:
    assert served(text) == read_text(connection, text)


@settings(max_examples=examples(200, ci=50), deadline=None)
@given(time=st.datetimes(), kind=st.sampled_from(["DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMPTZ"]))
def test_a_value_and_its_text_are_one_number(connection: duckdb.DuckDBPyConnection, time: object, kind: str) -> None:
    number = read(connection, timestamp_number(f"$1::TIMESTAMP::{kind}"), time)
    text = read(connection, f"$1::TIMESTAMP::{kind}::VARCHAR", time)

    assert isinstance(number, float)
    assert served(str(text)) == number
    assert served(format_timestamp(number) or "") == number


def test_infer_takes_text_for_a_timestamp() -> None:
    texts = np.array([["2024-01-31T10:30:00+01:00"], [""]], object)

    fitted = SIGNATURE.fit({"signup": texts}, 10)["signup"]

    assert fitted.tolist() == [[1_706_693_400_000_000.0], [pytest.approx(np.nan, nan_ok=True)]]


def test_infer_names_the_input_the_row_and_the_text() -> None:
    texts = np.array(["2024-01-31", "soon"], object)

    with pytest.raises(InvalidRequest, match=r"input 'signup': .*row 1: found 'soon', wanted RFC 3339"):
        SIGNATURE.fit({"signup": texts}, 10)


def test_infer_takes_no_text_for_another_number() -> None:
    plain = Signature((TensorSpec("signup", "FP64", (-1, 1)),), SIGNATURE.outputs)

    with pytest.raises(InvalidRequest, match="text and numbers are not converted"):
        plain.fit({"signup": np.array(["2024-01-31"], object)}, 10)
