"""The content of a revision: all that decides what a run does."""

from typing import Any

from pydantic import Field

from flywheel.core.resource.schema import LIST_MAP_BY_NAME, Schema, model_rules, named_list, rule
from flywheel.core.resource.values import Duration
from flywheel.kinds.trainingpipeline.schema.inputs import Parameter, Source
from flywheel.kinds.trainingpipeline.schema.steps import DATA, MAX_STEPS, MODEL, LastStep, Step

# The place of each step by its name, bound once: looking for a name among 200 steps, nine times for each, is over the cost limit (measured).
_EACH = "[self.steps.transformMapEntry(i, t, {t.name: i})].all(at, self.steps.all(i, s, %s))"


def _each(condition: str, message: str) -> dict[str, Any]:
    """A rule for each step `s` at `i`, where `at` has every step's place by its name."""
    return rule(_EACH % condition, message)


def _is_above(name: str, *kinds: str, inputs: bool = False) -> str:
    """That `name` is a step above of one of these sorts (any, if none is named), or an input."""
    place = f"self.steps[at[{name}]]"
    sort = " || ".join(f"has({place}.{kind})" for kind in kinds)
    found = f"({name} in at && at[{name}] < i{f' && ({sort})' if kinds else ''})"
    return f"((has(self.inputs) && self.inputs.exists(n, n.name == {name})) || {found})" if inputs else found


def _taken(field: str, optional: str, kinds: tuple[str, ...], *, inputs: bool = False) -> dict[str, Any]:
    """A rule: what a step names in `field` is there, and of the right sort."""
    what = f"a step above that produces {'data' if kinds == DATA else 'a model'} ({', '.join(kinds)})"
    message = f"{field} must name {'an input, or ' if inputs else ''}{what}"
    return _each(f"!({optional}) || {_is_above(f's.{field}', *kinds, inputs=inputs)}", message)


RULES = (
    _each(
        f"!has(s.dependsOn) || s.dependsOn.all(d, {_is_above('d')})",
        "dependsOn must name steps above; correct the name, or move the step down",
    ),
    _each(
        f"!has(s.prepare) || s.prepare.from.all(d, {_is_above('d', *DATA, inputs=True)})",
        "prepare.from must name inputs, or steps above that produce data (prepare, container)",
    ),
    _taken("train.from", "has(s.train)", DATA, inputs=True),
    _taken("evaluate.from", "has(s.evaluate)", MODEL),
    _taken("evaluate.data", "has(s.evaluate) && has(s.evaluate.data)", DATA, inputs=True),
    _taken("package.from", "has(s.package)", MODEL),
    _taken("register.from", "has(s.register)", MODEL),
    _each(
        f"!has(s.container) || !has(s.container.inputs) || s.container.inputs.all(d, {_is_above('d.from', inputs=True)})",
        "container.inputs.from must name an input, or a step above",
    ),
    _each(
        f"!has(s.when) || s.when.all(w, !has(w.metric) || {_is_above('w.metric.step')})",
        "when.metric.step must name a step above",
    ),
    rule(
        "self.steps.all(i, s, !has(s.when) || s.when.all(w, !has(w.parameter) || has(self.parameters) && self.parameters.exists(p, p.name == w.parameter)))",
        "when.parameter must name a parameter of the pipeline",
    ),
    rule(
        "self.steps.all(i, s, !has(s.when) || s.when.all(w, !has(w.run)))",
        "when.run is allowed only in steps of finally",
    ),
    rule(
        "!has(self.inputs) || !self.steps.exists(i, s, self.inputs.exists(n, n.name == s.name))",
        "a step and an input must not have the same name",
    ),
    rule(
        "!has(self.finally) || self.finally.all(f, !self.steps.exists(i, s, s.name == f.name))",
        "a step of finally must not have the name of another step",
    ),
)


class Template(Schema):
    """Parameters, inputs and steps."""

    model_config = model_rules(*RULES)

    parameters: tuple[Parameter, ...] = named_list(32, "Parameters of runs.")
    inputs: tuple[Source, ...] = named_list(16, "Datasets, and outputs of other pipelines' runs, as input of runs.")
    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=MAX_STEPS,
        description="The steps of a run: a step may name only steps above it, and independent steps run at the same time.",
        json_schema_extra=LIST_MAP_BY_NAME,
    )
    finally_: tuple[LastStep, ...] = named_list(
        8, "Steps that run at the end, whatever the result of the others: container and notify.", alias="finally"
    )
    timeout: Duration | None = Field(None, description="How long a run may take, without finally.")
    parallelism: int = Field(10, ge=1, le=50, description="The number of steps that run at the same time.")

    @property
    def last(self) -> tuple[Step, ...]:
        """The steps of finally, as all steps are."""
        return tuple(each.as_step() for each in self.finally_)
