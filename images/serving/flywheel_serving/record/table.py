"""Frames as one Parquet file: `id, row, time, version, digest, latency_seconds, route, key, features.*, outputs.*`."""

import hashlib
import hmac
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from arro3.core import Array as ArrowArray
from arro3.core import DataType, RecordBatch, Table, list_array
from arro3.io import write_parquet

from flywheel_serving.datatypes import DTYPES, Array
from flywheel_serving.record import frames
from flywheel_serving.record.layout import Field, Layout
from flywheel_serving.record.order import Column, Order

# zstd's first level halves the bytes at a tenth of the time of the default.
COMPRESSION = "zstd(1)"
HMAC_DIGITS = 32  # 128 bits

Values = Array | list[str | None]


class Tables:
    """`secret` is the key of HMAC columns, None where the order has none."""

    def __init__(self, order: Order, layout: Layout, version: str, secret: bytes | None) -> None:
        self._order, self._layout, self._version, self._secret = order, layout, version, secret

    def parquet(self, contents: Sequence[bytes]) -> bytes:
        """One file of all frames' rows, in their order."""
        file = io.BytesIO()
        metadata = {"flywheel.record": "1", "flywheel.service": f"{self._order.namespace}/{self._order.service}"}
        table = Table.from_batches([self._batch(*frames.unpack(content)) for content in contents])
        write_parquet(table, file, compression=COMPRESSION, key_value_metadata=metadata)
        return file.getvalue()

    def _batch(self, head: dict[str, Any], raw: memoryview) -> RecordBatch:
        counts = np.array(head["rows"], np.int64)
        total = int(counts.sum())
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        digests = [self._order.digest if version == self._version else None for version in head["version"]]
        columns: dict[str, Any] = {
            "id": _text(_repeated(head["id"], counts)),
            "row": ArrowArray.from_numpy((np.arange(total) - starts).astype(np.int32)),
            "time": _times(np.repeat(np.array(head["time"], np.int64), counts)),
            "version": _text(_repeated(head["version"], counts)),
            "digest": _text(_repeated(digests, counts)),
            "latency_seconds": ArrowArray.from_numpy(np.repeat(np.array(head["seconds"], np.float64), counts)),
            "route": _text(_repeated(head["route"], counts)),
        }
        if self._order.key:
            columns["key"] = _text(self._keys(head["keys"], counts))
        given = self._given(head, raw, counts)
        for name, side, fields in (
            ("features", "feeds", self._layout.features),
            ("outputs", "outputs", self._layout.outputs),
        ):
            if fields:
                columns[name] = _struct({f.name: self._array(f, given.get((side, f.name)), total) for f in fields})
        return RecordBatch.from_pydict(columns)

    def _given(
        self, head: dict[str, Any], raw: memoryview, counts: Array
    ) -> dict[tuple[str, str], tuple[Values, Array | None]]:
        """By side and name: flat values, and for lists how many each row has."""
        datatypes = {("feeds", f.name): f.datatype for f in self._layout.features}
        datatypes |= {("outputs", f.name): f.datatype for f in self._layout.outputs}
        found, offset = {}, 0
        for column in head["columns"]:
            place = (column["side"], column["name"])
            widths = np.repeat(np.array(column["widths"], np.int64), counts) if "widths" in column else None
            values: Values
            if "text" in column:
                values = column["text"]
            else:
                values = np.frombuffer(raw[offset : offset + column["size"]], DTYPES[datatypes[place]])
                offset += column["size"]
            found[place] = (values, widths)
        return found

    def _array(self, field: Field, given: tuple[Values, Array | None] | None, total: int) -> ArrowArray:
        """Null in every row where the client did not ask for this output."""
        values, widths = given or (_nothing(field), np.zeros(total, np.int64))
        column = self._order.action(field.name)
        flat = _arrow(self._kept_private(values, column) if column else values)
        if field.single:
            return flat if given else _nulls(flat, total)
        assert widths is not None
        offsets = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
        return list_array(ArrowArray.from_numpy(offsets), flat)

    def _keys(self, given: list[list[str] | None], counts: Array) -> list[str | None]:
        keys: list[str | None] = []
        for found, rows in zip(given, counts.tolist(), strict=True):
            keys += found if found and len(found) == rows else [found[0] if found else None] * rows
        column = self._order.action(self._order.key)
        if column is None:
            return keys
        return [None] * len(keys) if column.action == "Drop" else self._hashed(keys)

    def _kept_private(self, values: Values, column: Column) -> Values:
        if column.action == "Bucket":
            assert isinstance(values, np.ndarray)
            return np.floor(values.astype(np.float64) / column.width) * column.width
        return self._hashed(values if isinstance(values, list) else [_word(value) for value in values.tolist()])

    def _hashed(self, values: Sequence[str | None]) -> list[str | None]:
        secret = self._secret
        assert secret is not None, "the sink does not start without the secret of an HMAC column"
        known: dict[str | None, str | None] = {None: None, "": None}
        for value in values:
            if value not in known and value is not None:
                known[value] = hmac.new(secret, value.encode(), hashlib.sha256).hexdigest()[:HMAC_DIGITS]
        return [known[value] for value in values]


def _word(value: Any) -> str | None:
    """A number as the text that is hashed: 7 and 7.0 are the same, NaN is nothing."""
    if value != value:
        return None
    return str(int(value)) if float(value).is_integer() else repr(value)


def _repeated(values: Sequence[Any], counts: Array) -> list[Any]:
    if (counts == 1).all():
        return list(values)
    return [value for value, rows in zip(values, counts.tolist(), strict=True) for _ in range(rows)]


def _text(values: Sequence[str | None]) -> ArrowArray:
    return ArrowArray(list(values), DataType.utf8())


def _times(microseconds: Array) -> ArrowArray:
    return ArrowArray.from_numpy(microseconds).cast(DataType.timestamp("us", tz="UTC"))


def _arrow(values: Values) -> ArrowArray:
    if isinstance(values, list):
        return _text(values)
    # Many readers do not know 16-bit floats.
    return ArrowArray.from_numpy(values.astype(np.float32) if values.dtype == np.float16 else values)


def _nothing(field: Field) -> Values:
    return [] if field.datatype == "BYTES" else np.empty(0, DTYPES[field.datatype])


def _nulls(like: ArrowArray, total: int) -> ArrowArray:
    return ArrowArray([None] * total, like.type)


def _struct(columns: dict[str, Any]) -> ArrowArray:
    return RecordBatch.from_pydict(columns).to_struct_array()
