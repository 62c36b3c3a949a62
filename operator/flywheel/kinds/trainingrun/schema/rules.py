"""Rules over a whole TrainingRun: which fields of its spec never change."""

from typing import Any

from flywheel.core.resource.schema import rule


def _immutable(field: str) -> dict[str, Any]:
    unchanged = f"has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) || self.spec.{field} == oldSelf.spec.{field})"
    return rule(unchanged, f"spec.{field} cannot change; make another TrainingRun")


IMMUTABLE_FIELDS = (
    rule("self.spec.pipeline == oldSelf.spec.pipeline", "spec.pipeline cannot change; make another TrainingRun"),
    *(_immutable(field) for field in ("revision", "parameters", "reproduceOf", "test")),
    rule("!oldSelf.spec.cancel || self.spec.cancel", "a cancelled run stays cancelled; make another TrainingRun"),
)
