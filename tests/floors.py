"""The floors of tests, which `make unit`, `make integration` and `make apiserver` choose by markers."""

import re
from itertools import combinations

from _pytest.mark.expression import Expression

MARKERS = ("integration", "apiserver", "exhaustive", "long_run")
# Fixtures that start servers or train models.
COSTLY_FIXTURES = frozenset(
    {"apiserver", "server", "served", "flight_server", "echo_server", "lookup_server", "run_train", "shop_database"}
)
_OF_ALL_TESTS = re.compile(r"^pytestmark = (?:\[\s*)?pytest\.mark\.(\w+)", re.MULTILINE)


def may_be_selected(source: str, expression: str) -> bool:
    """Return whether a module can have a test that `pytest -m expression` selects, by the markers that its source names."""
    if not set(re.findall(r"\w+", expression)) <= {*MARKERS, "and", "or", "not"}:
        return True  # plugins may add other markers
    always = frozenset(mark for mark in _OF_ALL_TESTS.findall(source) if mark in MARKERS)
    sometimes = [mark for mark in MARKERS if f"mark.{mark}" in source and mark not in always]
    marks = [always.union(more) for size in range(len(sometimes) + 1) for more in combinations(sometimes, size)]
    return any(_selects(expression, each) for each in marks)


def _selects(expression: str, marks: frozenset[str]) -> bool:
    def is_marked(name: str, /, **_arguments: object) -> bool:
        return name in marks

    return Expression.compile(expression).evaluate(is_marked)
