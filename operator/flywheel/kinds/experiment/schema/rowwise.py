"""How a user writes features of one row by SQL."""

from typing import Annotated, Any

from pydantic import Field

from flywheel.core.resource.schema import rule, validations

MAX_FEATURES, MAX_CHARACTERS = 64, 2048

Expression = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
"""An expression of DuckDB's SQL. The operator has no DuckDB: a trial refuses what cannot be computed before it fits a model."""


def rowwise_field() -> Any:
    """The field `rowwise`, a map of names to expressions."""
    return Field(
        default_factory=dict,
        max_length=MAX_FEATURES,
        description="Features by name, each an expression of DuckDB's SQL over columns of the same row. The model computes them itself, so that callers send the columns that they read. Of trainer sklearn, whose features may name them.",
        json_schema_extra=validations(
            rule(
                "self.all(name, name.size() >= 1 && name.size() <= 128)",
                "names of rowwise features must have 1 to 128 characters",
            ),
        ),
    )


def expression_rules() -> tuple[dict[str, Any], ...]:
    """The rule of an Experiment's expressions, whose cost is too high for each of the 200 steps that a pipeline may have."""
    return (
        rule(
            "!has(self.rowwise) || self.rowwise.all(name, self.rowwise[name].matches('[^ \\t\\r\\n]'))",
            "an expression of rowwise is empty; write it, or remove its name",
        ),
    )
