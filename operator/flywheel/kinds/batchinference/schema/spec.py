"""What a user writes into a BatchInference, and what is read from it."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    ColumnName,
    Placement,
    PullSecret,
    Resources,
    S3Location,
    Schedule,
    Schema,
    exactly_one_of,
    model_rules,
    one_of,
    rule,
    validations,
)
from flywheel.core.resource.values import Duration, ObjectName

_DATES = rule(
    "!self.replace('$(run.date)', '').replace('$(run.time)', '').contains('$(')",
    "only $(run.date) and $(run.time) can be filled in: the day, and the day with hour and minute, of the run",
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
        description="s3://bucket/folder/, ending in /. In the installation's bucket it must be below this namespace's folder.",
        json_schema_extra=validations(_DATES),
    )


class ClaimInput(Schema):
    """Files on a PersistentVolumeClaim."""

    claim_name: ObjectName = Field(description="The PersistentVolumeClaim, in the same namespace.")
    path: str = Field(
        pattern=r"^[^/].*$",
        max_length=1024,
        description="File or folder inside the volume, relative to its root.",
        json_schema_extra=validations(
            rule("!self.split('/').exists(part, part == '..')", "path must stay inside the volume; remove '..'"), _DATES
        ),
    )


class Input(Schema):
    """The rows: exactly one of s3 and pvc."""

    model_config = model_rules(
        exactly_one_of("s3", "pvc"),
        rule(
            "!has(self.features) || self.features.map(f, size(f)).sum() <= 40000",
            "the names in features may have 40000 characters together; rename columns, or give the model an input for each",
        ),
    )

    s3: S3Input | None = Field(None, description="Objects in an S3-compatible store.")
    pvc: ClaimInput | None = Field(None, description="Files on a PersistentVolumeClaim.")
    format: Literal["CSV", "Parquet", "JSONL"] | None = Field(
        None, description="The files' format; absent, it follows from their names."
    )
    features: tuple[ColumnName, ...] = Field(
        (),
        max_length=2000,
        description="For a model whose only input takes several numbers: the columns that it is made of, in order.",
    )

    @property
    def location(self) -> S3Input | ClaimInput:
        """The one of s3 and pvc that is given."""
        return one_of(self.s3, self.pvc)


class Output(Schema):
    """The predictions: a folder that appears whole, when its _manifest.json is there."""

    s3: S3Output = Field(description="A folder in an S3-compatible store.")
    format: Literal["CSV", "Parquet", "JSONL"] = Field("Parquet", description="The format of the parts.")
    include: tuple[ColumnName, ...] = Field(
        (), max_length=200, description="Columns of the input to write beside the predictions, such as an id."
    )
    prediction: Literal["Class", "Probability"] | None = Field(
        None,
        description="Class: the column prediction. Probability: a column probability_<class> for each class. Absent: all that the model gives.",
    )
    overwrite: bool = Field(
        False,
        description="True replaces an output that is there already; false refuses one that was made of other inputs.",
    )


class BatchInferenceSpec(Schema):
    """Predictions for a table of rows."""

    model_config = model_rules(
        rule(
            "[has(self.model),has(self.version)].exists_one(x,x)",
            "give exactly one of model (its champion when a run starts) and version (that one)",
        ),
        rule(
            "!has(self.schedule) || self.output.overwrite || self.output.s3.uri.contains('$(run.')",
            "each run of a schedule needs an output of its own: put $(run.date) or $(run.time) into spec.output.s3.uri, or set spec.output.overwrite",
        ),
        rule(
            "!(has(self.schedule) && has(self.ttl))",
            "ttl is for one run; a BatchInference with a schedule stays",
        ),
    )

    model: ObjectName | None = Field(None, description="Score with this Model's champion, as it is when a run starts.")
    version: ObjectName | None = Field(None, description="Score with this ModelVersion and no other.")
    input: Input = Field(description="The rows.")
    output: Output = Field(description="The predictions.")
    parallelism: int = Field(1, ge=1, le=200, description="How many shards are scored at once.")
    shards: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="How many pieces the input is cut into at most; absent, one for each 64 MiB, and for small inputs as many as parallelism.",
    )
    resources: Resources = Field(
        Resources(),
        description="What the model server in each shard's pod requests and may use; absent, 250m CPU and 256Mi memory.",
    )
    placement: Placement = Field(Placement(), description="Where the pods may run.")
    image_pull_secrets: tuple[PullSecret, ...] = Field((), max_length=8, description="Secrets to pull images with.")
    max_row_errors: int | None = Field(
        None,
        ge=0,
        le=1_000_000_000,
        description="How many rows may fail before the run does; absent, any number but all. Failed rows are written below _errors/ with the reason.",
    )
    schedule: Schedule | None = Field(
        None,
        description="When to run again; absent, one run for each change of the spec. Runs of a schedule follow one another.",
    )
    suspend: bool = Field(
        False,
        description="True: pods go and nothing starts. False again: a run goes on with the shards that are not done.",
    )
    ttl: Duration | None = Field(
        None, description="How long after its end the BatchInference is deleted, such as 7d; its output stays."
    )


def depends_on(spec: BatchInferenceSpec) -> dict[str, Any]:
    """The fields that decide what a run gives; a change of any other leaves it alone."""
    fields = {"model", "version", "input", "output", "shards", "max_row_errors"}
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=fields)
