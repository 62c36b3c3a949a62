"""What an expression is while it is compiled: a tensor, where it is NULL, and where DuckDB would raise an error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb

from flywheel_runtime.features.graph import GraphBuilder, Mask
from flywheel_runtime.features.sql_types import MAX_DATE, MAX_INT64, Kind, SqlType


@dataclass(frozen=True)
class Domain:
    """A value as a function of one whole number `x` of few values: SQL in terms of `x`, and that number (None for a literal)."""

    sql: str
    root: "Value | None"


@dataclass(frozen=True)
class Value:
    """A compiled expression: `tensor` (rows, 1), undefined where `null` or `error` is true.

    `error` marks rows in which DuckDB would raise an error. It follows the branches that are taken, and ends as NULL, as in TRY().
    `literal` is the value of a literal as the tensor has it. `low` and `high` bound a whole number.
    `null_is_nan`: the tensor is NaN wherever `null` is true. `nan_is_null`: it is NaN nowhere else. `null_is_false`: a Boolean tensor
    is false wherever `null` is true. What is known of them spares nodes.
    """

    type: SqlType
    tensor: str
    null: Mask = None
    error: Mask = None
    literal: Any = None
    low: int | None = None
    high: int | None = None
    null_is_nan: bool = False
    nan_is_null: bool = False
    null_is_false: bool = False
    domain: Domain | None = None

    @property
    def kind(self) -> Kind:
        """The tensor's element type."""
        return self.type.kind

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest whole number that the tensor can have where it is defined."""
        low, high = self.type.range
        return low if self.low is None else self.low, high if self.high is None else self.high

    @property
    def shows_null(self) -> bool:
        """Whether a real number is NaN, and so tells by itself, where it is NULL."""
        return self.null is None or self.null_is_nan

    @property
    def can_be_nan(self) -> bool:
        """Whether NaN is a value of it, and not NULL alone."""
        if self.literal is not None:
            return self.kind.is_floating and math.isnan(self.literal)
        return self.kind.is_floating and not self.nan_is_null

    @property
    def can_be_infinite(self) -> bool:
        """Whether a DATE or TIMESTAMP may be infinity, which has no year."""
        infinity = MAX_DATE if self.type.name == "DATE" else MAX_INT64
        return self.bounds[0] <= -infinity or self.bounds[1] >= infinity


@dataclass(frozen=True)
class Call:
    """A function with its arguments and the type that DuckDB chose for its result; `null` and `error` are those of any argument."""

    name: str
    arguments: Sequence[Value]
    type: SqlType
    null: Mask
    error: Mask

    @property
    def first(self) -> Value:
        """The first argument."""
        return self.arguments[0]

    def result(self, tensor: str, low: int | None = None, high: int | None = None) -> Value:
        """The value of a function that is NULL where an argument is, and raises no error of its own."""
        return Value(self.type, tensor, self.null, self.error, low=low, high=high)


@dataclass(frozen=True)
class Compilation:
    """The graph that grows, the database that binds and evaluates literals, and what was used on the way."""

    graph: GraphBuilder
    database: duckdb.DuckDBPyConnection
    functions: set[str] = field(default_factory=set)
    inexact: set[str] = field(default_factory=set)


def call_function(compilation: Compilation, name: str, arguments: Sequence[Value], result_type: SqlType) -> Call:
    """A call whose masks are those of its arguments."""
    graph = compilation.graph
    null = graph.any_of(*(each.null for each in arguments))
    return Call(name, arguments, result_type, null, graph.any_of(*(each.error for each in arguments)))


def constant_value(graph: GraphBuilder, literal: Any, literal_type: SqlType) -> Value:
    """A literal as the tensor has it: days, microseconds, or a scaled DECIMAL."""
    kind = literal_type.kind
    value = float(literal) if kind.is_floating else literal
    bound = int(literal) if kind in (Kind.INT64, Kind.UINT64) else None
    return Value(literal_type, graph.constant(value, kind), literal=value, low=bound, high=bound)


def null_value(graph: GraphBuilder, null_type: SqlType) -> Value:
    """NULL of a type."""
    kind = null_type.kind
    filler = math.nan if kind.is_floating else "" if kind is Kind.STRING else 0
    null = Value(null_type, graph.constant(filler, kind), graph.constant(True, Kind.BOOL), low=0, high=0)
    return replace(null, null_is_nan=kind.is_floating, nan_is_null=True, null_is_false=kind is Kind.BOOL)


def select_value(graph: GraphBuilder, condition: str, then: Value, otherwise: Value) -> Value:
    """`then` where the condition is true, `otherwise` elsewhere, each with its masks."""
    low = high = None
    if then.kind in (Kind.INT64, Kind.UINT64) and then.type.name != "UBIGINT":
        low, high = min(then.bounds[0], otherwise.bounds[0]), max(then.bounds[1], otherwise.bounds[1])
    return Value(
        then.type,
        graph.select(condition, then.tensor, otherwise.tensor, then.kind),
        graph.select_mask(condition, then.null, otherwise.null),
        graph.select_mask(condition, then.error, otherwise.error),
        low=low,
        high=high,
        null_is_nan=then.kind.is_floating and then.shows_null and otherwise.shows_null,
        nan_is_null=not then.can_be_nan and not otherwise.can_be_nan,
    )
