"""DuckDB's types, the tensors that hold their values, and the whole numbers that each can be."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from onnx import TensorProto

from flywheel_runtime.features.errors import ExpressionRefused

MAX_INT64 = 2**63 - 1
MIN_INT64 = -(2**63)
MAX_DATE = 2**31 - 1  # stands for infinity, as MAX_INT64 does in a TIMESTAMP
SIGNED_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
UNSIGNED_BITS = {"UTINYINT": 8, "USMALLINT": 16, "UINTEGER": 32}
TIMESTAMPS = frozenset({"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"})
MAX_DECIMAL_WIDTH = 18  # digits of 64 bits


class Kind(Enum):
    """Element type of a tensor."""

    FP64 = "fp64"
    FP32 = "fp32"
    INT64 = "int64"
    UINT64 = "uint64"
    BOOL = "bool"
    STRING = "string"

    @property
    def element_type(self) -> int:
        """ONNX's number of the type."""
        return int(getattr(TensorProto, _ELEMENT_TYPES[self]))

    @property
    def dtype(self) -> Any:
        """NumPy's type; texts are objects."""
        return _DTYPES[self]

    @property
    def is_floating(self) -> bool:
        """Whether NaN and the infinities are values."""
        return self in (Kind.FP64, Kind.FP32)


_ELEMENT_TYPES = {
    Kind.FP64: "DOUBLE",
    Kind.FP32: "FLOAT",
    Kind.INT64: "INT64",
    Kind.UINT64: "UINT64",
    Kind.BOOL: "BOOL",
    Kind.STRING: "STRING",
}
_DTYPES = {
    Kind.FP64: np.float64,
    Kind.FP32: np.float32,
    Kind.INT64: np.int64,
    Kind.UINT64: np.uint64,
    Kind.BOOL: np.bool_,
    Kind.STRING: object,
}
_KINDS = {
    "DOUBLE": Kind.FP64,
    "FLOAT": Kind.FP32,
    "BOOLEAN": Kind.BOOL,
    "VARCHAR": Kind.STRING,
    "UBIGINT": Kind.UINT64,
    "NULL": Kind.BOOL,
    "DATE": Kind.INT64,
    "INTERVAL": Kind.INT64,
    "DECIMAL": Kind.INT64,
} | dict.fromkeys([*SIGNED_BITS, *UNSIGNED_BITS, *TIMESTAMPS], Kind.INT64)


@dataclass(frozen=True)
class SqlType:
    """A type of DuckDB's: its name, and digits (`width`) of which `scale` are behind the point for a DECIMAL.

    Whole numbers are held as they are, a DECIMAL as value x 10^scale, a DATE as days and a TIMESTAMP or INTERVAL as microseconds.
    """

    name: str
    width: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"DECIMAL({self.width},{self.scale})" if self.name == "DECIMAL" else self.name

    @property
    def kind(self) -> Kind:
        """The tensor's element type. Raises ExpressionRefused for types that no tensor holds."""
        if self.name == "DECIMAL" and self.width > MAX_DECIMAL_WIDTH:
            raise ExpressionRefused(f"{self} is wider than 64 bits; cast one operand to DOUBLE")
        if self.name not in _KINDS:
            raise ExpressionRefused(f"no tensor holds the type {self}; cast it to DOUBLE, BIGINT, BOOLEAN or VARCHAR")
        return _KINDS[self.name]

    @property
    def is_integer(self) -> bool:
        """Whether it is a whole number of at most 64 bits with a sign, or of fewer without one."""
        return self.name in SIGNED_BITS or self.name in UNSIGNED_BITS

    @property
    def is_timestamp(self) -> bool:
        """Whether it is a TIMESTAMP, with a time zone or without."""
        return self.name in TIMESTAMPS

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest whole number that a tensor of the type can have."""
        if self.name in SIGNED_BITS:
            half = 2 ** (SIGNED_BITS[self.name] - 1)
            return -half, half - 1
        if self.name in UNSIGNED_BITS:
            return 0, 2 ** UNSIGNED_BITS[self.name] - 1
        if self.name == "DECIMAL":
            return -(10**self.width) + 1, 10**self.width - 1
        return (-MAX_DATE - 1, MAX_DATE) if self.name == "DATE" else (MIN_INT64, MAX_INT64)


BOOLEAN = SqlType("BOOLEAN")
BIGINT = SqlType("BIGINT")


def read_type(document: Mapping[str, Any]) -> SqlType:
    """The type as a bound plan writes it."""
    if document["id"] != "DECIMAL":
        return SqlType(document["id"])
    return SqlType("DECIMAL", document["type_info"]["width"], document["type_info"].get("scale", 0))
