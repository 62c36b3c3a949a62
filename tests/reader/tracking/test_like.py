"""LIKE finds what a regular expression finds, in bounded time."""

import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_reader.tracking.like import like_matcher
from tests.examples import examples


@settings(max_examples=examples(200, ci=100), deadline=None)
@given(st.text("ab%_", max_size=8), st.text("abc\n", max_size=10))
def test_like_is_the_regular_expression(pattern: str, text: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in pattern)

    assert like_matcher(pattern, ignore_case=False)(text) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_many_wildcards_over_a_long_text_take_no_time() -> None:
    started = time.process_time()

    assert not like_matcher("%a" * 1000 + "b", ignore_case=True)("a" * 5000)

    assert time.process_time() - started < 0.5
