"""What a user writes into a Model, and what is read from it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from flywheel.core.resource import names
from flywheel.core.resource.metric_direction import KNOWN_DIRECTIONS, Direction
from flywheel.core.resource.schema import Schema, Status, rule, validations
from flywheel.core.resource.values import Digest, MetricName, ObjectName
from flywheel.kinds.model.gate_schema import Gate

LONGEST_HISTORY = 50
MOST_VERDICTS = 20

_KNOWN = ", ".join(f"'{metric}'" for metric in sorted(KNOWN_DIRECTIONS))


class Objective(Schema):
    """The one number by which versions are compared."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                f"has(self.direction) || self.metric in [{_KNOWN}]",
                "direction is only known for common metrics; add direction: Maximize or direction: Minimize",
            )
        )
    )

    metric: MetricName = Field(description="A test metric that every version reports, such as roc_auc.")
    direction: Direction | None = Field(
        None, description="Whether more or less of it is better; follows from the metric where that is known."
    )

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return (self.direction or KNOWN_DIRECTIONS.get(self.metric, "Maximize")) == "Maximize"


class Retention(Schema):
    """How much history is kept."""

    versions: int = Field(
        ge=1,
        le=1000,
        description="How many ModelVersions are kept; the oldest go first. The champion, versions that an InferenceService serves or names, and those that no Experiment made always stay.",
    )


class ModelSpec(Schema):
    """A name that lasts while versions come and go, and the rule by which one of them is champion."""

    description: str | None = Field(None, max_length=1024, description="What the model predicts, for people.")
    owner: str | None = Field(None, max_length=128, description="Who answers for the model, for people.")
    objective: Objective | None = Field(
        None,
        description="How versions are compared. Without it the first version stays champion until spec.champion names another.",
    )
    gates: tuple[Gate, ...] = Field(
        (),
        max_length=16,
        description="What a version must pass before it may become champion.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    promotion: Literal["Auto", "Approval"] = Field(
        "Auto",
        description="Auto: a version that passes all gates and is better takes over. Approval: it waits until somebody with the verb approve on modelversions writes its spec.approval.",
    )
    champion: ObjectName | None = Field(
        None, description="Pins one ModelVersion as champion (also to roll back); absent, the operator decides."
    )
    retention: Retention | None = Field(None, description="How many versions are kept; absent, all of them.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="What becomes of the ModelVersions when the Model is deleted. Retain: they stay, and a Model of the same name has them again. Delete: they go too, each as soon as nobody uses it. Artifacts stay in the store.",
    )

    def measured_gates(self) -> list[dict[str, Any]]:
        """Those that need rows, as the gates' Job reads them."""
        return [gate.told() for gate in self.gates if gate.is_measured]

    def gates_hash(self) -> str:
        """16 digits that change when a measurement made before says no longer what is asked."""
        metric = str(self.objective.metric) if self.objective else None
        return names.digest({"gates": self.measured_gates(), "objective": metric})[:16]


class Verdict(Schema):
    """Why one version is or is not champion."""

    version: str = Field(max_length=253, description="The ModelVersion.")
    verdict: str = Field(
        max_length=63,
        description="Champion, Better (held back by spec.champion), NotBetter, NotComparable, GateFailed, NoObjective, MetricMissing, NotReady, Measuring (its gates' Job), AwaitingApproval, Archived or RolledBack (until its mark is cleared).",
    )
    message: str = Field("", max_length=512, description="The numbers behind the verdict.")


class Challenger(Schema):
    """The one version whose gates are measured now, and against whom."""

    version: str = Field(max_length=253, description="The ModelVersion.")
    champion: str | None = Field(None, max_length=253, description="The champion then; absent, nobody is to be beaten.")
    champion_digest: Digest | None = Field(None, description="The champion's artifact.")
    gates: str = Field(max_length=16, description="Digest of the gates that are measured.")


class Audit(Schema):
    """How far changes of champion are recorded in the store, by Jobs `promote`."""

    recorded: int | None = Field(None, description="The number of the last change of champion that is recorded.")
    number: int | None = Field(None, description="The audit record of it, audit/<model>/<number>.json.")
    sha256: str | None = Field(None, max_length=64, description="That record's SHA-256: the chain's end as known here.")
    attempts: int | None = Field(None, description="Failed attempts to record the next one.")
    message: str | None = Field(None, max_length=512, description="Why the last attempt failed.")
    retry_at: datetime | None = Field(None, description="When it is tried again.")


class Reign(Schema):
    """One change of champion."""

    number: int | None = Field(None, description="Counts the changes of champion, from 1.")
    version: str = Field(max_length=253, description="The ModelVersion that became champion.")
    digest: Digest | None = Field(None, description="Its artifact.")
    since: datetime = Field(description="When it became champion.")
    reason: str = Field(
        max_length=63,
        description="FirstVersion, Better, Pinned, Succession, RolledBack or Archived (the one before it was).",
    )
    approved_by: str | None = Field(None, max_length=253, description="The user who approved it.")
    approved_at: datetime | None = Field(None, description="When the approval was seen.")
    message: str = Field("", max_length=512, description="The numbers behind it.")


class ModelStatus(Status):
    """Who is champion, why, and who was before."""

    champion: str | None = Field(None, max_length=253, description="The ModelVersion that serves.")
    champion_digest: Digest | None = Field(None, description="The champion's artifact in the store.")
    champion_metric: str | None = Field(None, max_length=64, description="The champion's value of the objective.")
    versions: int | None = Field(None, description="How many ModelVersions the model has.")
    candidates: tuple[Verdict, ...] = Field(
        (), max_length=MOST_VERDICTS, description="The newest versions, and why each is or is not champion."
    )
    challenger: Challenger | None = Field(None, description="The version whose gates are measured now.")
    promotions: int | None = Field(None, description="How many changes of champion there were; each is audited.")
    audit: Audit | None = Field(None, description="How far they are recorded in the store.")
    history: tuple[Reign, ...] = Field(
        (), max_length=LONGEST_HISTORY, description="Every change of champion, oldest first; the last 50 are kept."
    )
