"""Shared by all floors: a real API server, started once if a test asks for it, no silent skips, and no import without a test."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from e2e.cluster import apiserver as server
from tests.examples import examples
from tests.floors import COSTLY_FIXTURES, may_be_selected

# As a trial without a CPU limit: OpenMP's threads spin while they wait, here for cores that the other worker uses. Four times the CPU (measured).
for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(library, "1")

# Of property tests that name no number of examples.
settings.register_profile("flywheel", max_examples=examples(100, ci=40))
settings.load_profile("flywheel")

GC_THRESHOLD = 20_000  # allocations between two collections, instead of 700


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector all modules and tests, which it would look through again and again: two thirds of the time of some tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(GC_THRESHOLD)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Unfreeze what this process, or a server that ran in it, has frozen: DuckDB reports whatever the end of Python does not collect."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an empty API server, without controllers or nodes."""
    folder = tmp_path_factory.mktemp("apiserver")
    with server.running(folder) as started:
        yield started.kubeconfig


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module of which `-m` selects no test: each worker imports all others, which costs it more than most tests."""
    expression = config.option.markexpr
    if not expression or not collection_path.match("test_*.py"):
        return None
    return None if may_be_selected(collection_path.read_text(), expression) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep out of `make unit` what takes seconds by its nature."""
    for item in items:
        costly = COSTLY_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        costly -= getattr(getattr(item, "callspec", None), "params", {}).keys()  # of a table, and no fixtures
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
