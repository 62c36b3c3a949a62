"""What of an Experiment cannot change once its search has started: CEL rules on the root of the object."""

from typing import Any

from pydantic.alias_generators import to_camel

from flywheel.core.resource import names
from flywheel.core.resource.schema import rule
from flywheel.kinds.experiment.schema.spec import ExperimentSpec


def _immutable(path: str, *optional: str) -> dict[str, Any]:
    """A root rule: the field at `path` stays as it is once the search has started. `optional`: its parents and itself that may be absent."""
    new, old = f"self.spec.{path}", f"oldSelf.spec.{path}"
    there = " && ".join(f"has(self.spec.{each})" for each in optional)
    then = " && ".join(f"has(oldSelf.spec.{each})" for each in optional)
    same = f"({there}) == ({then}) && (!({there}) || {new} == {old})" if optional else f"{new} == {old}"
    return rule(
        f"!has(oldSelf.status) || !has(oldSelf.status.startTime) || ({same})",
        f"spec.{path} cannot change after the search has started; create another Experiment",
    )


# With another value of these it is another search.
SEARCH_FIELDS = (
    "dataset",
    "artifact",
    "dataset_version",
    "trainer",
    "search",
    "validation",
    "constraints",
    "repeats",
    "distributed",
    "rowwise",
    "feature_sets",
)
ALWAYS_PRESENT = ("trainer", "search")

RULES = (
    rule(
        "!has(self.spec.warmStartFrom) || self.spec.warmStartFrom.all(each, each.experiment != self.metadata.name)",
        "spec.warmStartFrom must name other Experiments; an Experiment always uses its own trials",
    ),
    *(_immutable(to_camel(field), *({to_camel(field)} - {*ALWAYS_PRESENT})) for field in SEARCH_FIELDS),
    _immutable("objective.metric", "objective"),
    _immutable("objective.direction", "objective", "objective.direction"),
)


def fingerprint(spec: ExperimentSpec) -> str:
    """8 digits that change when the spec asks for another search."""
    # Without defaults: an operator that knows one more field still sees the same search.
    fields = spec.model_dump(
        mode="json",
        by_alias=True,
        include={*SEARCH_FIELDS, "objective"},
        exclude={"objective": {"goal"}},
        exclude_defaults=True,
    )
    return names.digest(fields)[:8]
