"""What a user writes into a Model, and what is read from it."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.resource import names
from flywheel.core.resource.metric_direction import MetricObjective
from flywheel.core.resource.schema import LIST_MAP_BY_NAME, Schema
from flywheel.core.resource.values import MetricName, ObjectName
from flywheel.kinds.model.schema.gates import Gate


class Objective(MetricObjective):
    """The one number by which versions are compared."""

    metric: MetricName = Field(description="A test metric that every version reports, such as roc_auc.")


class Retention(Schema):
    """How much history is retained."""

    versions: int = Field(
        ge=1,
        le=1000,
        description="How many ModelVersions are retained; the oldest are deleted first. The champion, versions that an InferenceService serves or names, and those that no Experiment made always stay.",
    )


class ModelSpec(Schema):
    """A name that lasts while versions come and go, and the rule by which one of them is champion."""

    description: str | None = Field(None, max_length=1024, description="What the model predicts, for people.")
    owner: str | None = Field(None, max_length=128, description="Who is responsible for the model, for people.")
    objective: Objective | None = Field(
        None,
        description="How versions are compared. Without it the first version stays champion until spec.champion names another.",
    )
    gates: tuple[Gate, ...] = Field(
        (),
        max_length=16,
        description="What a version must pass before it may become champion.",
        json_schema_extra=LIST_MAP_BY_NAME,
    )
    promotion: Literal["Auto", "Approval"] = Field(
        "Auto",
        description="Auto: a version that passes all gates and is better takes over. Approval: it waits until somebody with the verb approve on modelversions writes its spec.approval.",
    )
    champion: ObjectName | None = Field(
        None, description="Pins one ModelVersion as champion (also to roll back); absent, the operator decides."
    )
    retention: Retention | None = Field(None, description="How many versions are retained; absent, all of them.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="What happens to the ModelVersions when the Model is deleted. Retain: they stay, and a Model of the same name has them again. Delete: each is deleted as soon as nothing uses it. Artifacts stay in the store.",
    )

    def measured_gates(self) -> list[dict[str, Any]]:
        """The gates that need rows, as the gates' Job reads them."""
        return [gate.job_config() for gate in self.gates if gate.needs_rows]

    def gates_hash(self) -> str:
        """16 digits that change when an earlier measurement no longer counts."""
        metric = str(self.objective.metric) if self.objective else None
        return names.digest({"gates": self.measured_gates(), "objective": metric})[:16]
