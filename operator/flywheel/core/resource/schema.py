"""Building blocks of the kinds' schemas. CRDs are generated from these models (operator/generator/crd.py), so each field has its description,
and each rule of pydantic must also be a CEL rule, since users read the messages of the API server.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from flywheel.core.resource.values import Label, ObjectName


def rule(expression: str, message: str) -> dict[str, Any]:
    """Returns a CEL rule of a model or field, with the sentence that kubectl prints when it is broken."""
    return {"rule": expression, "message": message}


def validations(*rules: dict[str, Any], **keys: Any) -> Callable[[dict[str, Any]], None]:
    """`Field(json_schema_extra=validations(rule(...)))`: these rules beside those of the field's type, such as the form of a PatternString.

    `keys` are further keys of the schema.
    """

    def add(schema: dict[str, Any]) -> None:
        schema["x-kubernetes-validations"] = [*schema.get("x-kubernetes-validations", ()), *rules]
        schema.update(keys)

    return add


def model_rules(*rules: dict[str, Any]) -> ConfigDict:
    """The `model_config` of a model that the API server validates by these rules."""
    return ConfigDict(json_schema_extra=validations(*rules))


def min_is_not_above_max() -> dict[str, Any]:
    """The rule of a model with the optional Numbers `min` and `max`."""
    return rule(
        "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)", "min must not be greater than max"
    )


def duration_seconds(field: str) -> str:
    """The CEL expression of a Duration's seconds. The field must be there and have that form."""
    return (
        f"(int(self.{field}.substring(0, self.{field}.size() - 1)) * (self.{field}.endsWith('s') ? 1 : "
        f"self.{field}.endsWith('m') ? 60 : self.{field}.endsWith('h') ? 3600 : 86400))"
    )


def exactly_one_of(*fields: str, message: str = "") -> dict[str, Any]:
    """The rule that one of these fields is given, by their names in YAML, and no other."""
    given = ",".join(f"has(self.{field})" for field in fields)
    said = message or f"give exactly one of {', '.join(fields[:-1])} and {fields[-1]}"
    return rule(f"[{given}].exists_one(x,x)", said)


LIST_MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


def named_list(max_length: int, description: str, **more: Any) -> Any:
    """The Field of an optional list whose elements have a name, by which the API server merges it."""
    return Field((), max_length=max_length, description=description, json_schema_extra=LIST_MAP_BY_NAME, **more)


class Schema(BaseModel):
    """A part of a manifest: immutable, with names in camelCase. Unknown fields are ignored, since the API server refuses or prunes them,
    and an older operator must be able to read what a newer CRD accepted."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


def one_of(first: A | None, second: B | None, third: C | None = None, fourth: D | None = None) -> A | B | C | D:
    """The one field that is given, where a rule of the schema lets exactly one in.

    Raises:
        ValueError: none is given, so the rule was not enforced.
    """
    for field in (first, second, third, fourth):
        if field is not None:
            return field
    raise ValueError("exactly one of these fields must be given")


def int_or_string(max_length: int, *rules: dict[str, Any]) -> WithJsonSchema:
    """The schema of a field that takes a number or a text of at most `max_length` characters."""
    types = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    return WithJsonSchema(
        {**types, "maxLength": max_length, **({"x-kubernetes-validations": list(rules)} if rules else {})}
    )


IS_QUANTITY = rule("type(self) == int || isQuantity(self)", "must be a quantity such as 2, 500m, 512Mi or 1Gi")
Quantity = Annotated[int | str, int_or_string(32, IS_QUANTITY)]


class Resources(Schema):
    """What one pod asks for and may use; any resource name that a node advertises, such as nvidia.com/gpu."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict, max_length=16, description="Resources reserved for each pod, by resource name."
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict, max_length=16, description="Maximum resources of each pod, by resource name."
    )

    def or_default(self, default: "Resources") -> "Resources":
        """These, or the default where nothing is given."""
        return self if self.requests or self.limits else default


class Toleration(Schema):
    """A toleration, as in a pod."""

    key: str | None = Field(
        None,
        max_length=316,
        description="Key of the taint. If it is empty and operator is Exists, every taint is tolerated.",
    )
    operator: Literal["Exists", "Equal"] | None = Field(
        None, description="Exists ignores the value; Equal compares it."
    )
    value: str | None = Field(None, max_length=63, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect to tolerate. Defaults to all effects."
    )
    toleration_seconds: int | None = Field(None, ge=0, description="How long NoExecute is tolerated, in seconds.")


class Placement(Schema):
    """Where pods may run."""

    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default_factory=dict, max_length=16, description="Labels that a node must have."
    )
    tolerations: tuple[Toleration, ...] = Field((), max_length=16, description="Taints that pods tolerate.")
    priority_class_name: ObjectName | None = Field(None, description="The PriorityClass of the pods.")


class QueuedPlacement(Placement):
    """Where pods of Jobs may run, and whose turn it is."""

    queue_name: Label | None = Field(
        None,
        description="Kueue LocalQueue in the same namespace. Jobs are created suspended and start when Kueue admits them.",
    )


class SecretKey(Schema):
    """One key of a Secret in the same namespace."""

    name: ObjectName = Field(description="The Secret's name.")
    key: str = Field(min_length=1, max_length=253, description="Key in the Secret.")


class Webhook(Schema):
    """A webhook that gets a JSON document; its host must be on the installation's list."""

    model_config = model_rules(exactly_one_of("url", "secret"))

    url: str | None = Field(None, pattern=r"^https?://.+$", max_length=2048, description="URL of the webhook.")
    secret: SecretKey | None = Field(None, description="Secret with the URL, for a URL that contains a token.")


# Texts that a status repeats, by their greatest length.
NumberText = Annotated[str, Field(max_length=32)]
ShortText = Annotated[str, Field(max_length=63)]
NameText = Annotated[str, Field(max_length=253)]
MessageText = Annotated[str, Field(max_length=512)]
LongText = Annotated[str, Field(max_length=1024)]

# How the faults of our own are bounded (flywheel.core.diagnosis.internal_error), in the status of each kind that starts Jobs.
InternalErrorCount = Annotated[
    int | None,
    Field(
        description="Number of attempts at the same work that ended by a fault of Flywheel (InternalError). It is bounded; other failures do not count."
    ),
]
RetryScope = Annotated[
    str | None,
    Field(
        max_length=16,
        description="Digest of the spec and the release of Flywheel whose faults (InternalError) ended the retries. With another spec or release it is tried again.",
    ),
]

ColumnName = Annotated[str, Field(min_length=1, max_length=128)]


class S3Location(Schema):
    """Objects in an S3-compatible store: the installation's own, or a foreign one."""

    model_config = model_rules(
        rule(
            "!has(self.endpoint) || has(self.secretName)",
            "a store with its own endpoint needs secretName, a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    )

    uri: str = Field(max_length=1024, description="s3://bucket/key.")
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://.+$",
        max_length=512,
        description="Endpoint of another store, such as https://s3.example. Defaults to AWS_ENDPOINT_URL of the Secret, else to AWS.",
    )
    region: str | None = Field(
        None,
        max_length=64,
        description="Region of another store. Defaults to AWS_REGION of the Secret, else to us-east-1.",
    )
    secret_name: ObjectName | None = Field(
        None,
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of another place. Without it the installation's credentials are used, for this namespace's folder and the folders of store.readable only.",
    )


INSIDE_VOLUME = rule("!self.split('/').exists(part, part == '..')", "path must stay inside the volume; remove '..'")


class ClaimLocation(Schema):
    """Files on a PersistentVolumeClaim."""

    claim_name: ObjectName = Field(description="The PersistentVolumeClaim, in the same namespace.")
    path: str = Field(
        pattern=r"^[^/].*$",
        max_length=1024,
        description="File or folder inside the volume, relative to its root.",
        json_schema_extra=validations(INSIDE_VOLUME),
    )


class Variable(Schema):
    """An environment variable, given as a value or taken from a Secret."""

    model_config = model_rules(exactly_one_of("value", "secret"))

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128, description="The variable's name.")
    value: str | None = Field(None, max_length=4096, description="Value of the variable.")
    secret: SecretKey | None = Field(None, description="Secret with the value.")


class PullSecret(Schema):
    """A Secret of type kubernetes.io/dockerconfigjson."""

    name: ObjectName = Field(description="The Secret's name.")


PullSecrets = Annotated[tuple[PullSecret, ...], Field(max_length=8)]
ImageName = Annotated[str, Field(min_length=1, max_length=1024)]
Argument = Annotated[str, Field(max_length=4096)]  # of a container
ModelPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$", max_length=256)]  # inside an artifact
FileFormat = Literal["CSV", "Parquet", "JSONL"]


class Condition(Schema):
    """A condition, as metav1.Condition."""

    type: str = Field(max_length=63, description="The type of the condition, such as Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(max_length=63, description="The reason, in one CamelCase word.")
    message: str = Field("", max_length=4096, description="The reason in a sentence: object, finding, next step.")
    last_transition_time: datetime = Field(description="Time when the status last changed.")
    observed_generation: int | None = Field(None, description="The generation of the spec that was observed.")


class Status(Schema):
    """The status that every kind has. Kinds add fields in a subclass; none of them may have a default that is not None or empty."""

    conditions: tuple[Condition, ...] = Field(
        (),
        max_length=8,
        description="The conditions of the resource; Ready is always present.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    observed_generation: int | None = Field(None, description="The generation of the spec that this status describes.")
    summary: str | None = Field(None, max_length=256, description="The most important fact, for kubectl get.")
