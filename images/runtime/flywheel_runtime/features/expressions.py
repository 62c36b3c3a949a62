"""The nodes of a bound expression, each as a value; an unknown node is refused by its class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.function_table import NAN_PROPAGATING, translate_call
from flywheel_runtime.features.functions.casts import cast_value
from flywheel_runtime.features.functions.comparisons import (
    both,
    both_in_turn,
    compare,
    either,
    either_in_turn,
)
from flywheel_runtime.features.functions.conditionals import apply_operator, choose_case
from flywheel_runtime.features.functions.date_arithmetic import interval_value
from flywheel_runtime.features.functions.reals import INEXACT
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.small_domains import (
    NOT_STRICT,
    add_table,
    call_sql,
    find_domain,
    literal_sql,
    with_domain,
)
from flywheel_runtime.features.sql_types import SqlType, read_type
from flywheel_runtime.features.values import Compilation, Value, call_function, constant_value, null_value

Node = Mapping[str, Any]
Combine = Callable[[GraphBuilder, Value, Value], Value]


class ExpressionCompiler:
    """Compiles nodes of one expression. `columns` are those to which its BOUND_REF nodes point."""

    def __init__(self, compilation: Compilation, columns: Sequence[Value]) -> None:
        self._compilation = compilation
        self._graph = compilation.graph
        self._columns = columns
        self._compilers: Mapping[str, Callable[[Node], Value]] = {
            "BOUND_REF": lambda node: self._columns[node["index"]],
            "BOUND_CONSTANT": lambda node: self._compile_literal(node["value"]),
            "BOUND_CASE": self._compile_case,
            "BOUND_CONJUNCTION": self._compile_conjunction,
            "BOUND_OPERATOR": self._compile_operator,
            "BOUND_FUNCTION": self._compile_function,
        }

    def compile(self, node: Node) -> Value:
        """The value of a node. Raises ExpressionRefused for what has no equal in ONNX."""
        compiler = self._compilers.get(node["expression_class"])
        if compiler is None:
            raise ExpressionRefused(
                f"the node {node['expression_class']} ({node.get('type')}) of DuckDB's plan is unknown"
            )
        return compiler(node)

    def _compile_children(self, node: Node) -> list[Value]:
        return [self.compile(child) for child in node.get("children", [])]

    def _compile_literal(self, document: Node) -> Value:
        literal_type = read_type(document["type"])
        if document["is_null"]:
            return null_value(self._graph, literal_type)
        if literal_type.name == "INTERVAL":
            return interval_value(self._graph, document["value"], Value(literal_type, ""))
        return constant_value(self._graph, document["value"], literal_type)

    def _compile_case(self, node: Node) -> Value:
        branches = [
            (self._compile_condition(each["when_expr"]), self.compile(each["then_expr"]))
            for each in node["case_checks"]
        ]
        return choose_case(self._graph, branches, self.compile(node["else_expr"]))

    def _compile_condition(self, node: Node) -> Value:
        """A condition of CASE, whose operands of AND and OR are computed in turn."""
        if node["expression_class"] != "BOUND_CONJUNCTION":
            return self.compile(node)
        operands = [self._compile_condition(child) for child in node["children"]]
        return self._combine(
            node["type"], operands, {"CONJUNCTION_AND": both_in_turn, "CONJUNCTION_OR": either_in_turn}
        )

    def _compile_conjunction(self, node: Node) -> Value:
        operands = self._compile_children(node)
        return self._combine(node["type"], operands, {"CONJUNCTION_AND": both, "CONJUNCTION_OR": either})

    def _combine(self, kind: str, operands: Sequence[Value], combinations: Mapping[str, Combine]) -> Value:
        if kind not in combinations:
            raise ExpressionRefused(f"the conjunction {kind} of DuckDB's plan is unknown")
        result, *others = operands
        for other in others:
            result = combinations[kind](self._graph, result, other)
        return result

    def _compile_operator(self, node: Node) -> Value:
        return apply_operator(self._graph, node["type"], self._compile_children(node))

    def _compile_function(self, node: Node) -> Value:
        arguments = self._compile_children(node)
        match node["type"]:
            case "OPERATOR_CAST":
                return self._compile_cast(node, arguments[0])
            case "COMPARE_BETWEEN":
                return self._compile_between(node["function_data"], *arguments)
            case "BOUND_FUNCTION":
                return self._compile_call(node["qname"]["path"][-1], arguments, read_type(node["return_type"]))
            case kind if kind.startswith("COMPARE_"):
                return compare(self._graph, kind, *arguments)
            case kind:
                raise ExpressionRefused(f"the function node {kind} of DuckDB's plan is unknown")

    def _compile_between(self, inclusive: Node, value: Value, low: Value, high: Value) -> Value:
        above = "COMPARE_GREATERTHANOREQUALTO" if inclusive["lower_inclusive"] else "COMPARE_GREATERTHAN"
        below = "COMPARE_LESSTHANOREQUALTO" if inclusive["upper_inclusive"] else "COMPARE_LESSTHAN"
        return both(self._graph, compare(self._graph, above, value, low), compare(self._graph, below, value, high))

    def _compile_cast(self, node: Node, value: Value) -> Value:
        target, is_try = read_type(node["return_type"]), node["function_data"]["try_cast"]
        if value.type.name == "NULL":
            return null_value(self._graph, target)
        if value.literal is not None and value.type.name != "INTERVAL":
            return self._fold_cast(value, target, is_try=is_try)
        result = cast_value(self._graph, value, target, is_try=is_try)
        if value.type.name == "VARCHAR" and target.name == "DOUBLE":
            self._compilation.inexact.add("cast of VARCHAR to DOUBLE")
        # TRY_CAST is NULL for numbers that are not, which a table could not tell from an error.
        return result if is_try else with_domain(result, f"CAST({{}} AS {target})", [value])

    def _fold_cast(self, value: Value, target: SqlType, *, is_try: bool) -> Value:
        """DuckDB itself casts a literal."""
        source = {
            "DATE": f"(DATE '1970-01-01' + CAST({value.literal} AS INTEGER))",
            "TIMESTAMP": f"make_timestamp({value.literal})",
        }.get(value.type.name) or literal_sql(value)
        cast = f"{'TRY_' * is_try}CAST({source} AS {target})"
        as_tensor = _time_as_number(cast, target)
        try:
            row = self._compilation.database.execute(f"SELECT {as_tensor}").fetchone()
        except duckdb.Error as error:
            raise ExpressionRefused(f"a literal cannot be cast to {target}: {str(error).splitlines()[0]}") from error
        if row[0] is None:
            return null_value(self._graph, target)
        literal = int(row[0].scaleb(target.scale)) if target.name == "DECIMAL" else row[0]
        return constant_value(self._graph, literal, target)

    def _compile_call(self, name: str, arguments: list[Value], result_type: SqlType) -> Value:
        template = call_sql(name, len(arguments))
        if name in INEXACT:
            domain = find_domain(template, arguments)
            if domain:
                self._compilation.functions.add(name)
                return add_table(self._compilation, domain, result_type)
            self._compilation.inexact.add(name)
        result = translate_call(self._compilation, call_function(self._compilation, name, arguments, result_type))
        if name in NAN_PROPAGATING and result.kind.is_floating:
            result = replace(result, null_is_nan=all(each.shows_null for each in arguments))
        return result if name in NOT_STRICT else with_domain(result, template, arguments)


def _time_as_number(sql: str, target: SqlType) -> str:
    """SQL of a literal's days or microseconds, infinity being the largest number; other literals as they are."""
    if target.name != "DATE" and not target.is_timestamp:
        return sql
    number = f"{sql} - DATE '1970-01-01'" if target.name == "DATE" else f"epoch_us({sql})"
    infinity = target.range[1]
    largest = f"CASE WHEN {sql} > DATE '1970-01-01' THEN {infinity} ELSE {-infinity} END"
    return f"CASE WHEN isfinite({sql}) THEN {number} WHEN {sql} IS NOT NULL THEN {largest} END"
