"""`spec.logging`: which predictions the server stores."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, SecretKey, model_rules, named_list, rule, validations
from flywheel.core.resource.values import Number, Percent


class Share(Percent):
    """`0%` to `100%`."""

    pattern = r"^(100|([0-9]|[1-9][0-9])(\.[0-9]{1,2})?)%$"
    description = "a percentage of at most 100 with at most two decimals, such as 100%, 10% or 0.5%"


class LoggedColumn(Schema):
    """How the values of one column are protected."""

    model_config = model_rules(
        rule(
            "has(self.width) == (self.action == 'Bucket')",
            "width is required with action Bucket and not allowed otherwise",
        )
    )

    name: str = Field(min_length=1, max_length=253, description="An input or output of the model, or the key.")
    action: Literal["Drop", "Hmac", "Bucket"] = Field(
        description="Drop omits the column; Hmac logs a keyed hash, equal for equal values; Bucket rounds a number down to a multiple of width."
    )
    width: Number | None = Field(
        None,
        description="The width of a bucket, in the column's unit.",
        json_schema_extra=validations(
            rule(
                f"self.matches(r'{Number.pattern}') && double(self) > 0.0",
                "width must be a number above 0, such as '5' or '0.5'",
            )
        ),
    )


class Logging(Schema):
    """Which predictions are logged to the store, for late labels and for monitoring; logging never delays a response."""

    model_config = model_rules(
        rule(
            "has(self.hmac) || !has(self.columns) || !self.columns.exists(c, c.action == 'Hmac')",
            "hmac is required for a column with action Hmac: reference the Secret with the key of the hash",
        )
    )

    sample: Share = Field(
        Share("10%"),
        description="Share of requests whose rows are logged, chosen by a hash of the request's id. All requests are counted.",
    )
    key: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="Name of a request parameter, or of an extra input, that is logged with the row and not given to the model; late labels are joined by it.",
    )
    columns: tuple[LoggedColumn, ...] = named_list(64, "Columns whose values are protected.")
    hmac: SecretKey | None = Field(None, description="The Secret with the key of Hmac columns.")
