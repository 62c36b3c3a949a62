"""What of an Experiment cannot change once its search has started: CEL rules on the root of the object."""

from typing import Any

from flywheel.core.resource.schema import rule


def _fixed(path: str, *optional: str) -> dict[str, Any]:
    """A root rule: the field at `path` stays as it is once the search has started. `optional`: its parents and itself that may be absent."""
    new, old = f"self.spec.{path}", f"oldSelf.spec.{path}"
    there = " && ".join(f"has(self.spec.{each})" for each in optional)
    then = " && ".join(f"has(oldSelf.spec.{each})" for each in optional)
    same = f"({there}) == ({then}) && (!({there}) || {new} == {old})" if optional else f"{new} == {old}"
    return rule(
        f"!has(oldSelf.status) || !has(oldSelf.status.startTime) || ({same})",
        f"spec.{path} cannot change after the search has started; make another Experiment",
    )


RULES = (
    rule(
        "!has(self.spec.warmStartFrom) || self.spec.warmStartFrom.all(each, each.experiment != self.metadata.name)",
        "spec.warmStartFrom names other Experiments; an Experiment always knows its own trials",
    ),
    _fixed("dataset", "dataset"),
    _fixed("artifact", "artifact"),
    _fixed("datasetVersion", "datasetVersion"),
    _fixed("trainer"),
    _fixed("search"),
    _fixed("validation", "validation"),
    _fixed("constraints", "constraints"),
    _fixed("repeats", "repeats"),
    _fixed("distributed", "distributed"),
    _fixed("objective.metric", "objective"),
    _fixed("objective.direction", "objective", "objective.direction"),
)
