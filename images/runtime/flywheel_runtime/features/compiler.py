"""From SQL expressions over columns of one row to an ONNX graph that computes what DuckDB does."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from flywheel_runtime.datasets.sql import quote_identifier
from flywheel_runtime.features.bound_plan import TABLE, Literal, bind_expression, find_literals
from flywheel_runtime.features.errors import ExpressionRefused, FeaturesRefused
from flywheel_runtime.features.expressions import ExpressionCompiler
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.input_columns import InputEncoding, add_column
from flywheel_runtime.features.output_tensors import (
    build_comparison_model,
    build_matrix_model,
    build_native_model,
    check_feature_type,
)
from flywheel_runtime.features.sql_types import SqlType
from flywheel_runtime.features.values import Compilation, Value

DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")


@dataclass(frozen=True)
class CompiledExpression:
    """An expression, the functions of DuckDB that it calls, and those of them whose last bits may differ in the graph.

    `columns` are those that it reads, `type` is DuckDB's of its value, and `literals` are those of its text.
    """

    sql: str
    functions: tuple[str, ...]
    inexact: tuple[str, ...]
    columns: tuple[str, ...]
    type: SqlType
    literals: tuple[Literal, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the graph gives the bits that DuckDB does."""
        return not self.inexact


@dataclass(frozen=True)
class CompiledFeatures:
    """The model, what is known of each feature in the order of its columns, and the DuckDB whose results it has.

    `comparison` is a model of the same inputs with each feature in its own type, as `value 0`, `is_null 0`, `value 1`, …
    """

    model: Any
    comparison: Any
    features: Mapping[str, CompiledExpression]
    duckdb_version: str


def compile_features(columns: Mapping[str, str], expressions: Mapping[str, str]) -> CompiledFeatures:
    """Compile features over columns (name to type of DuckDB) into a model with one input for each column that they read.

    Numbers, flags, dates (days) and times (microseconds) are FP64 (rows, 1) with NaN for NULL, texts STRING with "" for NULL. The
    output `features` is FP32 (rows, features). Raises FeaturesRefused with a reason for each feature that has no equal in ONNX.
    """
    with open_database(columns) as database:
        compiler = FeatureCompiler(database, InputEncoding.REQUESTS)
        values: list[Value] = []
        features: dict[str, CompiledExpression] = {}
        reasons: dict[str, str] = {}
        for name, sql in expressions.items():
            try:
                value, features[name] = compiler.compile_expression(sql)
                check_feature_type(value)
                values.append(value)
            except ExpressionRefused as refusal:
                reasons[name] = str(refusal)
        if reasons:
            raise FeaturesRefused(reasons)
        comparison = build_comparison_model(compiler.graph, values)
        return CompiledFeatures(build_matrix_model(compiler.graph, values), comparison, features, duckdb.__version__)


def compile_native(columns: Mapping[str, str], sql: str) -> tuple[Any, CompiledExpression]:
    """Compile one expression in the types of DuckDB, as a comparison with it needs: see InputEncoding.NATIVE.

    The outputs are `value` and `is_null`. Raises ExpressionRefused.
    """
    with open_database(columns) as database:
        return FeatureCompiler(database, InputEncoding.NATIVE).compile_native(sql)


@contextmanager
def open_database(columns: Mapping[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that binds expressions over these columns, and reads no file. Raises ExpressionRefused for an unknown type."""
    types = {name: parse_type(text) for name, text in columns.items()}
    declared = ", ".join(f"{quote_identifier(name)} {column_type}" for name, column_type in types.items())
    with duckdb.connect(config={"threads": 1, "enable_external_access": False}) as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE TABLE {TABLE} ({declared})")
        database.execute("SET lock_configuration = true")
        yield database


class FeatureCompiler:
    """Compiles expressions over the columns of a database of open_database() into one graph."""

    def __init__(self, database: duckdb.DuckDBPyConnection, encoding: InputEncoding) -> None:
        self.graph = GraphBuilder()
        self._database = database
        self._encoding = encoding
        self._columns: dict[str, Value] = {}

    def compile_expression(self, sql: str) -> tuple[Value, CompiledExpression]:
        """Add the nodes of an expression to the graph. Raises ExpressionRefused."""
        bound = bind_expression(self._database, sql)
        columns = [self._column(name, column_type) for name, column_type in bound.columns]
        compilation = Compilation(self.graph, self._database)
        value = ExpressionCompiler(compilation, columns).compile(bound.node)
        used, inexact = sorted(compilation.functions), sorted(compilation.inexact)
        names = tuple(name for name, _ in bound.columns)
        literals = tuple(find_literals(bound.node))
        return value, CompiledExpression(sql, tuple(used), tuple(inexact), names, value.type, literals)

    def compile_native(self, sql: str) -> tuple[Any, CompiledExpression]:
        """A model of one expression, see the function of this name. Raises ExpressionRefused."""
        value, compiled = self.compile_expression(sql)
        return build_native_model(self.graph, value), compiled

    def _column(self, name: str, column_type: SqlType) -> Value:
        if name not in self._columns:
            self._columns[name] = add_column(self.graph, name, column_type, self._encoding)
        return self._columns[name]


def parse_type(text: str) -> SqlType:
    """The type of a column, as DuckDB writes it. Raises ExpressionRefused for one that no tensor holds."""
    found = DECIMAL.fullmatch(text)
    column_type = SqlType("DECIMAL", int(found[1]), int(found[2])) if found else SqlType(text)
    if column_type.name in ("NULL", "INTERVAL", "UBIGINT") or (column_type.name == "DECIMAL" and not found):
        raise ExpressionRefused(f"a column of type {text} cannot be an input; cast it to DOUBLE or BIGINT before")
    _ = column_type.kind
    return column_type
