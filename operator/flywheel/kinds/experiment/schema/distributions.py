"""How a user writes what to search: one distribution for each parameter."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from flywheel.core.resource.schema import Schema, exactly_one_of, model_rules, rule, validations
from flywheel.core.resource.values import Number

# A fixed parameter. A string may be a literal (search/literals.py), since specs hold no floats, Booleans or arrays.
Parameter = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 256,
        }
    ),
]


def parameter_name_rule() -> dict[str, Any]:
    """A rule for maps whose keys are names of parameters; status repeats them, and must stay small."""
    return validations(rule("self.all(name, name.size() <= 63)", "names of parameters have at most 63 characters"))


class FloatRange(Schema):
    """A real number between two others."""

    model_config = model_rules(
        rule("double(self.min) < double(self.max)", "min must be less than max"),
        rule("!has(self.log) || !self.log || double(self.min) > 0.0", "log needs a min above 0"),
        rule("!has(self.log) || !self.log || !has(self.step)", "give log or step, not both"),
        rule("!has(self.step) || double(self.step) > 0.0", "step must be above 0"),
    )

    min: Number = Field(description='Least value, such as "0.02".')
    max: Number = Field(description='Greatest value, such as "0.3".')
    log: bool | None = Field(None, description="Search evenly in the logarithm: 0.01 is as far from 0.1 as 0.1 from 1.")
    step: Number | None = Field(None, description="Only min, min + step, min + 2 step, …; algorithm Grid needs it.")


class IntRange(Schema):
    """A whole number between two others."""

    model_config = model_rules(
        rule("self.min < self.max", "min must be less than max"),
        rule("!has(self.log) || !self.log || self.min > 0", "log needs a min above 0"),
        rule("!has(self.log) || !self.log || !has(self.step)", "give log or step, not both"),
    )

    min: int = Field(ge=-1_000_000_000, le=1_000_000_000, description="Least value.")
    max: int = Field(ge=-1_000_000_000, le=1_000_000_000, description="Greatest value.")
    log: bool | None = Field(None, description="Search evenly in the logarithm.")
    step: int | None = Field(
        None, ge=1, le=1_000_000_000, description="Only min, min + step, min + 2 step, …; absent, 1."
    )


class Distribution(Schema):
    """What values one parameter may take: exactly one of float, int, choice."""

    model_config = model_rules(exactly_one_of("float", "int", "choice"))

    float_: FloatRange | None = Field(None, alias="float", description="A real number between two others.")
    int_: IntRange | None = Field(None, alias="int", description="A whole number between two others.")
    choice: tuple[Annotated[str, Field(max_length=128)], ...] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description='One of these, written as strings and read like parameters: ["relu", "tanh"], ["[64]", "[100, 50]"].',
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
