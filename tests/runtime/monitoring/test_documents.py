"""Count documents: what is read, and what is counted as a problem instead."""

import itertools
import json
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, DocumentReader, NumberRanges
from flywheel_runtime.monitoring.windows import DocumentSorter, Schedule
from tests.runtime.monitoring.traffic import (
    NAMESPACE,
    SERVICE,
    START,
    Server,
    draw_rows,
    make_baseline,
    timestamp,
    write_document,
)

HOUR = int(START.timestamp())
BASELINE = make_baseline(draw_rows(np.random.default_rng(0), 2_000))


@pytest.fixture
def pod(tmp_path: Path) -> Server:
    return Server(tmp_path, BASELINE)


def rows(number: int = 50) -> dict[str, Any]:
    return draw_rows(np.random.default_rng(1), number)


def read(folder: Path) -> tuple[list[CountDocument], DocumentProblems]:
    problems = DocumentProblems()
    return list(DocumentReader(NAMESPACE, SERVICE, problems).read([folder])), problems


def test_a_servers_document_is_read_whole(pod: Server) -> None:
    pod.serve(rows(), START)

    (document,), problems = read(pod.folder)

    assert (document.rows, document.served_rows, document.time) == (50, 50, START.timestamp())
    assert [column.name for column in document.layout.columns] == ["x0", "x1", "carrier", "prediction"]
    assert [int(column.cells(document.counts).sum()) for column in document.layout.columns] == [50] * 4
    assert not problems.counts


def test_documents_of_one_version_share_their_layout(pod: Server) -> None:
    for minute in range(3):
        pod.serve(rows(), START + timedelta(minutes=minute))

    documents, _ = read(pod.folder)

    assert len({id(each.layout) for each in documents}) == 1


def test_a_document_that_lies_in_two_folders_is_read_once(pod: Server, tmp_path: Path) -> None:
    write_document(tmp_path / "again", pod.serve(rows(), START))

    documents, problems = read(pod.folder)

    assert (len(documents), problems.counts["repeated"]) == (1, 1)


def test_a_document_of_an_idle_server_of_an_earlier_release_counts_at_its_end(pod: Server) -> None:
    pod.serve(rows(), START, seconds=7_200)

    (document,), _ = read(pod.folder)

    assert document.time == START.timestamp() + 7_140


@pytest.mark.parametrize(
    ("change", "example"),
    [
        pytest.param({"v": 2}, "version 2 of the format", id="a later format"),
        pytest.param({"rows": 49}, "do not add up", id="rows that are not the counts'"),
        pytest.param({"rows": -1}, "-1 is no count", id="a negative number"),
        pytest.param({"rows": True}, "True is no count", id="a Boolean"),
        pytest.param({"from": "yesterday"}, "yesterday", id="no time"),
        pytest.param({"to": timestamp(START - timedelta(minutes=1))}, "before `from`", id="an end before the start"),
        pytest.param({"pod": 7}, "7 is no text", id="a pod without a name"),
        pytest.param({"features": {"x0": {"missing": 0}}}, "KeyError", id="a column without counts"),
        pytest.param({"features": []}, "AttributeError", id="no columns"),
        pytest.param({"features": {"x0": {"counts": [1.5], "other": 0, "missing": 0}}}, "whole number", id="a fraction"),
        pytest.param({"features": {"x0": {"counts": [2**70], "other": 0, "missing": 0}}}, "whole number", id="a huge number"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_counted_with_its_problem(pod: Server, change: dict[str, Any], example: str) -> None:
    write_document(pod.folder, pod.serve(rows(), START, write=False) | change | {"window": 9})
    pod.serve(rows(), START)

    documents, problems = read(pod.folder)

    assert (len(documents), dict(problems.counts)) == (1, {"unreadable": 1})
    assert example in problems.examples["unreadable"][0]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null", json.dumps({"v": 1}).encode()])
def test_a_file_that_is_no_document_is_counted(pod: Server, content: bytes) -> None:
    (pod.folder / "broken.json").write_bytes(content)

    documents, problems = read(pod.folder)

    assert (documents, dict(problems.counts)) == ([], {"unreadable": 1})


def test_documents_of_another_service_are_not_counted(pod: Server) -> None:
    write_document(pod.folder, pod.serve(rows(), START, write=False) | {"service": "other"})

    documents, problems = read(pod.folder)

    assert (documents, dict(problems.counts)) == ([], {"otherService": 1})


def test_a_hundred_times_the_documents_take_no_more_memory(pod: Server) -> None:
    def measure_peak(minutes: int) -> int:
        written = pod.serve(rows(), START, write=False)
        for minute in range(minutes):
            begin, end = START + timedelta(seconds=minute / 10), START + timedelta(seconds=minute / 10 + 60)
            write_document(pod.folder, written | {"window": minute, "from": timestamp(begin), "to": timestamp(end)})
        sorter = DocumentSorter(Schedule([HOUR], 3_600, HOUR), [], DocumentProblems())
        tracemalloc.start()
        sorter.add(DocumentReader(NAMESPACE, SERVICE, DocumentProblems()).read([pod.folder]))
        (window,) = sorter.finish().windows
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert window.rollup.rows == 50 * minutes
        return peak

    few, many = measure_peak(10), measure_peak(1_000)

    assert many < few + 1_000 * 500  # the names of one folder; a document has 3 KB


@given(st.lists(st.integers(0, 30)))
def test_ranges_of_numbers_are_those_of_the_set(numbers: list[int]) -> None:
    ranges = NumberRanges()

    added = [ranges.add(number) for number in numbers]

    assert added == [number not in numbers[:place] for place, number in enumerate(numbers)]
    assert [number for low, high in ranges.to_ranges() for number in range(low, high + 1)] == sorted(set(numbers))
    assert all(low[1] + 1 < high[0] for low, high in itertools.pairwise(ranges.to_ranges()))


@pytest.mark.parametrize("repeats", [2, 70_000])
def test_the_parts_of_a_window_add_up_whatever_their_width(pod: Server, repeats: int) -> None:
    pod.serve(rows(2), START)
    (document,), _ = read(pod.folder)
    sorter = DocumentSorter(Schedule([HOUR], 3_600, HOUR), [], DocumentProblems())

    sorter.add(
        [replace(document, counts=document.counts * repeats), replace(document, key=replace(document.key, window=5))]
    )

    (window,) = sorter.finish().windows
    assert (
        window.parts.sum(axis=0).tolist() == window.rollup.counts.tolist() == (document.counts * (repeats + 1)).tolist()
    )
