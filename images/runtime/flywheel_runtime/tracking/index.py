"""The append-only log of records: finding the next number, and joining full segments.

Record n is written only by a writer that knows of record n - 1, so there are no gaps, and the last number is found by halving where the
head is lost or far behind.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flywheel_runtime.contract.errors import AccessDenied, ObjectMissing, PreconditionFailed
from flywheel_runtime.store.artifacts import Store

HEAD_KEY = "tracking/head.json"
SEGMENT_RECORDS = 256
MAX_READ_BYTES = 1 << 20  # of a record; those of now are smaller (record.MAX_RECORD_BYTES)
MAX_HEAD_BYTES = 4096
MAX_CONFLICTS = 1000
PARALLEL_READS = 8


def record_key(number: int) -> str:
    """The key of a record, numbered from 1."""
    return f"tracking/log/{number:010d}.json"


def segment_key(segment: int) -> str:
    """The key of a segment, numbered from 1: segment k has the records up to 256 k."""
    return f"tracking/segments/{segment:010d}.json.gz"


def append_record(store: Store, record: Mapping[str, Any]) -> int:
    """Write the record under the first free number, then the head. Returns the number.

    Raises:
        StoreError: the store refuses, or 1,000 other writers were faster.
    """
    head = _recorded_head(store)
    number = head + 1 if head else _first_free_number(store, 1)
    for _ in range(MAX_CONFLICTS):
        text = canonical_bytes({**record, "number": number})
        try:
            store.create(record_key(number), text)
            break
        except PreconditionFailed:
            if _is_same(store, number, text):  # an earlier request was done, and only its response was lost
                break
            number = _first_free_number(store, number + 1)
    else:
        raise PreconditionFailed("PreconditionFailed", f"{MAX_CONFLICTS} other writers were faster")
    if number == head + 1 or number > _recorded_head(store):  # a head that is a few behind does no harm
        store.replace(HEAD_KEY, canonical_bytes({"v": 1, "number": number}))
    return number


def read_head(store: Store) -> int:
    """The number in the head; 0 where it is lost or damaged."""
    try:
        head = json.loads(store.get(HEAD_KEY, MAX_HEAD_BYTES))
    except (
        ObjectMissing,
        AccessDenied,
        ValueError,
    ):  # a store that allows no listing denies access to a missing object
        return 0
    number = head.get("number") if isinstance(head, dict) else None
    return number if isinstance(number, int) and number > 0 else 0


def _recorded_head(store: Store) -> int:
    """The number in the head if it has a record, else 0: behind a wrong one no reader would find what follows."""
    head = read_head(store)
    return head if head and store.exists(record_key(head)) else 0


def join_segment(store: Store, number: int) -> None:
    """Write the segment that ends with record `number`, a multiple of 256, and the one before it where that was lost.

    Raises:
        StoreError: the store refuses.
    """
    segment = number // SEGMENT_RECORDS
    for each in (segment - 1, segment):
        if each > 0 and not store.exists(segment_key(each)):
            store.commit(segment_key(each), _segment_bytes(store, each))


def canonical_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces: equal records have equal bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="replace")


def _segment_bytes(store: Store, segment: int) -> bytes:
    import gzip  # one pod of 256 needs it

    first = (segment - 1) * SEGMENT_RECORDS + 1
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        numbers = range(first, first + SEGMENT_RECORDS)
        records = list(pool.map(lambda number: store.get(record_key(number), MAX_READ_BYTES), numbers))
    return gzip.compress(b"".join(record + b"\n" for record in records), 6, mtime=0)


def _first_free_number(store: Store, start: int) -> int:
    """The first number from `start` on without a record: by steps that double, then by halving."""
    taken, step = start - 1, 1
    while store.exists(record_key(taken + step)):
        taken, step = taken + step, step * 2
    free = taken + step
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if store.exists(record_key(middle)) else (taken, middle)
    return free


def _is_same(store: Store, number: int, text: bytes) -> bool:
    return store.get(record_key(number), MAX_READ_BYTES) == text
