"""The command `check-rowwise`, of `flywheel test`: whether features by SQL can be computed. A document on stdin, one on stdout.

It runs on the machine of who writes them; no pod calls it (images/README.md, "check-rowwise").
"""

import json
import sys
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models.rowwise.rowwise_expressions import find_unknown_column, try_rowwise
from flywheel_runtime.params import Params


class Question(Params):
    """Expressions, and columns of the data by type. `is_whole`: it has no others; else expressions may read what is not listed."""

    columns: dict[str, str]
    is_whole: bool
    target: str | None = None
    rowwise: dict[str, str]


def main() -> int:
    """Answer the question on stdin."""
    try:
        answer = check_rowwise(Question.parse(json.load(sys.stdin)))
    except Failure as failure:
        sys.stderr.write(f"{failure.message}\n")
        return 1
    json.dump(answer, sys.stdout)
    return 0


def check_rowwise(question: Question) -> dict[str, Any]:
    """What is wrong with each expression (`refused`), and which column of unknown type each of the others reads (`unknown`)."""
    columns = [{"name": name, "type": kind} for name, kind in question.columns.items()]
    schema = {"columns": columns, "target": question.target}
    _, refused = try_rowwise(schema, question.rowwise)
    unknown: dict[str, str] = {}
    if not question.is_whole:
        unknown = {name: column for name, reason in refused.items() if (column := find_unknown_column(reason))}
    known = {name: sql for name, sql in question.rowwise.items() if name not in unknown}
    if unknown and known:
        _, refused = try_rowwise(schema, known)  # the target is looked for where all are compiled
    return {
        "refused": {name: reason for name, reason in refused.items() if name not in unknown},
        "unknown": unknown,
        "duckdb": duckdb.__version__,
    }
