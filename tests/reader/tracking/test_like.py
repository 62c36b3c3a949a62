"""LIKE finds what a regular expression finds, in bounded time."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_reader.tracking.like import MAX_COMPARED_CHARACTERS, like_matcher
from tests.examples import examples


@settings(max_examples=examples(200, ci=100), deadline=None)
@given(st.text("ab%_", max_size=8), st.text("abc\n", max_size=10))
def test_like_is_the_regular_expression(pattern: str, text: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in pattern)

    assert like_matcher(pattern, ignore_case=False)(text) == bool(re.fullmatch(expression, text, re.DOTALL))


@pytest.mark.parametrize("pattern", ["%" + "_" * 3000 + "b%", "%" + "a_" * 1500 + "b%", "%a" * 1000 + "b"])
def test_many_wildcards_over_a_long_text_take_no_time(pattern: str) -> None:
    started = time.process_time()

    assert not like_matcher(pattern, ignore_case=True)("a" * 120_000)

    assert time.process_time() - started < 0.5


def test_a_long_value_is_compared_by_its_first_characters() -> None:
    matches = like_matcher("%b%", ignore_case=False)

    assert matches("a" * (MAX_COMPARED_CHARACTERS - 1) + "b")
    assert not matches("a" * MAX_COMPARED_CHARACTERS + "b")
