"""The spec of a TrainingPipeline."""

from pydantic import Field

from flywheel.core.resource.schema import Schema, model_rules, named_list, rule
from flywheel.core.resource.values import Duration
from flywheel.kinds.trainingpipeline.schema.template import RULES, Template
from flywheel.kinds.trainingpipeline.schema.triggers import Guard, Test, Trigger


class Retention(Schema):
    """How many ended runs are retained, and how long what they tracked is shown."""

    succeeded: int = Field(10, ge=1, le=1000, description="The number of TrainingRuns that succeeded, newest first.")
    failed: int = Field(10, ge=1, le=1000, description="The number of other TrainingRuns, newest first.")
    tracking: Duration | None = Field(
        None,
        description="How long the records, metrics, curves and logs of trials and steps are shown after they ended, once their TrainingRun is deleted. Defaults to no limit.",
    )


class TrainingPipelineSpec(Template):
    """Steps from data to a registered model, the triggers that start runs, and the guard of all triggers."""

    model_config = model_rules(
        *RULES,
        rule(
            "!has(self.test) || !has(self.test.checks) || self.test.checks.all(c, self.steps.exists(i, s, s.name == c.step))",
            "test.checks.step must name a step",
        ),
    )

    triggers: tuple[Trigger, ...] = named_list(16, "What starts runs automatically.")
    guard: Guard = Field(default_factory=Guard, description="Limits for all triggers together.")
    test: Test | None = Field(
        None, description="How a changed pipeline is tested before triggers use it; absent, it is used at once."
    )
    revision: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{8}$",
        max_length=8,
        description="A pinned revision of status.revisions, such as for a rollback; absent, the newest that passed its test.",
    )
    retention: Retention = Field(
        default_factory=Retention,
        description="How many ended runs are retained, and for how long what they tracked is shown.",
    )
    suspend: bool = Field(False, description="True stops triggers; runs under way continue.")
