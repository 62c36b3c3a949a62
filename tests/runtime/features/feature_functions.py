"""The expressions that are compared with DuckDB, and the page of docs/ that says how they are compiled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.features.compiler import CompiledExpression
from flywheel_runtime.features.function_table import DIFFERENCES
from tests.runtime.features.equality import NativeModels

SOURCE = Path(__file__).with_name("expressions.txt")
INTRODUCTION = """\
# Functions of features

Generated from the expressions of `tests/runtime/features/expressions.txt`, each of which the tests compare with DuckDB on rows with NULL,
NaN, infinities and the ends of each type, with the onnxruntime of the images and with the newest one; `GOLDEN=write` and the test write it.

A feature is an expression of DuckDB's SQL over columns of one row. It is compiled into ONNX in front of the model, so that the graph
computes `TRY(expression)`: an error, such as an overflow, is NULL. `rowwise` of a training takes such expressions ([training](training.md#features-by-sql)).

- **exact**: the graph gives the bits that DuckDB does, for any number of rows. The sign of a zero may differ, which `1 / x` alone shows.
- **close**: it differs as stated. An inexact function of one whole number of at most 4,096 values, such as `hour(ts)`, is a table, and exact.
- **refused**: it cannot be compiled, and the reason says what to write instead. So is every function that is not listed.

`a`, `b` are DOUBLE, `f`, `g` FLOAT, `i`, `j` INTEGER, `p`, `q` BIGINT, `v`, `w` TINYINT, `n` UINTEGER, `d`, `e` DECIMAL(10,2), `big`
DECIMAL(18,4), `k`, `l` BOOLEAN, `s`, `u` VARCHAR, `ts`, `tt` TIMESTAMP (of which TIMESTAMPTZ is UTC), and `dt`, `du` DATE.
"""


def read_groups() -> Mapping[str, list[str]]:
    """The expressions of each group."""
    groups: dict[str, list[str]] = {}
    for line in SOURCE.read_text().splitlines():
        if line.startswith("# "):
            groups[line.removeprefix("# ")] = []
        else:
            groups[list(groups)[-1]].append(line)
    return groups


def all_expressions() -> list[str]:
    """The expressions of all groups."""
    return [sql for group in read_groups().values() for sql in group]


def render_page(models: NativeModels) -> str:
    """The page of all groups."""
    return INTRODUCTION + "".join(_render_group(models, name, group) for name, group in read_groups().items())


def _render_group(models: NativeModels, name: str, expressions: list[str]) -> str:
    rows = "".join(f"| `{_cell(sql)}` | {_cell(_describe(models.compile(sql)))} |\n" for sql in expressions)
    return f"\n## {name.capitalize()}\n\n| Expression | In the graph |\n|---|---|\n{rows}"


def _describe(found: tuple[Any, CompiledExpression] | str) -> str:
    if isinstance(found, str):
        return f"**refused**: {found}"
    _, compiled = found
    if compiled.is_exact:
        return "exact"
    return "close: " + "; ".join(f"{name} {DIFFERENCES[name]}" for name in compiled.inexact)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
