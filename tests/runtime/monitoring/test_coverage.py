"""Completeness: what servers answered against what their documents counted."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from flywheel_runtime.monitoring.coverage import measure_coverage
from flywheel_runtime.monitoring.documents import DocumentProblems, DocumentReader
from flywheel_runtime.monitoring.rollup import Rollup
from flywheel_runtime.monitoring.windows import Schedule, sort_documents
from tests.runtime.monitoring.traffic import NAMESPACE, SERVICE, START, Server, draw_rows, make_baseline

GENERATOR = np.random.default_rng(3)
BASELINE = make_baseline(draw_rows(GENERATOR, 500))
HOUR = int(START.timestamp())


def roll_up_hours(folder: Path, hours: int) -> list[Rollup]:
    documents = DocumentReader(NAMESPACE, SERVICE, DocumentProblems()).read([folder])
    schedule = Schedule([HOUR + 3_600 * hour for hour in range(hours)], 3_600, HOUR)
    return sort_documents(documents, schedule, [], DocumentProblems()).rollups


@pytest.mark.parametrize(
    ("lost", "completeness"),
    [((), [1.0, 1.0]), ((3,), [0.8, 1.0]), ((4, 5), [1.0, 4 / 6]), ((0,), [1.0, 1.0])],
    ids=["nothing", "a minute", "the minutes around the end of a window", "what was before the first document"],
)
def test_lost_minutes_are_counted_by_what_the_server_counted_since_its_start(
    tmp_path: Path, lost: Sequence[int], completeness: list[float]
) -> None:
    server = Server(tmp_path, BASELINE)
    for window in range(10):
        hour, minute = divmod(window, 5)
        server.serve(draw_rows(GENERATOR, 10), START + timedelta(hours=hour, minutes=minute), write=window not in lost)

    coverages, _ = measure_coverage(roll_up_hours(tmp_path, 2), {})

    assert [each.completeness for each in coverages] == pytest.approx(completeness)


def test_the_progress_of_an_earlier_window_shows_what_is_missing_in_the_next(tmp_path: Path) -> None:
    server = Server(tmp_path, BASELINE)
    for hour in range(3):
        server.serve(draw_rows(GENERATOR, 10), START + timedelta(hours=hour), write=hour != 1)
    first, last = roll_up_hours(tmp_path, 3)

    _, progress = measure_coverage([first], {})
    (coverage,), _ = measure_coverage([last], progress)

    assert (coverage.served, coverage.counted, coverage.lost) == (20, 10, 10)


def test_a_document_that_comes_late_is_no_longer_lost(tmp_path: Path) -> None:
    server = Server(tmp_path, BASELINE)
    for hour in range(3):
        server.serve(draw_rows(GENERATOR, 10), START + timedelta(hours=hour))

    coverages, _ = measure_coverage(roll_up_hours(tmp_path, 3), {})

    assert [each.lost for each in coverages] == [0, 0, 0]
