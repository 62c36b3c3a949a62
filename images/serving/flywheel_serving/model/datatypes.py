"""The protocol's datatypes, and conversions between them that lose nothing.

Source: Open Inference Protocol v2, "Tensor Data Types"; binary data is little-endian.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# By datatype: numpy's character code, and ONNX's element type.
_CODES = {
    "BOOL": ("?", "bool"),
    "UINT8": ("u1", "uint8"),
    "UINT16": ("<u2", "uint16"),
    "UINT32": ("<u4", "uint32"),
    "UINT64": ("<u8", "uint64"),
    "INT8": ("i1", "int8"),
    "INT16": ("<i2", "int16"),
    "INT32": ("<i4", "int32"),
    "INT64": ("<i8", "int64"),
    "FP16": ("<f2", "float16"),
    "FP32": ("<f4", "float"),
    "FP64": ("<f8", "double"),
    "BYTES": ("O", "string"),
}
DTYPES: dict[str, np.dtype[Any]] = {datatype: np.dtype(code) for datatype, (code, _) in _CODES.items()}
ONNX_DATATYPES = {f"tensor({element})": datatype for datatype, (_, element) in _CODES.items()}


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
