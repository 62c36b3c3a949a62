"""What a user or an Experiment writes into a ModelVersion, and what is read from it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from flywheel.core.resource import names
from flywheel.core.resource.schema import (
    LongText,
    ModelPath,
    Placement,
    PullSecrets,
    Resources,
    Schema,
    ShortText,
    exactly_one_of,
    model_rules,
    one_of,
    rule,
    validations,
)
from flywheel.core.resource.values import Digest, Number, ObjectName, Sha256
from flywheel.kinds.featureset.schema.pins import FeatureSetPin, pins_field
from flywheel.kinds.modelversion.schema.gate_results import Approval


class ArtifactSource(Schema):
    """An artifact that is in the store already: what a training wrote."""

    digest: Digest = Field(description="Digest of the artifact in the installation's store.")


class S3Source(Schema):
    """One file in an S3 bucket."""

    model_config = model_rules(
        rule(
            "has(self.secretName) || (!has(self.endpoint) && !has(self.region))",
            "endpoint and region of another store require secretName, the Secret with its credentials",
        )
    )

    uri: str = Field(
        pattern=r"^s3://[^/]+/.*[^/]$",
        max_length=1024,
        description="URI of the file, such as s3://acme/fraud.onnx. A folder is not allowed, because sha256 identifies one file.",
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
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
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without it the installation's credentials are used, for this namespace's folder and the folders of store.readable only.",
    )


class HttpSource(Schema):
    """One file on a web server that the installation allows."""

    url: str = Field(pattern=r"^https?://[^/]+/.*[^/]$", max_length=2048, description="URL of the file.")


class Source(Schema):
    """Where the model comes from: trained here (artifact), or brought (s3, http)."""

    model_config = model_rules(
        exactly_one_of("artifact", "s3", "http"),
        rule(
            "has(self.artifact) != has(self.sha256)",
            "sha256 is required for s3 and http (sha256sum prints it) and not allowed for an artifact, which has a digest",
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


class Example(Schema):
    """Rows that the model takes, for a model that is not tried well by synthetic rows."""

    model_config = model_rules(exactly_one_of("inline", "file"))

    inline: str | None = Field(
        None,
        pattern=r"^\s*\{",
        max_length=32768,
        description='The rows as JSON, {"inputs": {"month": [12], "carrier": ["UA"]}}. With "outputs" they are golden rows: the model must return these, within "tolerance" (0.0001 if absent).',
    )
    file: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
        max_length=256,
        description="A file of the artifact with that JSON. A file from s3 or http is a whole source, so it needs inline.",
    )


MAX_TABLES = 8  # behind prepared data
RUN_DATE = "run.date"  # among the values: the day of the run, which is no property of a preparation
_Query = Annotated[str, Field(max_length=16384)]
_Reads = Annotated[tuple[ShortText, ...], Field(max_length=MAX_TABLES)]


class Table(Schema):
    """A table behind prepared data: a version of a Dataset, or the result of an earlier step prepare."""

    name: ShortText = Field(description="Its name in the query: an input of the pipeline, or a step.")
    digest: Digest = Field(description="Digest of its artifact.")
    dataset: ObjectName | None = Field(None, description="The Dataset. Absent for the result of a step.")
    run: ObjectName | None = Field(
        None, description="The TrainingRun of another pipeline that left it. Absent for a step of the version's run."
    )
    version: ShortText | None = Field(None, description="Its version.")
    sql: _Query | None = Field(None, description="The query of the step. Absent if it took all rows.")
    reads: _Reads = Field((), description="Names of the tables that the step reads, in their order.")


class PreparedData(Schema):
    """What a pipeline made of its data before it trained on it."""

    step: ShortText = Field(description="The step prepare.")
    run: ObjectName | None = Field(
        None,
        description="The TrainingRun of another pipeline whose step it is. Absent for a step of the version's run.",
    )
    sql: _Query | None = Field(None, description="Its query. Absent if it took all rows.")
    reads: _Reads = Field(
        (), description="Names of the tables that it reads, in their order. Absent in versions of earlier releases."
    )
    values: dict[str, Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict,
        max_length=32,
        description='What the placeholders of all queries stood for, such as params.months: "3".',
    )
    types: dict[str, Literal["Integer", "Float", "String", "Boolean"]] = Field(
        default_factory=dict, max_length=32, description="Types of the parameters among values."
    )
    digest: str | None = Field(
        None,
        max_length=16,
        description="Digest of all queries, their tables' names and their values but run.date: versions with the same one are prepared alike.",
    )
    from_: tuple[Table, ...] = Field(
        (),
        alias="from",
        max_length=MAX_TABLES,
        description="The tables of the query, and those behind them. Those nearest to the query come first.",
    )


def preparation_digest(steps: Sequence[Mapping[str, Any]], values: Mapping[str, str]) -> str:
    """16 digits of a preparation: its `sql` and `reads`, those of the tables behind it, and the values of parameters."""
    queries = [
        [each.get("name"), each.get("sql"), list(each.get("reads") or ()), each.get("dataset")] for each in steps
    ]
    parameters = {name: value for name, value in values.items() if name != RUN_DATE}
    return names.digest({"v": 1, "queries": queries, "values": parameters})[:16]


class Lineage(Schema):
    """Where a trained version comes from; written by the Experiment or the TrainingRun that registers it."""

    experiment: ObjectName | None = Field(None, description="The Experiment.")
    experiment_uid: ShortText | None = Field(None, description="Uid of the Experiment, which identifies it uniquely.")
    trial: int | None = Field(None, ge=0, description="The number of the trial.")
    pipeline: ObjectName | None = Field(None, description="The TrainingPipeline.")
    run: ObjectName | None = Field(None, description="The TrainingRun that registered it.")
    revision: str | None = Field(None, max_length=8, description="Revision of the pipeline that the run used.")
    seed: int | None = Field(None, description="The seed of the search.")
    git_revision: str | None = Field(
        None, max_length=64, description="The commit of the code that trained it, as spec.code of the training has it."
    )
    git_repository: str | None = Field(None, max_length=512, description="The repository of that commit.")
    dataset: ObjectName | None = Field(None, description="The Dataset.")
    dataset_version: ShortText | None = Field(None, description="Its version.")
    dataset_digest: Digest | None = Field(None, description="Digest of the artifact of that version.")
    prepared: PreparedData | None = Field(
        None, description="How the pipeline prepared that data. datasetDigest is then the digest of the result."
    )
    feature_sets: tuple[FeatureSetPin, ...] = pins_field(
        "The FeatureSets whose features the training added to that data. datasetDigest is then the digest of the result."
    )
    image: LongText | None = Field(None, description="Image that trained it, by digest if known.")
    parameters: dict[str, Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict, max_length=64, description="The trial's parameters, as text."
    )


# Field by field: the same rule on the whole spec is over the server's cost limit by a factor of 100 (measured).
_MESSAGE = "a ModelVersion is immutable except for resources, placement, imagePullSecrets, approval and archived; create another version instead"
_FROZEN = validations(rule("self == oldSelf", _MESSAGE))
_NEITHER_ADDED_NOR_REMOVED = "has(self.lineage) == has(oldSelf.lineage) && has(self.metrics) == has(oldSelf.metrics) && has(self.quantize) == has(oldSelf.quantize) && has(self.example) == has(oldSelf.example)"


class ModelVersionSpec(Schema):
    """A ModelVersion is an immutable version of a model, trained by Flywheel or imported, and verified in the image that serves it."""

    model_config = model_rules(
        rule(_NEITHER_ADDED_NOR_REMOVED, _MESSAGE),
        rule(
            "!has(self.example) || !has(self.example.file) || has(self.source.artifact)",
            "example.file is a file of an artifact; with a source of s3 or http give the rows in example.inline",
        ),
    )

    model: ObjectName = Field(description="The Model of this version.", json_schema_extra=_FROZEN)
    format: Literal["ONNX"] = Field(
        "ONNX",
        description="Format of the model. Only safe formats are allowed, because some formats run code when they are loaded.",
        json_schema_extra=_FROZEN,
    )
    source: Source = Field(description="Source of the model.", json_schema_extra=_FROZEN)
    path: ModelPath = Field(
        "model.onnx",
        description="Model file within an artifact. For s3 and http, the name of the file is used.",
        json_schema_extra=_FROZEN,
    )
    quantize: Literal["Dynamic"] | None = Field(
        None,
        description="Dynamic converts the weights of matrix products to int8 before the verification and measures the effect. Tree models have no such weights.",
        json_schema_extra=_FROZEN,
    )
    example: Example | None = Field(
        None,
        description="Rows that the model takes, or golden rows. Verification and servers try the model with them instead of synthetic rows.",
        json_schema_extra=_FROZEN,
    )
    lineage: Lineage | None = Field(None, description="Origin of a trained version.", json_schema_extra=_FROZEN)
    metrics: dict[str, Number] | None = Field(
        None,
        max_length=32,
        description='Metrics declared by the user, or by the container that trained it, such as roc_auc: "0.71". Metrics that verify reads from the artifact take precedence.',
        json_schema_extra=_FROZEN,
    )
    approval: Approval | None = Field(
        None,
        description="Approval of this version for a Model with promotion: Approval. Writing it requires the verb approve on modelversions.",
    )
    archived: bool = Field(
        False, description="If true, the version is never champion. It is retained and can be served by name."
    )
    resources: Resources = Field(
        Resources(),
        description="Resources of the verify and gates Jobs. A change verifies a failed version again.",
    )
    placement: Placement = Field(
        Placement(), description="Scheduling constraints of the verify and gates Jobs. This field is mutable."
    )
    image_pull_secrets: PullSecrets = Field(
        (), description="Secrets for pulling the images of the verify and gates Jobs. This field is mutable."
    )

    @property
    def dataset_digest(self) -> Digest | None:
        """The artifact of the data that the version was trained on, where its lineage says so."""
        return self.lineage.dataset_digest if self.lineage else None
