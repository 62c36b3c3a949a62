"""Messages as one Parquet file: `id, row, time, version, digest, latency_seconds, route, key, explanation, features.*, outputs.*`.

A file with rows of an A/B test also has `test, unit, arm`.

Labels are files of their own: `id, row, key, label, time, probability, source`, either the id or the key null; the probability is null where
the row was not drawn to be labelled, and the source empty where nobody was authenticated.
"""

import hashlib
import hmac
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from arro3.core import Array as ArrowArray
from arro3.core import DataType, RecordBatch, Table, list_array
from arro3.io import write_parquet

from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.prediction_log.batches import decode_message, record_fields
from flywheel_serving.prediction_log.config import ColumnRule, LogConfig
from flywheel_serving.prediction_log.schema import Field, RowSchema

# zstd's first level halves the bytes at a tenth of the time of the default.
COMPRESSION = "zstd(1)"
HMAC_HEX_DIGITS = 32  # 128 bits
ASSIGNMENT = ("test", "unit", "arm")  # columns of an A/B test, in files with its rows
TIMESTAMP = DataType.timestamp("us", tz="UTC")

Values = Array | list[str | None]


class ParquetEncoder:
    """`secret` is the key of HMAC columns, None without such columns."""

    def __init__(self, config: LogConfig, schema: RowSchema, version: str, secret: bytes | None) -> None:
        self._config, self._schema, self._version, self._secret = config, schema, version, secret

    def encode(self, contents: Sequence[bytes]) -> bytes:
        """One file of all messages' rows, in their order."""
        messages = [decode_message(content) for content in contents]
        is_tested = any("assignments" in head for head, _ in messages)  # all batches of a file have the same columns
        return self._write([self._batch(head, raw, is_tested=is_tested) for head, raw in messages])

    def encode_labels(self, heads: Sequence[dict[str, Any]]) -> bytes:
        """One file of the labels in these heads, in their order."""
        return self._write([self._label_batch(head) for head in heads])

    def _write(self, batches: list[RecordBatch]) -> bytes:
        file = io.BytesIO()
        rules = {each.name: {"action": each.action, "width": each.width} for each in self._config.columns}
        metadata = {
            "flywheel.record": "1",
            "flywheel.service": f"{self._config.namespace}/{self._config.service}",
            "flywheel.columns": orjson.dumps(rules).decode(),  # a bucket or a hash does not look like one
        }
        write_parquet(Table.from_batches(batches), file, compression=COMPRESSION, key_value_metadata=metadata)
        return file.getvalue()

    def _label_batch(self, head: dict[str, Any]) -> RecordBatch:
        times = np.full(len(head["label"]), head["time"], np.int64)
        columns: dict[str, Any] = {
            "id": _text_array(head["id"]),
            "row": ArrowArray.from_numpy(np.array(head["row"], np.int32)),
            "key": _text_array(self._protect_keys(head["key"])),
            "label": _text_array(head["label"]),
            "time": ArrowArray.from_numpy(times).cast(TIMESTAMP),
            "probability": ArrowArray(list(head["probability"]), DataType.float64()),
            "source": _text_array([str(head.get("source") or "")] * len(head["label"])),
        }
        return RecordBatch.from_pydict(columns)

    def _batch(self, head: dict[str, Any], raw: memoryview, *, is_tested: bool) -> RecordBatch:
        requests, rows = len(head["id"]), int(head["rows"])
        digests = [self._config.digest if version == self._version else None for version in head["version"]]
        columns: dict[str, Any] = {
            "id": _text_array(_repeat(head["id"], rows)),
            "row": ArrowArray.from_numpy(np.tile(np.arange(rows, dtype=np.int32), requests)),
            "time": ArrowArray.from_numpy(np.repeat(np.array(head["time"], np.int64), rows)).cast(TIMESTAMP),
            "version": _text_array(_repeat(head["version"], rows)),
            "digest": _text_array(_repeat(digests, rows)),
            "latency_seconds": ArrowArray.from_numpy(np.repeat(np.array(head["seconds"], np.float64), rows)),
            "route": _text_array(_repeat(head["route"], rows)),
        }
        if self._config.key:
            columns["key"] = _text_array(self._keys(head["keys"], rows))
        if self._config.explanations:
            explained = head.get("explanations") or [None] * requests
            columns["explanation"] = _text_array([text for texts in explained for text in texts or [None] * rows])
        if is_tested:
            columns |= self._assignments(head.get("assignments") or [[None] * len(ASSIGNMENT)] * requests, rows)
        values = self._values(head, raw)
        for side, fields in (("features", self._schema.features), ("outputs", self._schema.outputs)):
            if fields:
                arrays: dict[str, Any] = {
                    f.name: self._array(f, values.get((side, f.name)), requests * rows) for f in fields
                }
                columns[side] = RecordBatch.from_pydict(arrays).to_struct_array()
        return RecordBatch.from_pydict(columns)

    def _assignments(self, assignments: list[list[str | None]], rows: int) -> dict[str, ArrowArray]:
        """The columns of an A/B test. A unit is hashed with the secret, if there is one: without it anybody may hash a user's name."""
        columns = [list(column) for column in zip(*assignments, strict=True)]
        if self._secret is not None:
            columns[ASSIGNMENT.index("unit")] = self._hash(columns[ASSIGNMENT.index("unit")])
        return {name: _text_array(_repeat(column, rows)) for name, column in zip(ASSIGNMENT, columns, strict=True)}

    def _values(self, head: dict[str, Any], raw: memoryview) -> dict[tuple[str, str], tuple[Values, int]]:
        """By side and name: the values of all rows, and the number of values in each row."""
        rows, columns = head["rows"], record_fields(self._schema, head)
        texts = {side: iter(head[f"{side}_text"]) for side in ("features", "outputs")}
        names = [f"{side}.{field.name}" for side, field, _ in columns if field.datatype != "BYTES"]
        kinds = [(DTYPES[field.datatype], (rows * width,)) for _, field, width in columns if field.datatype != "BYTES"]
        records = (
            np.frombuffer(raw, np.dtype([(name, *kind) for name, kind in zip(names, kinds, strict=True)]))
            if names
            else None
        )
        values: dict[tuple[str, str], tuple[Values, int]] = {}
        for side, field, width in columns:
            if field.datatype == "BYTES":
                values[side, field.name] = (next(texts[side]), width)
            elif records is not None:
                values[side, field.name] = (np.ascontiguousarray(records[f"{side}.{field.name}"]).reshape(-1), width)
        return values

    def _array(self, field: Field, column: tuple[Values, int] | None, total: int) -> ArrowArray:
        """The column's values; null in every row if the client did not request this output."""
        values, width = column or ([] if field.datatype == "BYTES" else np.empty(0, DTYPES[field.datatype]), 0)
        rule = self._config.rule(field.name)
        flat = _arrow(self._protect(values, rule) if rule else values)
        if field.single:
            return flat if column else ArrowArray([None] * total, flat.type)
        return list_array(ArrowArray.from_numpy((np.arange(total + 1) * width).astype(np.int32)), flat)

    def _keys(self, keys_by_request: list[list[str] | None], rows: int) -> list[str | None]:
        """The key of each row; a request's only key is that of all its rows."""
        keys: list[str | None] = []
        for given in keys_by_request:
            keys += given if given and len(given) == rows else [given[0] if given else None] * rows
        return self._protect_keys(keys)

    def _protect_keys(self, keys: list[str | None]) -> list[str | None]:
        rule = self._config.rule(self._config.key)
        if rule is None:
            return keys
        return [None] * len(keys) if rule.action == "Drop" else self._hash(keys)

    def _protect(self, values: Values, rule: ColumnRule) -> Values:
        if rule.action == "Bucket":
            assert isinstance(values, np.ndarray)
            return np.floor(values.astype(np.float64) / rule.width) * rule.width
        return self._hash(values if isinstance(values, list) else [_number_text(value) for value in values.tolist()])

    def _hash(self, values: Sequence[str | None]) -> list[str | None]:
        secret = self._secret
        assert secret is not None, "the writer reads the secret before it encodes"
        hashes: dict[str | None, str | None] = {None: None, "": None}
        for value in values:
            if value not in hashes and value is not None:
                hashes[value] = hmac.new(secret, value.encode(), hashlib.sha256).hexdigest()[:HMAC_HEX_DIGITS]
        return [hashes[value] for value in values]


def _number_text(value: Any) -> str | None:
    """The text of a number that is hashed: the same for 7 and 7.0; None for NaN."""
    if value != value:
        return None
    return str(int(value)) if float(value).is_integer() else repr(value)


def _repeat(values: Sequence[Any], rows: int) -> list[Any]:
    return list(values) if rows == 1 else [value for value in values for _ in range(rows)]


def _text_array(values: Sequence[str | None]) -> ArrowArray:
    return ArrowArray(list(values), DataType.utf8())


def _arrow(values: Values) -> ArrowArray:
    if isinstance(values, list):
        return _text_array(values)
    # Many readers do not support 16-bit floats.
    return ArrowArray.from_numpy(values.astype(np.float32) if values.dtype == np.float16 else values)
