"""What a user writes into a BatchInference, and what is read from it."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.pods.cron_job import Schedule
from flywheel.core.resource.schema import (
    INSIDE_VOLUME,
    ClaimLocation,
    ColumnName,
    FileFormat,
    Placement,
    PullSecrets,
    Resources,
    S3Location,
    Schema,
    exactly_one_of,
    model_rules,
    one_of,
    rule,
    validations,
)
from flywheel.core.resource.values import Duration, ObjectName
from flywheel.core.tables import FORMAT_RULE, Csv, Ignore

_DATES = rule(
    "!self.replace('$(run.date)', '').replace('$(run.time)', '').contains('$(')",
    "only $(run.date) (day of the run) and $(run.time) (day, hour and minute of the run) are replaced",
)
_URI = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/"


class S3Input(S3Location):
    """Objects in an S3-compatible store: the installation's own, or a foreign one."""

    uri: str = Field(
        pattern=_URI + ".+$",
        max_length=1024,
        description="s3://bucket/key for one object; ending in / for all objects below it. $(run.date) is the day of the run.",
        json_schema_extra=validations(_DATES),
    )


class S3Output(S3Location):
    """A folder in an S3-compatible store: the installation's own, or a foreign one."""

    uri: str = Field(
        pattern=_URI + r"(.+/)?$",
        max_length=1024,
        description="s3://bucket/folder/, ending in /. Without secretName it must be below this namespace's folder of the store.",
        json_schema_extra=validations(_DATES),
    )


class ClaimInput(ClaimLocation):
    """Files on a PersistentVolumeClaim, in a folder that may differ for each run."""

    path: str = Field(
        pattern=r"^[^/].*$",
        max_length=1024,
        description="File or folder inside the volume, relative to its root.",
        json_schema_extra=validations(INSIDE_VOLUME, _DATES),
    )


class Input(Schema):
    """The rows: exactly one of s3 and pvc."""

    model_config = model_rules(
        exactly_one_of("s3", "pvc"),
        FORMAT_RULE,
        rule(
            "!has(self.features) || self.features.map(f, size(f)).sum() <= 40000",
            "the names in features may have at most 40000 characters in total; rename columns, or give the model one input for each column",
        ),
    )

    s3: S3Input | None = Field(None, description="Objects in an S3-compatible store.")
    pvc: ClaimInput | None = Field(None, description="Files on a PersistentVolumeClaim.")
    format: FileFormat | None = Field(
        None, description="Format of the files. Defaults to the format that their names indicate."
    )
    csv: Csv | None = Field(None, description="How CSV files are written, as in the Dataset of the model.")
    ignore: Ignore = ()
    features: tuple[ColumnName, ...] = Field(
        (),
        max_length=2000,
        description="Columns that form the input, in order, for a model with a single input of several numbers.",
    )

    @property
    def location(self) -> S3Input | ClaimInput:
        """The one of s3 and pvc that is given."""
        return one_of(self.s3, self.pvc)


class Output(Schema):
    """The predictions: a folder that appears whole, when its _manifest.json is there."""

    s3: S3Output = Field(description="A folder in an S3-compatible store.")
    format: FileFormat = Field("Parquet", description="Format of the output files.")
    include: tuple[ColumnName, ...] = Field(
        (),
        max_length=200,
        description="Columns of the input to include in the output, such as an id, and features that are looked up.",
    )
    prediction: Literal["Class", "Probability"] | None = Field(
        None,
        description="Class writes the column prediction; Probability writes a column probability_<class> for each class. Defaults to all outputs of the model.",
    )
    overwrite: bool = Field(
        False,
        description="If true, an existing output is replaced. If false, an existing output that was made from other inputs is an error.",
    )


class Features(Schema):
    """Features of other rows that are looked up for each row, as of its time, as the training of the version did."""

    from_: ObjectName | None = Field(
        None,
        alias="from",
        description="The FeatureSet. Defaults to all FeatureSets that the version was trained with. The definition is the one that the version pins; the rows are those of the present versions of its Datasets.",
    )


class BatchInferenceSpec(Schema):
    """A BatchInference predicts the rows of a table, once or on a schedule, with the server that also serves online requests."""

    model_config = model_rules(
        exactly_one_of(
            "model", "version", message="give exactly one of model (its champion when a run starts) and version"
        ),
        rule(
            "!has(self.schedule) || self.output.overwrite || self.output.s3.uri.contains('$(run.')",
            "each scheduled run needs its own output: use $(run.date) or $(run.time) in spec.output.s3.uri, or set spec.output.overwrite",
        ),
        rule(
            "!(has(self.schedule) && has(self.ttl))",
            "ttl requires a single run; a BatchInference with a schedule is not deleted",
        ),
    )

    model: ObjectName | None = Field(None, description="Use the champion of this Model at the time when a run starts.")
    version: ObjectName | None = Field(None, description="Use only this ModelVersion.")
    input: Input = Field(description="The rows to score.")
    features: Features | None = Field(
        None,
        description="Features to look up for each row. Without it, the input has a column for each feature that the model takes.",
    )
    output: Output = Field(description="The predictions.")
    parallelism: int = Field(1, ge=1, le=200, description="Number of shards that are scored in parallel.")
    shards: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Maximum number of shards. Defaults to one for each 64 MiB, and for small inputs to parallelism.",
    )
    resources: Resources = Field(
        Resources(),
        description="Resources of the model server in each shard's pod. Defaults to 250m CPU and 256Mi memory.",
    )
    placement: Placement = Field(Placement(), description="Scheduling constraints of the pods.")
    image_pull_secrets: PullSecrets = Field((), description="Secrets for pulling images.")
    max_row_errors: int | None = Field(
        None,
        ge=0,
        le=1_000_000_000,
        description="Maximum number of failed rows; with more, the run fails. Defaults to any number but all rows. Failed rows are written below _errors/ with the reason.",
    )
    schedule: Schedule | None = Field(
        None,
        description="When to run again. Defaults to one run for each change of the spec. Scheduled runs do not overlap.",
    )
    suspend: bool = Field(
        False,
        description="If true, pods are deleted and no run starts. If set to false again, the run continues with the remaining shards.",
    )
    ttl: Duration | None = Field(
        None,
        description="Time after completion until the BatchInference is deleted, such as 7d. Its output is not deleted.",
    )


def depends_on(spec: BatchInferenceSpec) -> dict[str, Any]:
    """The fields that decide what a run gives; a change of any other leaves it alone."""
    fields = {"model", "version", "input", "features", "output", "shards", "max_row_errors"}
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=fields)
