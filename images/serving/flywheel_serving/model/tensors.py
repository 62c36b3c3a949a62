"""Tensors in the protocol's two encodings: JSON lists, and little-endian bytes (the binary tensor extension)."""

import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from flywheel_serving.errors import RequestTooLarge
from flywheel_serving.model.datatypes import DTYPES, Array, convert, is_float

NUMBERS: frozenset[type] = frozenset({int, float, type(None)})
TEXT: frozenset[type] = frozenset({str, type(None)})
BOOLEANS: frozenset[type] = frozenset({bool})
LENGTH_BYTES = 4  # before each text
# Of an output in JSON or typed contents, which take several times the bytes and the time of binary data.
MAX_JSON_VALUES = 4_194_304
# Names the length of the JSON part if binary tensors follow it (the binary tensor extension).
JSON_LENGTH_HEADER = b"inference-header-content-length"


def from_json(data: Any, datatype: str, shape: list[int]) -> Array:
    """The array of `shape` for JSON `data`, flat or nested like the shape, row-major.

    JSON null is a missing value: NaN among numbers (then the array is FP64 even if an integer type was declared) and ""
    in BYTES. Raises ValueError with the finding; the caller knows the tensor's name.
    """
    values = _flatten(data, shape)
    if len(values) != prod(shape):
        raise ValueError(f"shape {shape} needs {prod(shape)} values, found {len(values)}")
    types = set(map(type, values))
    if datatype == "BYTES":
        _check_types(TEXT, types, values, "text")
        texts = [value or "" for value in values] if type(None) in types else values
        return _text_array(texts).reshape(shape)
    if datatype == "BOOL":
        _check_types(BOOLEANS, types, values, "true or false")
        return np.array(values, np.bool_).reshape(shape)
    _check_types(NUMBERS, types, values, "numbers")
    return _numbers(values, types, datatype).reshape(shape)


def _flatten(data: Any, shape: list[int]) -> list[Any]:
    if type(data) is not list:
        raise ValueError(f"data must be a list, found {_json_type(data)}")
    rows: list[Any] = data
    if not rows or type(rows[0]) is not list:
        return rows
    for depth, size in enumerate(shape[1:], start=1):
        for row in rows:
            if type(row) is not list or len(row) != size:
                found = f"a list of {len(row)}" if type(row) is list else _json_type(row)
                raise ValueError(
                    f"at depth {depth} each item must be a list of {size} for shape {shape}, found {found}"
                )
        rows = list(chain.from_iterable(rows))
    return rows


def _check_types(allowed: frozenset[type], types: set[type], values: list[Any], wanted: str) -> None:
    if types <= allowed:
        return
    index, value = next((i, value) for i, value in enumerate(values) if type(value) not in allowed)
    raise ValueError(f"wanted {wanted}, found {_json_type(value)} at position {index}")


def _json_type(value: Any) -> str:
    names = {str: "text", bool: "true or false", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


def _text_array(values: list[str]) -> Array:
    # Filled afterwards: numpy would otherwise search the items for a second dimension.
    array = np.empty(len(values), object)
    array[:] = values
    return array


@lru_cache(256)
def _packer(datatype: str, count: int) -> Callable[..., bytes]:
    return struct.Struct(f"<{count}{'f' if datatype == 'FP32' else 'd'}").pack


def _numbers(values: list[Any], types: set[type], datatype: str) -> Array:
    try:
        if datatype in ("FP32", "FP64") and type(None) not in types:
            with suppress(OverflowError):  # refused below
                # Most requests end here. numpy's own conversion of a list takes three times as long and accepts overflow.
                return np.frombuffer(_packer(datatype, len(values))(*values), DTYPES[datatype])
        if is_float(datatype) or type(None) in types:
            numbers = np.array(values, np.float64)
            return convert(numbers, datatype) if is_float(datatype) else numbers
        if float in types:  # whole numbers among them may have more digits than a float
            convert(np.array(values, np.float64), datatype)
            values = list(map(int, values))
        return np.array(values, DTYPES[datatype])
    except OverflowError as error:
        raise ValueError(f"a number does not fit {datatype}: {error}") from error


def from_bytes(raw: bytes | memoryview, datatype: str, shape: list[int]) -> Array:
    """The array of `shape` over little-endian row-major `raw`, without a copy for numbers. Raises ValueError."""
    if datatype == "BYTES":
        texts = _split_texts(raw)
        if len(texts) != prod(shape):
            raise ValueError(f"shape {shape} needs {prod(shape)} values, found {len(texts)}")
        return _text_array(texts).reshape(shape)
    dtype = DTYPES[datatype]
    wanted = prod(shape) * dtype.itemsize
    if len(raw) != wanted:
        raise ValueError(f"shape {shape} of {datatype} needs {wanted} bytes, found {len(raw)}")
    if datatype == "BOOL":
        return np.frombuffer(raw, np.uint8).astype(np.bool_).reshape(shape)
    return np.frombuffer(raw, dtype).reshape(shape)


def _split_texts(raw: bytes | memoryview) -> list[str]:
    texts: list[str] = []
    offset, end = 0, len(raw)
    while offset < end:
        start = offset + LENGTH_BYTES
        offset = start + int.from_bytes(raw[offset:start], "little")
        if start > end or offset > end:
            raise ValueError(f"item {len(texts)} of BYTES is longer than the rest of the data")
        texts.append(_utf8(bytes(raw[start:offset]), len(texts)))
    return texts


def from_byte_strings(values: list[bytes], shape: list[int]) -> Array:
    """The BYTES array for `bytes_contents` of gRPC. Raises ValueError."""
    if len(values) != prod(shape):
        raise ValueError(f"shape {shape} needs {prod(shape)} values, found {len(values)}")
    return _text_array([_utf8(value, index) for index, value in enumerate(values)]).reshape(shape)


def _utf8(value: bytes, index: int) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"item {index} of BYTES is not UTF-8: {error.reason}") from error


def to_bytes(array: Array) -> bytes:
    """Little-endian row-major bytes; a text is its length in 4 bytes, then its UTF-8."""
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    encoded = [str(value).encode() for value in array.ravel()]
    return b"".join(part for text in encoded for part in (len(text).to_bytes(LENGTH_BYTES, "little"), text))


def count_bytes(arrays: Iterable[Array]) -> int:
    """Bytes of all arrays; a text counts with its length."""
    total = 0
    for array in arrays:
        total += array.nbytes
        if array.dtype.kind == "O":
            total += sum(map(len, array.ravel()))
    return total


def too_many_values(array: Array) -> RequestTooLarge:
    """The error for an output that is only sent as binary data."""
    return RequestTooLarge(
        f"outputs: {array.size} values of one output, at most {MAX_JSON_VALUES} are sent as text or typed contents; "
        "ask for binary data, or send fewer rows in each request"
    )


def to_json(array: Array) -> Any:
    """Flat values for orjson with OPT_SERIALIZE_NUMPY, which writes NaN and infinities as null. Raises RequestTooLarge."""
    if array.size > MAX_JSON_VALUES:
        raise too_many_values(array)
    if array.dtype.kind == "O":
        return [str(value) for value in array.ravel()]
    return array if array.ndim == 1 else array.ravel()
