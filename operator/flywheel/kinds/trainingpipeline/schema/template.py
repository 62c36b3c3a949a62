"""What a revision of a pipeline freezes: all that decides what a run does."""

from typing import Any

from pydantic import ConfigDict, Field

from flywheel.core.schema import Schema, rule, validations
from flywheel.core.values import Duration
from flywheel.kinds.trainingpipeline.schema.parameters import Parameter, Source
from flywheel.kinds.trainingpipeline.schema.steps import HAS_DATA, HAS_MODEL, MOST_STEPS, LastStep, Step


def _above(field: str, what: str, condition: str = "true", *, inputs: bool = False) -> dict[str, Any]:
    """A rule: what a step names in `field` is an input, or a step above of the right sort."""
    optional = f"!has(s.{field.split('.')[0]})"
    if field.count(".") and field.split(".")[1] in ("data",):
        optional = f"{optional} || !has(s.{field})"
    taken = f"self.steps.exists(j, t, j < i && t.name == s.{field} && {condition})"
    also = f" || (has(self.inputs) && self.inputs.exists(n, n.name == s.{field}))" if inputs else ""
    return rule(f"self.steps.all(i, s, {optional} || {taken}{also})", f"{what}")


RULES = (
    rule(
        "self.steps.all(i, s, !has(s.dependsOn) || s.dependsOn.all(d, self.steps.exists(j, t, j < i && t.name == d)))",
        "dependsOn may name only steps above; correct the name, or move the step down",
    ),
    rule(
        f"self.steps.all(i, s, !has(s.prepare) || s.prepare.from.all(d, (has(self.inputs) && self.inputs.exists(n, n.name == d)) || self.steps.exists(j, t, j < i && t.name == d && {HAS_DATA})))",
        "prepare.from must name inputs, or steps above that leave data (prepare, container)",
    ),
    _above(
        "train.from",
        "train.from must name an input, or a step above that leaves data (prepare, container)",
        HAS_DATA,
        inputs=True,
    ),
    _above(
        "evaluate.from",
        "evaluate.from must name a step above that leaves a model (train, package, container)",
        HAS_MODEL,
    ),
    _above(
        "evaluate.data", "evaluate.data must name an input, or a step above that leaves data", HAS_DATA, inputs=True
    ),
    _above("package.from", "package.from must name a step above that leaves a model (train, container)", HAS_MODEL),
    _above(
        "register.from",
        "register.from must name a step above that leaves a model (train, package, container)",
        HAS_MODEL,
    ),
    rule(
        "self.steps.all(i, s, !has(s.container) || !has(s.container.inputs) || s.container.inputs.all(d, (has(self.inputs) && self.inputs.exists(n, n.name == d.from)) || self.steps.exists(j, t, j < i && t.name == d.from)))",
        "container.inputs.from must name an input, or a step above",
    ),
    rule(
        "self.steps.all(i, s, !has(s.when) || s.when.all(w, !has(w.metric) || self.steps.exists(j, t, j < i && t.name == w.metric.step)))",
        "when.metric.step must name a step above",
    ),
    rule(
        "self.steps.all(i, s, !has(s.when) || s.when.all(w, !has(w.parameter) || has(self.parameters) && self.parameters.exists(p, p.name == w.parameter)))",
        "when.parameter must name a parameter of the pipeline",
    ),
    rule(
        "self.steps.all(i, s, !has(s.when) || s.when.all(w, !has(w.run)))",
        "when.run is for steps of finally",
    ),
    rule(
        "!has(self.inputs) || !self.steps.exists(i, s, self.inputs.exists(n, n.name == s.name))",
        "a step and an input may not have the same name",
    ),
    rule(
        "!has(self.finally) || self.finally.all(f, !self.steps.exists(i, s, s.name == f.name))",
        "a step of finally may not have the name of another step",
    ),
)


class Template(Schema):
    """Parameters, inputs and steps."""

    model_config = ConfigDict(json_schema_extra=validations(*RULES))

    parameters: tuple[Parameter, ...] = Field(
        (),
        max_length=32,
        description="What a run may be told.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    inputs: tuple[Source, ...] = Field(
        (),
        max_length=16,
        description="Datasets that runs work on.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=MOST_STEPS,
        description="What a run does, in order: a step may name only steps above it. What does not depend on one another runs at the same time.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    finally_: tuple[LastStep, ...] = Field(
        (),
        alias="finally",
        max_length=8,
        description="What is done at the end, however the steps ended: container and notify.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    timeout: Duration | None = Field(None, description="How long a run may take, finally not counted.")
    parallelism: int = Field(10, ge=1, le=50, description="Steps that run at the same time.")

    @property
    def last(self) -> tuple[Step, ...]:
        """The steps of finally, as all steps are."""
        return tuple(each.as_step() for each in self.finally_)
