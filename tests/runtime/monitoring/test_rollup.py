"""Roll-ups are sums: whatever the order, the batches and the repetitions of documents, they are the same."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, DocumentReader
from flywheel_runtime.monitoring.rollup import Rollup, merge, merge_all, roll_up
from flywheel_runtime.monitoring.windows import Schedule, sort_documents
from tests.runtime.monitoring.traffic import NAMESPACE, SERVICE, START, Server, draw_rows, make_baseline

HOUR = int(START.timestamp())


def make_documents() -> list[CountDocument]:
    """Ten minutes of two pods."""
    generator = np.random.default_rng(2)
    baseline = make_baseline(draw_rows(generator, 500))
    with TemporaryDirectory() as folder:
        servers = [Server(Path(folder), baseline, pod=f"pod-{name}") for name in "ab"]
        for minute, server in itertools.product(range(10), servers):
            server.serve(draw_rows(generator, int(generator.integers(1, 30))), START + timedelta(minutes=minute))
        return list(DocumentReader(NAMESPACE, SERVICE, DocumentProblems()).read([Path(folder)]))


DOCUMENTS = make_documents()
WHOLE = roll_up(DOCUMENTS, HOUR, 3_600)

parts = st.lists(st.integers(0, 3), min_size=len(DOCUMENTS), max_size=len(DOCUMENTS))


def divide(numbers: Sequence[int]) -> list[Rollup]:
    """The documents in up to four roll-ups."""
    groups: dict[int, list[CountDocument]] = {}
    for number, document in zip(numbers, DOCUMENTS, strict=True):
        groups.setdefault(number, []).append(document)
    return [roll_up(each, HOUR, 3_600) for each in groups.values()]


@given(parts, st.randoms())
def test_the_sum_does_not_depend_on_how_documents_are_divided_and_ordered(
    numbers: list[int], random: st.DataObject
) -> None:
    rollups = divide(numbers)
    random.shuffle(rollups)  # type: ignore[attr-defined]

    assert merge_all(rollups) == WHOLE


@given(parts)
def test_merge_is_commutative_associative_and_idempotent(numbers: list[int]) -> None:
    rollups = (divide(numbers) * 3)[:3]
    if len({id(each) for each in rollups}) < 3:
        return
    a, b, c = rollups

    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a


def test_roll_ups_with_some_documents_in_common_cannot_be_added() -> None:
    left, right = roll_up(DOCUMENTS[:12], HOUR, 3_600), roll_up(DOCUMENTS[8:], HOUR, 3_600)

    with pytest.raises(ValueError, match="in common"):
        merge(left, right)


def test_a_roll_up_is_read_back_as_it_was_written() -> None:
    assert Rollup.from_json(WHOLE.to_json(), WHOLE.layout) == WHOLE


def test_the_keys_of_a_whole_source_are_one_range() -> None:
    assert [source.windows for source in WHOLE.sources.values()] == [((0, 9),), ((0, 9),)]


@given(parts, st.randoms())
def test_runs_that_read_documents_again_count_each_once(numbers: list[int], random: st.DataObject) -> None:
    schedule = Schedule([HOUR, HOUR + 3_600], 3_600, HOUR)
    retained: list[Rollup] = []
    for number in range(4):
        batch = [each for part, each in zip(numbers, DOCUMENTS, strict=True) if part <= number]
        random.shuffle(batch)  # type: ignore[attr-defined]
        later = Schedule([HOUR + 3_600 * (number + 1)], 3_600, HOUR) if retained else schedule
        retained = sort_documents(batch, later, retained, DocumentProblems()).rollups

    assert retained == [WHOLE]


def test_a_document_that_comes_twice_in_one_run_is_counted_as_a_problem() -> None:
    problems = DocumentProblems()

    found = sort_documents([*DOCUMENTS, *DOCUMENTS[:2]], Schedule([HOUR], 3_600, HOUR), [], problems)

    assert (found.rollups, problems.counts) == ([WHOLE], {"repeated": 2})
