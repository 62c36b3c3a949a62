"""An inexact function of one whole number of few values is a table that DuckDB fills: exact, and the same at any batch size."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from flywheel_runtime.datasets.sql import quote_literal
from flywheel_runtime.features.sql_types import SqlType
from flywheel_runtime.features.values import Compilation, Domain, Value

MAX_ENTRIES = 4096
# Functions that are not NULL where an argument is.
NOT_STRICT = frozenset({"concat", "hash", "greatest", "least"})


def call_sql(name: str, arity: int) -> str:
    """A call by name with a place for each argument; operators can be called by name, too."""
    return f'"{name}"(' + ", ".join("{}" for _ in range(arity)) + ")"


def find_domain(template: str, arguments: Sequence[Value]) -> Domain | None:
    """The call as a function of one small whole number, if all arguments are literals or functions of the same one."""
    domains = [_domain_of(each) for each in arguments]
    if not all(domains):
        return None
    known = [domain for domain in domains if domain]
    roots = {(domain.root.tensor, domain.root.null): domain.root for domain in known if domain.root}
    if len(roots) != 1:
        return None
    return Domain(template.format(*(domain.sql for domain in known)), next(iter(roots.values())))


def _domain_of(value: Value) -> Domain | None:
    if value.domain:
        return value.domain
    if value.literal is not None and (value.type.is_integer or value.type.name in ("DOUBLE", "DECIMAL", "FLOAT")):
        return Domain(literal_sql(value), None)
    if value.type.is_integer and _is_small(value):
        return Domain(f"CAST(x AS {value.type})", value)
    return None


def _is_small(value: Value) -> bool:
    return value.bounds[1] - value.bounds[0] < MAX_ENTRIES


def literal_sql(value: Value) -> str:
    """A literal of a number or a text in SQL."""
    literal = Decimal(value.literal).scaleb(-value.type.scale) if value.type.name == "DECIMAL" else value.literal
    return f"CAST({quote_literal(str(literal))} AS {value.type})"


def with_domain(result: Value, template: str, arguments: Sequence[Value]) -> Value:
    """The value with what a later inexact function of it needs for a table."""
    if result.domain or (result.type.is_integer and _is_small(result)):
        return result
    domain = find_domain(template, arguments)
    return replace(result, domain=domain) if domain else result


def add_table(compilation: Compilation, domain: Domain, result_type: SqlType) -> Value:
    """A table of the function's values for each number of its domain."""
    graph, root = compilation.graph, domain.root
    if root is None:
        raise ValueError("a function of literals alone has no table")
    low, high = root.bounds
    query = f"SELECT TRY({domain.sql}) FROM range({low}, {high + 1}) AS numbers(x) ORDER BY x"
    values = [row[0] for row in compilation.database.execute(query).fetchall()]
    bounded = graph.add("Clip", root.tensor, graph.scalar(low), graph.scalar(high))
    place = graph.add("Sub", bounded, graph.integer(low)) if low else bounded
    entries = np.array([0 if value is None else value for value in values], result_type.kind.dtype)
    tensor = graph.add("Gather", graph.initializer(entries), place, axis=0)
    failed = None
    if None in values:
        failures = np.array([value is None for value in values])
        failed = graph.add("Gather", graph.initializer(failures), place, axis=0)
    return Value(result_type, tensor, root.null, graph.add_error(root.error, failed, root.null), domain=domain)
