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
        answers, rows = len(head["id"]), int(head["rows"])
        digests = [self._order.digest if version == self._version else None for version in head["version"]]
        columns: dict[str, Any] = {
            "id": _text(_repeated(head["id"], rows)),
            "row": ArrowArray.from_numpy(np.tile(np.arange(rows, dtype=np.int32), answers)),
            "time": _times(np.repeat(np.array(head["time"], np.int64), rows)),
            "version": _text(_repeated(head["version"], rows)),
            "digest": _text(_repeated(digests, rows)),
            "latency_seconds": ArrowArray.from_numpy(np.repeat(np.array(head["seconds"], np.float64), rows)),
            "route": _text(_repeated(head["route"], rows)),
        }
        if self._order.key:
            columns["key"] = _text(self._keys(head["keys"], rows))
        given = self._given(head, raw)
        for side, fields in (("features", self._layout.features), ("outputs", self._layout.outputs)):
            if fields:
                columns[side] = _struct(
                    {f.name: self._array(f, given.get((side, f.name)), answers * rows) for f in fields}
                )
        return RecordBatch.from_pydict(columns)

    def _given(self, head: dict[str, Any], raw: memoryview) -> dict[tuple[str, str], tuple[Values, int]]:
        """By side and name: the values of all rows, and how many each row has."""
        rows, columns = head["rows"], frames.fields(self._layout, head)
        texts = {side: iter(head[f"{side}_text"]) for side in ("features", "outputs")}
        names = [f"{side}.{field.name}" for side, field, _ in columns if field.datatype != "BYTES"]
        kinds = [(DTYPES[field.datatype], (rows * width,)) for _, field, width in columns if field.datatype != "BYTES"]
        records = (
            np.frombuffer(raw, np.dtype([(name, *kind) for name, kind in zip(names, kinds, strict=True)]))
            if names
            else None
        )
        found: dict[tuple[str, str], tuple[Values, int]] = {}
        for side, field, width in columns:
            if field.datatype == "BYTES":
                found[side, field.name] = (next(texts[side]), width)
            elif records is not None:
                found[side, field.name] = (np.ascontiguousarray(records[f"{side}.{field.name}"]).reshape(-1), width)
        return found

    def _array(self, field: Field, given: tuple[Values, int] | None, total: int) -> ArrowArray:
        """Null in every row where the client did not ask for this output."""
        values, width = given or (_nothing(field), 0)
        column = self._order.action(field.name)
        flat = _arrow(self._kept_private(values, column) if column else values)
        if field.single:
            return flat if given else _nulls(flat, total)
        return list_array(ArrowArray.from_numpy((np.arange(total + 1) * width).astype(np.int32)), flat)

    def _keys(self, given: list[list[str] | None], rows: int) -> list[str | None]:
        keys: list[str | None] = []
        for found in given:
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


def _repeated(values: Sequence[Any], rows: int) -> list[Any]:
    return list(values) if rows == 1 else [value for value in values for _ in range(rows)]


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
