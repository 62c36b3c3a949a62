"""The protocol's datatypes, and conversions between them that lose nothing.

Source: Open Inference Protocol v2, "Tensor Data Types"; binary data is little-endian.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}

ONNX_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


def is_float(datatype: str) -> bool:
    return datatype.startswith("FP")


def convert(array: Array, datatype: str) -> Array:
    """`array` in the dtype of `datatype`, with the same values; a float may be rounded to a narrower float.

    Raises ValueError naming the first value that does not fit, or for numbers as BYTES and the reverse.
    """
    wanted = DTYPES[datatype]
    if array.dtype == wanted:
        return array
    if "O" in (array.dtype.kind, wanted.kind):
        raise ValueError("text and numbers are not converted into each other")
    with np.errstate(all="ignore"):
        converted = array.astype(wanted)
        is_equal = _is_equal(array, converted)
    if not is_equal.all():
        raise ValueError(f"the value {array[~is_equal].flat[0]} cannot be represented")
    return converted


def _is_equal(array: Array, converted: Array) -> Array:
    """A Boolean for each value: whether it survived the conversion."""
    kinds = array.dtype.kind + converted.dtype.kind
    if kinds == "ff":
        still_finite: Array = np.isfinite(converted) | ~np.isfinite(array)
        return still_finite
    is_equal: Array = converted.astype(array.dtype) == array
    if "f" not in kinds or "b" in kinds:
        is_equal &= converted == array
        return is_equal
    # Values outside the integer's range convert differently on each processor, and on some of them there and back.
    floats, integers = (array, converted.dtype) if kinds[0] == "f" else (converted, array.dtype)
    is_equal &= (floats >= float(np.iinfo(integers).min)) & (floats < float(np.iinfo(integers).max) + 1.0)
    return is_equal
