"""Shared by all floors: a real API server, started once if a test asks for it, no silent skips, and no import without a test."""

import os
import re
from collections.abc import Generator, Iterator
from itertools import combinations
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from e2e.cluster import apiserver as server

# As a trial without a CPU limit: OpenMP's threads spin while they wait, here for cores that the other worker uses. Four times the CPU (measured).
for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(library, "1")


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an empty API server, without controllers or nodes."""
    folder = tmp_path_factory.mktemp("apiserver")
    with server.running(folder) as started:
        yield started.kubeconfig


FLOORS = ("integration", "apiserver", "exhaustive", "long_run")  # the markers by which `make` chooses tests
# Fixtures that start servers or train models.
COSTLY = frozenset({"apiserver", "server", "served", "flight_server", "echo_server", "lookup_server", "run_train"})
OF_ALL_TESTS = re.compile(r"^pytestmark = (?:\[\s*)?pytest\.mark\.(\w+)", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module of which `-m` selects no test: each worker imports all others, which costs it more than most tests."""
    expression = config.option.markexpr
    if not expression or not collection_path.match("test_*.py"):
        return None
    return None if may_be_selected(collection_path.read_text(), expression) else True


def may_be_selected(source: str, expression: str) -> bool:
    """Return whether a module can have a test that the expression selects, by the markers that its source names."""
    if not set(re.findall(r"\w+", expression)) <= {*FLOORS, "and", "or", "not"}:
        return True
    always = frozenset(mark for mark in OF_ALL_TESTS.findall(source) if mark in FLOORS)
    sometimes = [mark for mark in FLOORS if f"mark.{mark}" in source and mark not in always]
    marks = [always.union(more) for size in range(len(sometimes) + 1) for more in combinations(sometimes, size)]
    return any(_selects(expression, each) for each in marks)


def _selects(expression: str, marks: frozenset[str]) -> bool:
    def is_marked(name: str, /, **_arguments: object) -> bool:
        return name in marks

    return Expression.compile(expression).evaluate(is_marked)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep out of `make unit` what takes seconds by its nature."""
    for item in items:
        costly = COSTLY.intersection(getattr(item, "fixturenames", ()))
        if costly and not any(item.get_closest_marker(floor) for floor in ("integration", "apiserver")):
            raise pytest.UsageError(
                f"{item.nodeid} takes {', '.join(sorted(costly))}: mark it integration (CONTRIBUTING.md, Habits)"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true, a test that did not run has failed: nobody reads the reasons there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome, report.longrepr = "failed", f"skipped, and with CI=true nothing may be: {report.longrepr}"
    return report
