"""A page token is a position in its own query, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_reader.errors import BadRequest
from flywheel_reader.tracking.paging import Position, decode_token, encode_token
from tests.examples import examples


@settings(max_examples=examples(100, ci=50), deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**62), st.text(max_size=20))
def test_a_token_leads_back_to_its_position(offset: int, until: int, query: str) -> None:
    position = Position(offset, until)

    assert decode_token(encode_token(position, query), query) == position


@settings(max_examples=examples(100, ci=50), deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"[A-Za-z0-9_-]{39}", fullmatch=True))
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(BadRequest):
        decode_token(token, "query")


def test_a_token_of_another_query_is_refused() -> None:
    with pytest.raises(BadRequest, match="same query"):
        decode_token(encode_token(Position(5, 7), "a"), "b")
