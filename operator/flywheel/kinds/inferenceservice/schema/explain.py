"""`spec.explain`: which answers are explained by the contributions of their columns."""

from pydantic import Field

from flywheel.core.resource.schema import Quantity, Schema, model_rules, rule, validations
from flywheel.kinds.inferenceservice.schema.logging import Share


class Explain(Schema):
    """Contributions of columns to answers, computed in a container beside the server; they delay and fail no prediction."""

    model_config = model_rules(
        rule("has(self.sample) || (has(self.header) && self.header)", "give sample, or header: true, or both")
    )

    sample: Share | None = Field(
        None,
        description="Share of requests whose logged rows have their contributions, chosen as in spec.logging, of which it is a part. Absent, none are logged.",
    )
    header: bool = Field(
        False,
        description="If true, whoever may call the service gets the contributions with an answer by the header x-flywheel-explain: true.",
    )
    memory: Quantity | None = Field(
        None,
        description="Memory limit of the container that explains, which loads the model once more; absent, 1Gi.",
        json_schema_extra=validations(
            rule(
                "(type(self) == int || isQuantity(self)) && !quantity(string(self)).isLessThan(quantity('256Mi')) && !quantity(string(self)).isGreaterThan(quantity('64Gi'))",
                "must be a quantity between 256Mi and 64Gi, such as 1Gi",
            )
        ),
    )


# Rules of the spec that holds `explain`.
RULES = (
    rule(
        "!has(self.explain) || !has(self.explain.sample) || has(self.logging)",
        "spec.explain.sample explains rows of the prediction log, and spec.logging is absent: set spec.logging, or remove spec.explain.sample",
    ),
    rule(
        "!has(self.explain) || !has(self.explain.sample) || !has(self.logging) || !has(self.logging.sample) || double(self.explain.sample.replace('%', '')) <= double(self.logging.sample.replace('%', ''))",
        "spec.explain.sample is a part of spec.logging.sample, and cannot be more: lower it, or raise spec.logging.sample",
    ),
)
