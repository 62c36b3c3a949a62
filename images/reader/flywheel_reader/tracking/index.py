"""The records of one namespace in memory: their JSON, and columns that are extracted when a search first needs them."""

import json
import sys
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from flywheel_reader.tracking.columns import Column, Value, expiry, extract_value
from flywheel_reader.tracking.nonfinite import without_nonfinite

MAX_COLUMNS = 48
ROW_BYTES = 320  # of memory that each row takes beside its JSON
MAX_NUMBER = 2**62
TRIMMED_SHARE = 0.9  # of the bound, after records were left out


class RecordIndex:
    """Rows in the order of their numbers. An id that comes again replaces its earlier row. Safe for several threads.

    `max_bytes` bounds the JSON and what each row takes beside it; beyond it the oldest records are left out, and `left_out` counts them.
    """

    def __init__(self, max_bytes: int) -> None:
        self.lock = threading.RLock()
        self.number = 0  # of the last record that was read
        self.bytes = 0
        self.left_out = 0
        self._max_bytes = max_bytes
        self._json: list[bytes] = []  # b"" where a later row replaced this one
        self._numbers = array("q")
        self._rows: dict[str, int] = {}
        self._columns: OrderedDict[Column, list[Value]] = OrderedDict()
        self._expiries: list[float | None] = []
        self._objects: list[tuple[str, str]] = []  # kind and uid

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._rows

    def add(self, texts: Iterable[bytes], number: int | None = None) -> None:
        """Adds records as JSON, oldest first, and remembers that all up to `number` were read. What is no record is left out."""
        with self.lock:
            for text in texts:
                found = parse_record(text)
                if found is not None:
                    self._add(*found)
            self.number = max(self.number, number or 0)
            if self.bytes > self._max_bytes:
                self._trim()

    def get(self, record_id: str) -> dict[str, Any] | None:
        """The record with this id."""
        with self.lock:
            row = self._rows.get(record_id)
            return None if row is None else self.record(row)

    def record(self, row: int) -> dict[str, Any]:
        """The record of a row."""
        record: dict[str, Any] = orjson.loads(self._json[row])
        return record

    def size(self, row: int) -> int:
        """The length of the row's JSON in bytes."""
        return len(self._json[row])

    def rows_until(self, number: int | None) -> list[int]:
        """Rows that no later row replaced, with numbers up to `number`, oldest first."""
        end = len(self._json) if number is None else bisect_right(self._numbers, number)
        texts = self._json
        return [row for row in range(end) if texts[row]]

    def column(self, column: Column) -> list[Value]:
        """One value for each row."""
        values = self._columns.setdefault(column, [])
        self._columns.move_to_end(column)
        for row in range(len(values), len(self._json)):
            text = self._json[row]
            values.append(extract_value(orjson.loads(text), column) if text else None)
        while len(self._columns) > MAX_COLUMNS:
            self._columns.popitem(last=False)
        return values

    def extract(self, columns: Iterable[Column]) -> None:
        """Extracts several columns while parsing each record once."""
        missing = [column for column in columns if len(self._columns.get(column, ())) < len(self._json)]
        if len(missing) < 2:
            return
        start = min(len(self._columns.get(column, ())) for column in missing)
        lists = {column: self._columns.setdefault(column, [])[:start] for column in missing}
        for text in self._json[start:]:
            record = orjson.loads(text) if text else {}
            for column, values in lists.items():
                values.append(extract_value(record, column))
        self._columns.update(lists)

    def expired_rows(self, rows: Iterable[int], now_ms: float) -> list[int]:
        """Rows whose retention is over, if their object is gone."""
        expiries = self._expiries
        return [row for row in rows if (end := expiries[row]) is not None and end < now_ms]

    def object_of(self, row: int) -> tuple[str, str]:
        """Kind and uid of the object that the row belongs to."""
        return self._objects[row]

    def _add(self, record: Mapping[str, Any], text: bytes) -> None:
        row = len(self._json)
        earlier = self._rows.get(str(record["id"]))
        if earlier is not None:
            self.bytes -= len(self._json[earlier])
            self._json[earlier] = b""
        self._json.append(text)
        number = record.get("number")
        known = number if isinstance(number, int) and number < MAX_NUMBER else 0
        self._numbers.append(max(known, self._numbers[-1] if self._numbers else 0))
        self._rows[str(record["id"])] = row
        self._expiries.append(expiry(record))
        self._objects.append((sys.intern(str(record.get("kind"))), sys.intern(str(record.get("uid")))))
        self.bytes += len(text) + ROW_BYTES

    def _trim(self) -> None:
        first, removed = 0, 0
        while self.bytes - removed > self._max_bytes * TRIMMED_SHARE:
            removed += len(self._json[first]) + ROW_BYTES
            self.left_out += bool(self._json[first])
            first += 1
        self.bytes -= removed
        del self._json[:first], self._numbers[:first], self._expiries[:first], self._objects[:first]
        self._rows = {record_id: row - first for record_id, row in self._rows.items() if row >= first}
        self._columns.clear()


def parse_record(text: bytes) -> tuple[dict[str, Any], bytes] | None:
    """The record and its JSON, None if the bytes are none. NaN and infinite numbers, which JSON lacks, become their names."""
    try:
        record = orjson.loads(text)
    except ValueError:
        try:
            record = without_nonfinite(json.loads(text))
            text = orjson.dumps(record)
        except (ValueError, RecursionError):
            return None
    return (record, text) if isinstance(record, dict) and isinstance(record.get("id"), str) else None
