"""A kind that nobody needs, with one of everything that a schema may hold."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from flywheel.core.resource.api import CONFIG_MAP, CRON_JOB, DATASET, JOB, Reference, flywheel_api
from flywheel.core.resource.kind import Cluster, Kind, Resource
from flywheel.core.resource.plan import Plan
from flywheel.core.resource.schema import Quantity, Resources, Schema, Status, Variable, rule, validations
from flywheel.core.resource.values import Duration, Label, ObjectName, Percent

Scalar = Annotated[int | str | bool, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]


class Bucket(Schema):
    """Objects in a bucket."""

    uri: str = Field(max_length=200, pattern=r"^s3://", description="Where it is.")
    secret_name: ObjectName | None = Field(None, description="Who may read it.")


class Volume(Schema):
    """A folder of a volume."""

    claim_name: ObjectName = Field(description="The claim.")
    path: str = Field("/", max_length=200, description="The folder.")


class Source(Schema):
    """Where it comes from."""

    model_config = Schema.model_config | {
        "json_schema_extra": validations(
            rule("[has(self.s3),has(self.pvc)].exists_one(x,x)", "give exactly one of s3 and pvc")
        )
    }

    s3: Bucket | None = Field(None, description="A bucket.")
    pvc: Volume | None = Field(None, description="A volume.")


class Budget(Schema):
    """When to stop."""

    max_trials: int = Field(20, ge=1, le=1000, description="Trials at most.")
    duration: Duration | None = Field(None, description="Time at most.")


class Step(Schema):
    """One step."""

    name: Label = Field(description="Its name.")
    share: Percent | None = Field(None, description="Its share.")


class ToySpec(Schema):
    """A toy with one of everything."""

    source: Source = Field(
        description="Where from.", json_schema_extra=validations(rule("self == oldSelf", "source cannot be changed"))
    )
    mode: Literal["Fast", "Slow"] = Field("Fast", description="How.")
    shape: Literal["Round"] = Field("Round", description="Which.")
    budget: Budget = Field(default_factory=Budget, description="When to stop.")
    steps: tuple[Step, ...] = Field(
        (),
        max_length=8,
        description="In order.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    memory: Quantity | None = Field(None, description="Memory.")
    resources: Resources = Field(default_factory=Resources, description="For each pod.")
    parameters: dict[str, Scalar] = Field(default_factory=dict, max_length=8, description="Passed on.")
    limits: dict[Label, Quantity] = Field(default_factory=dict, max_length=8, description="For each step.")
    env: tuple[Variable, ...] = Field((), max_length=8, description="Environment.")
    suspend: bool = Field(False, description="Whether to wait.")


class ToyStatus(Status):
    """What is true."""

    version: str | None = Field(None, max_length=63, description="The version.")


def observe(_resource: Resource[ToySpec, ToyStatus], cluster: Cluster) -> str:
    """Nothing but the time."""
    return cluster.now.isoformat()


def decide(_resource: Resource[ToySpec, ToyStatus], seen: str) -> Plan:
    """Always ready."""
    return Plan(ready=True, reason="Played", message=f"Played at {seen}", status=ToyStatus())


KIND = Kind[ToySpec, ToyStatus, str](
    api=flywheel_api("Toy", "toys"),
    short_name="fwtoy",
    spec=ToySpec,
    status=ToyStatus,
    observe=observe,
    decide=decide,
    owns=(JOB, CRON_JOB, CONFIG_MAP),
    makes=(DATASET,),
    references=lambda resource: (Reference(DATASET, resource.namespace, "toys"),),
    rules=(
        rule("self.spec.mode == 'Fast' || has(self.spec.memory)", "spec.memory must be given where spec.mode is Slow"),
    ),
    selectable=(".spec.mode",),
    scale={"specReplicasPath": ".spec.budget.maxTrials", "statusReplicasPath": ".status.observedGeneration"},
)
