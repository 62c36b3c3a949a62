"""What a user writes into a Model, and what is read from it."""

from itertools import chain, count
from typing import Any, Literal

from pydantic import Field

from flywheel.core.resource import names
from flywheel.core.resource.metric_direction import MetricObjective
from flywheel.core.resource.schema import LongText, Schema, named_list
from flywheel.core.resource.values import Duration, MetricName, ObjectName
from flywheel.kinds.model.schema.gates import BEATS_A_CONSTANT, Gate
from flywheel.kinds.modelmonitor.schema.problems import ProblemKind


class Objective(MetricObjective):
    """The one number by which versions are compared."""

    metric: MetricName = Field(description="A test metric that every version reports, such as roc_auc.")


class Retention(Schema):
    """How much history is retained."""

    versions: int = Field(
        ge=1,
        le=1000,
        description="Number of ModelVersions to retain; the oldest are deleted first. The champion, versions that an InferenceService serves or references, and versions that no Experiment created are always retained.",
    )


class Rollback(Schema):
    """When a new champion is taken back: one of these ModelMonitors finds one of these problems of it while it is new."""

    when: tuple[ProblemKind, ...] = Field(
        min_length=1,
        max_length=4,
        description="Errors (the model fails requests; overload and timeouts do not count), NotFinite (answers are NaN or infinite), ConstantOutput (answers are the same for all rows), LabelledLoss (a metric of labelled rows dropped). Drift of features is none of them.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    monitors: tuple[ObjectName, ...] = Field(
        min_length=1,
        max_length=8,
        description="The ModelMonitors of the namespace whose findings take a champion back. Whoever may write one of these may cause that.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    bake_time: Duration = Field(
        Duration("1h"),
        description="How long a champion counts as new; one that returned is not new. An InferenceService with spec.rollout keeps the servers of the one before it for as long.",
    )


class ModelSpec(Schema):
    """A Model is a registry entry for ModelVersions, with the rules by which one of them becomes champion."""

    description: LongText | None = Field(None, description="Description of what the model predicts.")
    owner: str | None = Field(None, max_length=128, description="Person or team that is responsible for the model.")
    objective: Objective | None = Field(
        None,
        description="Metric by which versions are compared. Without it, the first version stays champion until spec.champion names another.",
    )
    gates: tuple[Gate, ...] = named_list(16, "Conditions that a version must meet to become champion.")
    default_gates: Literal["Enabled", "Disabled"] | None = Field(
        None,
        description='Enabled, the default, adds the gate {name: beats-a-constant, baseline: {minGain: "0"}} unless spec.gates has a gate with baseline: a version that is no better than a constant prediction does not become champion. It is measured for versions whose lineage names their data; where it cannot be measured, it says so and lets the version pass. If a gate of another kind has that name, beats-a-constant-2 is added. Disabled adds no gate.',
    )
    promotion: Literal["Auto", "Approval"] = Field(
        "Auto",
        description="Auto promotes a version that passes all gates and is better. Approval waits until a user with the verb approve on modelversions writes its spec.approval.",
    )
    champion: ObjectName | None = Field(
        None, description="Pins a ModelVersion as champion, for example to roll back. Without it, the operator decides."
    )
    rollback: Rollback | None = Field(
        None,
        description="Takes a new champion back for what a ModelMonitor finds. Absent, the monitor only tells. A champion that spec.champion names is never taken back.",
    )
    retention: Retention | None = Field(None, description="Retention of versions. Defaults to all versions.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="What happens to the ModelVersions when the Model is deleted. Retain keeps them, and a new Model of the same name adopts them. Delete deletes each of them as soon as it is not in use. Artifacts stay in the store.",
    )

    @property
    def default_gate(self) -> Gate | None:
        """The gate that the operator adds; a gate of another kind keeps its name, and this one gets a number."""
        if self.default_gates == "Disabled" or any(gate.baseline is not None for gate in self.gates):
            return None
        name, taken = BEATS_A_CONSTANT.name, {gate.name for gate in self.gates}
        candidates = chain((name,), (f"{name}-{number}" for number in count(2)))
        free = next(candidate for candidate in candidates if candidate not in taken)
        return BEATS_A_CONSTANT.model_copy(update={"name": free})

    @property
    def compares_champion(self) -> bool:
        """Whether a measurement is of a version beside the champion."""
        return any(gate.compares_champion for gate in self.gates)

    @property
    def traffic_gates(self) -> tuple[Gate, ...]:
        """The gates that are measured on logged requests."""
        return tuple(gate for gate in self.gates if gate.needs_traffic)

    def measured_gates(self) -> list[dict[str, Any]]:
        """The gates that need rows, as the gates' Job reads them. The operator's own is optional: it passes where it cannot be measured."""
        gates = self._own_measured_gates()
        return gates if self.default_gate is None else [*gates, {**self.default_gate.job_config(), "optional": True}]

    def gates_hash(self) -> str:
        """16 digits that change when an earlier measurement no longer counts."""
        return self._hash(self.measured_gates())

    def own_gates_hash(self) -> str:
        """The hash without the operator's gate, by which an earlier build measured."""
        return self._hash(self._own_measured_gates())

    def _own_measured_gates(self) -> list[dict[str, Any]]:
        return [gate.job_config() for gate in self.gates if gate.needs_rows]

    def _hash(self, gates: list[dict[str, Any]]) -> str:
        metric = str(self.objective.metric) if self.objective else None
        return names.digest({"gates": gates, "objective": metric})[:16]
