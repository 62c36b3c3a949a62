"""The parameters and input data of runs."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import LongText, NameText, Schema, exactly_one_of, int_or_string, model_rules, rule
from flywheel.core.resource.values import Label, ObjectName, PatternString

ParameterType = Literal["Integer", "Float", "String", "Boolean"]
DATA_OUTPUT = "data"


class ParameterName(PatternString):
    """The name of a parameter: `months` in `$(params.months)`."""

    pattern = r"^[a-z][A-Za-z0-9_]*$"
    description = "a name of letters, digits and _ that starts with a lowercase letter, such as months"
    max_length = 40


# As people write it in YAML: 6, "0.5", "text", "true".
Given = Annotated[int | str, int_or_string(1024)]


class Parameter(Schema):
    """A parameter of the runs."""

    model_config = model_rules(
        rule(
            "!has(self.default) || self.type != 'Integer' || self.default.matches('^-?[0-9]{1,18}$')",
            'default must be an integer in quotes, such as "3"',
        ),
        rule(
            "!has(self.default) || self.type != 'Float' || self.default.matches('^-?[0-9]{1,18}([.][0-9]{1,18})?([eE][-+]?[0-9]{1,2})?$')",
            'default must be a number in quotes, such as "0.5"',
        ),
        rule(
            "!has(self.default) || self.type != 'Boolean' || self.default in ['true', 'false']",
            'default must be "true" or "false"',
        ),
    )

    name: ParameterName = Field(description="The name; $(params.<name>) is its value.")
    type: ParameterType = Field("String", description="The type of its values.")
    default: LongText | None = Field(None, description="The default value, in quotes; absent, every run must give one.")
    description: str | None = Field(None, max_length=256, description="A description for users.")


class RunOutput(Schema):
    """An output of another pipeline's run: of the one whose success started this run, else of the newest that succeeded."""

    pipeline: ObjectName = Field(description="The TrainingPipeline, in the same namespace.")
    step: Label = Field(max_length=40, description="Its step.")
    output: Label | None = Field(
        None, max_length=40, description="The output of that step; absent, data, which is a table. Others are files."
    )

    @property
    def name(self) -> str:
        """The name of the output."""
        return str(self.output or DATA_OUTPUT)


class Source(Schema):
    """Data of runs: a Dataset, whose version is the one that is current when a run starts, or an output of another pipeline's run."""

    model_config = model_rules(
        exactly_one_of("dataset", "run"),
        rule("!has(self.version) || has(self.dataset)", "version is for an input with dataset"),
    )

    name: Label = Field(max_length=40, description="The name that steps use.")
    dataset: ObjectName | None = Field(None, description="The Dataset, in the same namespace.")
    run: RunOutput | None = Field(
        None, description="An output of a run of another TrainingPipeline, in the same namespace."
    )
    version: NameText | None = Field(
        None, description="A pinned version; absent, the one that is current when a run starts."
    )

    @property
    def is_table(self) -> bool:
        """Whether it is data of which a test run can take a sample."""
        return self.run is None or self.run.name == DATA_OUTPUT
