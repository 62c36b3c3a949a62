"""Searching records: filter, order, page. Missing and NaN values are last in both directions."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_reader.errors import BadFilter
from flywheel_reader.tracking.columns import Column, Value
from flywheel_reader.tracking.filters import Comparison, OrderColumn
from flywheel_reader.tracking.index import RecordIndex

MAX_PAGE_BYTES = 8 << 20
MAX_MESSAGE_CHARACTERS = 512
MAX_FILTER_SECONDS = 2.0  # of processor time
ROWS_BETWEEN_CHECKS = 64
NEWEST_FIRST = (OrderColumn(Column("attributes", "start_time"), descending=True),)


@dataclass(frozen=True)
class Search:
    """What to find. `kinds` are those that the caller may read; `scope` has columns with the value that they must have.

    `until` is the number of the last record that the first page knew. `existing` are uids of objects by kind, for
    records whose retention is over: they are found while their object exists.
    """

    kinds: frozenset[str]
    scope: tuple[tuple[Column, str], ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    order: tuple[OrderColumn, ...] = ()
    offset: int = 0
    limit: int = 50
    until: int | None = None
    now_ms: float = 0.0
    existing: Mapping[str, frozenset[str]] | None = None


@dataclass(frozen=True)
class Found:
    """One page. `next_offset` is None on the last one."""

    items: list[dict[str, Any]]
    total: int
    next_offset: int | None
    until: int


def has_expired(index: RecordIndex, now_ms: float) -> bool:
    """Whether any record's retention is over, so that a search needs to know which objects exist."""
    with index.lock:
        return bool(index.expired_rows(index.rows_until(None), now_ms))


def find_records(index: RecordIndex, search: Search) -> Found:
    """The page that `search` describes. Raises BadFilter for a filter that takes too long."""
    with index.lock:
        index.extract([*(each.column for each in search.comparisons), *(key.column for key in search.order)])
        rows = _select_rows(index, search)
        for key in reversed(search.order or NEWEST_FIRST):
            rows = _sort_rows(rows, index.column(key.column), descending=key.descending)
        items: list[dict[str, Any]] = []
        size = 0
        for row in rows[search.offset : search.offset + search.limit]:
            size += index.size(row)
            if items and size > MAX_PAGE_BYTES:
                break
            items.append(shorten_message(index.record(row)))
        following = search.offset + len(items)
        return Found(items, len(rows), following if following < len(rows) else None, search.until or index.number)


def shorten_message(record: dict[str, Any]) -> dict[str, Any]:
    """The record with at most the first 512 characters of its message."""
    message = record.get("message")
    if isinstance(message, str) and len(message) > MAX_MESSAGE_CHARACTERS:
        record["message"] = f"{message[: MAX_MESSAGE_CHARACTERS - 1]}…"
    return record


def _select_rows(index: RecordIndex, search: Search) -> list[int]:
    rows = index.rows_until(search.until)
    kinds = index.column(Column("attributes", "kind"))
    rows = [row for row in rows if kinds[row] in search.kinds]
    for column, value in search.scope:
        values = index.column(column)
        rows = [row for row in rows if values[row] == value]
    deadline = time.thread_time() + MAX_FILTER_SECONDS
    for comparison in search.comparisons:
        rows = _filter_rows(rows, index.column(comparison.column), comparison, deadline)
    expired = index.expired_rows(rows, search.now_ms)
    if expired and search.existing is not None:
        gone = {row for row in expired if not object_exists(index.object_of(row), search.existing)}
        rows = [row for row in rows if row not in gone]
    return rows


def _filter_rows(rows: list[int], values: list[Value], comparison: Comparison, deadline: float) -> list[int]:
    """The rows for which the comparison holds. Raises BadFilter when the thread's processor time is at the deadline."""
    holds = comparison.holds
    found: list[int] = []
    for start in range(0, len(rows), ROWS_BETWEEN_CHECKS):
        if time.thread_time() > deadline:
            raise BadFilter(
                f"the filter takes more than {MAX_FILTER_SECONDS:g} seconds; put a comparison that few records pass first, or use shorter patterns"
            )
        found += [row for row in rows[start : start + ROWS_BETWEEN_CHECKS] if holds(values[row])]
    return found


def object_exists(owner: tuple[str, str], existing: Mapping[str, frozenset[str]]) -> bool:
    """Whether the object, a kind and a uid, is among those that exist; of a kind that is not listed, every one does."""
    kind, uid = owner
    return kind not in existing or uid in existing[kind]


def _sort_rows(rows: list[int], values: list[Value], *, descending: bool) -> list[int]:
    """A stable sort by one column. Numbers are before texts."""
    present = [row for row in rows if values[row] is not None]
    missing = [row for row in rows if values[row] is None]
    if all(type(values[row]) is float for row in present):
        present.sort(key=values.__getitem__, reverse=descending)  # type: ignore[arg-type]
    else:
        present.sort(key=lambda row: _sort_key(values[row]), reverse=descending)
    return present + missing


def _sort_key(value: Value) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value or 0), "")
