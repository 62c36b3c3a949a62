"""What a user writes into a Model, and what is read from it."""

from datetime import datetime

from pydantic import ConfigDict, Field

from flywheel.core.metrics import KNOWN_DIRECTIONS, Direction
from flywheel.core.schema import Schema, Status, rule, validations
from flywheel.core.values import Digest, Label, MetricName, Number, ObjectName

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


class Threshold(Schema):
    """A metric that must lie within bounds; a metric that a version does not report fails."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("has(self.min) || has(self.max)", "give min, max or both"),
            rule(
                "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
                "min must not be greater than max",
            ),
        )
    )

    metric: MetricName = Field(description="The metric, such as roc_auc, p95_ms or size_bytes.")
    min: Number | None = Field(None, description='The least value that passes, such as "0.70".')
    max: Number | None = Field(None, description='The greatest value that passes, such as "0.2".')


class Gate(Schema):
    """One condition that a version must meet before it may become champion."""

    name: Label = Field(description="The gate's name, shown where a version fails it.")
    description: str | None = Field(None, max_length=256, description="What the gate is for.")
    threshold: Threshold = Field(description="Compare one metric with fixed bounds.")


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
    champion: ObjectName | None = Field(
        None, description="Pins one ModelVersion as champion (also to roll back); absent, the operator decides."
    )
    retention: Retention | None = Field(None, description="How many versions are kept; absent, all of them.")


class Verdict(Schema):
    """Why one version is or is not champion."""

    version: str = Field(max_length=253, description="The ModelVersion.")
    verdict: str = Field(
        max_length=63,
        description="Champion, Better (held back by spec.champion), NotBetter, NotComparable, GateFailed, NoObjective, MetricMissing, NotReady or RolledBack (until its mark is cleared).",
    )
    message: str = Field("", max_length=512, description="The numbers behind the verdict.")


class Reign(Schema):
    """One change of champion."""

    version: str = Field(max_length=253, description="The ModelVersion that became champion.")
    digest: Digest | None = Field(None, description="Its artifact.")
    since: datetime = Field(description="When it became champion.")
    reason: str = Field(
        max_length=63, description="FirstVersion, Better, Pinned, Succession or RolledBack (the one before it was)."
    )
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
    history: tuple[Reign, ...] = Field(
        (), max_length=LONGEST_HISTORY, description="Every change of champion, oldest first; the last 50 are kept."
    )
