"""What a user or an Experiment writes into a ModelVersion, and what is read from it."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    Placement,
    PullSecret,
    Resources,
    Schema,
    exactly_one_of,
    model_rules,
    one_of,
    rule,
    validations,
)
from flywheel.core.resource.values import Digest, Number, ObjectName, Sha256
from flywheel.kinds.modelversion.schema.gate_results import Approval


class ArtifactSource(Schema):
    """An artifact that is in the store already: what a training wrote."""

    digest: Digest = Field(description="The artifact's digest in the installation's store.")


class S3Source(Schema):
    """One file in an S3 bucket."""

    model_config = model_rules(
        rule(
            "has(self.secretName) || (!has(self.endpoint) && !has(self.region))",
            "endpoint and region are of a foreign store, which needs secretName, the Secret with its credentials",
        )
    )

    uri: str = Field(
        pattern=r"^s3://[^/]+/.*[^/]$",
        max_length=1024,
        description="The file, such as s3://acme/fraud.onnx; a folder will not do, since sha256 speaks of one file.",
    )
    endpoint: str | None = Field(
        None, pattern=r"^https?://", max_length=512, description="The S3 endpoint, where it is not the installation's."
    )
    region: str | None = Field(None, max_length=64, description="The region, where the store wants one.")
    secret_name: ObjectName | None = Field(
        None,
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; absent, the installation's credentials are used.",
    )


class HttpSource(Schema):
    """One file on a web server that the installation allows."""

    url: str = Field(pattern=r"^https?://[^/]+/.*[^/]$", max_length=2048, description="The file's address.")


class Source(Schema):
    """Where the model comes from: trained here (artifact), or brought (s3, http)."""

    model_config = model_rules(
        exactly_one_of("artifact", "s3", "http"),
        rule(
            "has(self.artifact) != has(self.sha256)",
            "sha256 is required for s3 and http (sha256sum prints it) and must be left out for an artifact, whose digest says it",
        ),
    )

    artifact: ArtifactSource | None = Field(None, description="An artifact in the installation's store.")
    s3: S3Source | None = Field(None, description="A file in an S3 bucket.")
    http: HttpSource | None = Field(None, description="A file on a web server.")
    sha256: Sha256 | None = Field(None, description="SHA-256 of a file from s3 or http, in hexadecimal.")

    @property
    def location(self) -> ArtifactSource | S3Source | HttpSource:
        """The one of artifact, s3 and http that is given."""
        return one_of(self.artifact, self.s3, self.http)


class Lineage(Schema):
    """Where a trained version comes from; written by the Experiment or the TrainingRun that registers it."""

    experiment: ObjectName | None = Field(None, description="The Experiment.")
    experiment_uid: str | None = Field(None, max_length=63, description="Its uid, which tells it from a namesake.")
    trial: int | None = Field(None, ge=0, description="The number of the trial.")
    pipeline: ObjectName | None = Field(None, description="The TrainingPipeline.")
    run: ObjectName | None = Field(None, description="The TrainingRun that registered it.")
    revision: str | None = Field(None, max_length=8, description="The pipeline's revision that it ran.")
    seed: int | None = Field(None, description="The seed of the search.")
    git_revision: str | None = Field(None, max_length=64, description="The commit of the code that trained it.")
    dataset: ObjectName | None = Field(None, description="The Dataset.")
    dataset_version: str | None = Field(None, max_length=63, description="Its version.")
    dataset_digest: Digest | None = Field(None, description="The artifact of that version.")
    image: str | None = Field(
        None, max_length=1024, description="The image that trained it, by digest where it is known."
    )
    parameters: dict[str, Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict, max_length=64, description="The trial's parameters, as text."
    )


# Field by field: the same rule on the whole spec is over the server's cost limit by a factor of 100 (measured).
_MESSAGE = "a ModelVersion cannot be changed (but for resources, placement and imagePullSecrets of its verify Job); create another version instead"
_FROZEN = validations(rule("self == oldSelf", _MESSAGE))
_NEITHER_ADDED_NOR_REMOVED = "has(self.lineage) == has(oldSelf.lineage) && has(self.metrics) == has(oldSelf.metrics) && has(self.quantize) == has(oldSelf.quantize)"


class ModelVersionSpec(Schema):
    """One immutable version of a model."""

    model_config = model_rules(
        rule(_NEITHER_ADDED_NOR_REMOVED, _MESSAGE),
    )

    model: ObjectName = Field(description="The Model that this is a version of.", json_schema_extra=_FROZEN)
    format: Literal["ONNX"] = Field(
        "ONNX",
        description="The format; an allow-list, since some formats run code when loaded.",
        json_schema_extra=_FROZEN,
    )
    source: Source = Field(description="Where the model comes from.", json_schema_extra=_FROZEN)
    path: str = Field(
        "model.onnx",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
        max_length=256,
        description="The model's file within an artifact; for s3 and http the file's own name is taken.",
        json_schema_extra=_FROZEN,
    )
    quantize: Literal["Dynamic"] | None = Field(
        None,
        description="Dynamic: weights of matrix products become int8 before the version is verified; and the loss is measured. Trees have none.",
        json_schema_extra=_FROZEN,
    )
    lineage: Lineage | None = Field(None, description="Where a trained version comes from.", json_schema_extra=_FROZEN)
    metrics: dict[str, Number] | None = Field(
        None,
        max_length=32,
        description='Metrics that the user, or the container that trained it, declares, such as roc_auc: "0.71". What verify reads from the artifact takes precedence.',
        json_schema_extra=_FROZEN,
    )
    approval: Approval | None = Field(
        None,
        description="Who approves this version as champion of a Model with promotion: Approval. Writing it needs the verb approve on modelversions.",
    )
    archived: bool = Field(
        False, description="An archived version is never champion; it stays, and can be served by name."
    )
    resources: Resources = Field(
        Resources(),
        description="What the verify and gates Jobs ask for and may use. A version that had failed is verified again when this changes.",
    )
    placement: Placement = Field(Placement(), description="Where the verify Job may run; may be changed.")
    image_pull_secrets: tuple[PullSecret, ...] = Field(
        (), max_length=8, description="Secrets to pull the verify Job's images with; may be changed."
    )
