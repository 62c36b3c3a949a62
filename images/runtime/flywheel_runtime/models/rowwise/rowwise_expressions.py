"""The expressions of `rowwise`, compiled over the columns of a Dataset, or refused in one sentence for each."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import canonical_json
from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.features.compiler import CompiledFeatures, compile_features
from flywheel_runtime.features.errors import ExpressionRefused, FeaturesRefused

INVALID = "RowwiseInvalid"
FUNCTIONS_PAGE = "docs/feature-functions.md lists what can be computed."
UNKNOWN_COLUMN = re.compile(r'Referenced column "(.*)" not found')


def sql_types(schema: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a Dataset's schema.json with DuckDB's names of their types."""
    return {str(column["name"]): SQL_TYPE[column["type"]] for column in schema["columns"]}


def compile_rowwise(schema: Mapping[str, Any], rowwise: Mapping[str, str]) -> CompiledFeatures:
    """Compile expressions over the columns of a Dataset. Raises Failure RowwiseInvalid, which names what is wrong with each."""
    compiled, reasons = try_rowwise(schema, rowwise)
    if reasons or compiled is None:
        sentences = "; ".join(f"'{name}': {reason}" for name, reason in reasons.items())
        raise Failure(INVALID, f"rowwise {sentences}. {FUNCTIONS_PAGE}")
    return compiled


def try_rowwise(
    schema: Mapping[str, Any], rowwise: Mapping[str, str]
) -> tuple[CompiledFeatures | None, dict[str, str]]:
    """The compiled expressions if there is nothing wrong with one of them, and what is wrong with each, in their order."""
    types = sql_types(schema)
    reasons = {name: reason for name in rowwise if (reason := _refuse_name(name, rowwise, types))}
    compiled = None
    try:
        compiled = compile_features(types, rowwise)
    except FeaturesRefused as refused:
        reasons |= {name: _explain(reason, rowwise) for name, reason in refused.reasons.items()}
    except ExpressionRefused as refused:  # a column of the data
        raise Failure(INVALID, f"rowwise cannot be computed: {refused}.") from refused
    for name, feature in (compiled.features if compiled else {}).items():
        if schema["target"] in feature.columns:
            reasons[name] = f"it reads the target '{schema['target']}', which callers do not know; leave it out"
    return compiled, {name: reasons[name] for name in rowwise if name in reasons}


def find_unknown_column(reason: str) -> str | None:
    """The column of which a reason says that the data has none of that name."""
    found = UNKNOWN_COLUMN.search(reason)
    return found[1] if found else None


def _refuse_name(name: str, rowwise: Mapping[str, str], types: Mapping[str, str]) -> str | None:
    if same := find_same(name, types):
        return f"the data has a column '{same}'; give the feature another name"
    if same := find_same(name, (other for other in rowwise if other != name)):
        return f"'{same}' differs from it in upper and lower case alone; rename one of them"
    return None


def _explain(reason: str, rowwise: Mapping[str, str]) -> str:
    """The compiler's reason, with advice where an expression uses the name of another one."""
    unknown = find_unknown_column(reason)
    if unknown and (other := find_same(unknown, rowwise)):
        return f"it uses the rowwise feature '{other}', and an expression reads columns of the data alone; write out its expression"
    return reason


def describe_digest(schema: Mapping[str, Any], compiled: CompiledFeatures) -> str:
    """The digest of the expressions, the types of the columns that they read, and the DuckDB whose results they have."""
    types = sql_types(schema)
    columns = {name: types[name] for feature in compiled.features.values() for name in feature.columns}
    rowwise = {name: feature.sql for name, feature in compiled.features.items()}
    document = {"columns": columns, "duckdb": compiled.duckdb_version, "rowwise": rowwise}
    return f"sha256:{hashlib.sha256(canonical_json(document).encode()).hexdigest()}"
