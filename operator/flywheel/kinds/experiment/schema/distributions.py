"""How a user writes what to search: one distribution for each parameter."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from flywheel.core.resource.schema import Schema, exactly_one_of, int_or_string, model_rules, rule, validations
from flywheel.core.resource.values import Number

# A fixed parameter. A string may be a literal (search/literals.py), since specs hold no floats, Booleans or arrays.
Parameter = Annotated[int | str, int_or_string(256)]


def parameter_name_rule() -> Callable[[dict[str, Any]], None]:
    """A rule for maps whose keys are names of parameters; status repeats them, and must stay small."""
    return validations(rule("self.all(name, name.size() <= 63)", "names of parameters must have at most 63 characters"))


class FloatRange(Schema):
    """A real number in a range."""

    model_config = model_rules(
        rule("double(self.min) < double(self.max)", "min must be less than max"),
        rule("!has(self.log) || !self.log || double(self.min) > 0.0", "log needs a min above 0"),
        rule("!has(self.log) || !self.log || !has(self.step)", "give log or step, not both"),
        rule("!has(self.step) || double(self.step) > 0.0", "step must be above 0"),
    )

    min: Number = Field(description='Minimum, such as "0.02".')
    max: Number = Field(description='Maximum, such as "0.3".')
    log: bool | None = Field(None, description="If true, sample on a logarithmic scale.")
    step: Number | None = Field(
        None, description="Step size: only min, min + step, min + 2 step, … are used. Required by algorithm Grid."
    )


class IntRange(Schema):
    """An integer in a range."""

    model_config = model_rules(
        rule("self.min < self.max", "min must be less than max"),
        rule("!has(self.log) || !self.log || self.min > 0", "log needs a min above 0"),
        rule("!has(self.log) || !self.log || !has(self.step)", "give log or step, not both"),
    )

    min: int = Field(ge=-1_000_000_000, le=1_000_000_000, description="Least value.")
    max: int = Field(ge=-1_000_000_000, le=1_000_000_000, description="Greatest value.")
    log: bool | None = Field(None, description="If true, sample on a logarithmic scale.")
    step: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Step size: only min, min + step, min + 2 step, … are used. Defaults to 1.",
    )


class Distribution(Schema):
    """Distribution of one parameter: exactly one of float, int and choice."""

    model_config = model_rules(exactly_one_of("float", "int", "choice"))

    float_: FloatRange | None = Field(None, alias="float", description="A real number in a range.")
    int_: IntRange | None = Field(None, alias="int", description="An integer in a range.")
    choice: tuple[Annotated[str, Field(max_length=128)], ...] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description='List of values, written as strings and parsed like parameters: ["relu", "tanh"], ["[64]", "[100, 50]"].',
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
