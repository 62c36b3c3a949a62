"""What a user writes into a Dataset, and what is read from it."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    LIST_MAP_BY_NAME,
    ColumnName,
    Placement,
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
from flywheel.core.resource.values import Label, Number, ObjectName, Percent, Sha256


class S3Source(S3Location):
    """Objects in an S3-compatible store: the installation's own, or a foreign one."""

    uri: str = Field(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$",
        max_length=1024,
        description="s3://bucket/key for one object; ending in / for all objects below it.",
    )


class ClaimSource(Schema):
    """Files on a PersistentVolumeClaim."""

    claim_name: ObjectName = Field(description="The PersistentVolumeClaim, in the same namespace.")
    path: str = Field(
        pattern=r"^[^/].*$",
        max_length=1024,
        description="File or folder inside the volume, relative to its root.",
        json_schema_extra=validations(
            rule("!self.split('/').exists(part, part == '..')", "path must stay inside the volume; remove '..'")
        ),
    )


class HttpSource(Schema):
    """One file from a web server that the installation allows. It is fixed by its SHA-256."""

    url: str = Field(pattern=r"^https?://[^/]+/.+$", max_length=2048, description="Where the file is.")
    sha256: Sha256 = Field(description="SHA-256 of the file, 64 hexadecimal digits.")


class Source(Schema):
    """Where the data is: exactly one of s3, pvc, http."""

    model_config = model_rules(exactly_one_of("s3", "pvc", "http"))

    s3: S3Source | None = Field(None, description="Objects in an S3-compatible store.")
    pvc: ClaimSource | None = Field(None, description="Files on a PersistentVolumeClaim.")
    http: HttpSource | None = Field(None, description="One file from an allowed web server, fixed by its SHA-256.")

    @property
    def location(self) -> S3Source | ClaimSource | HttpSource:
        """The one of s3, pvc and http that is given."""
        return one_of(self.s3, self.pvc, self.http)


class Column(Schema):
    """What is known of one column; the rest is inferred from the first version and stays the same from then on."""

    model_config = model_rules(
        rule(
            "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
            "min must not be greater than max",
        ),
        rule(
            "!(has(self.min) || has(self.max)) || !has(self.type) || self.type in ['Integer','Float']",
            "min and max are for columns of type Integer or Float",
        ),
    )

    name: ColumnName = Field(description="The column's name in the data.")
    type: Literal["Integer", "Float", "String", "Boolean", "Timestamp"] | None = Field(
        None, description="The column's type; another one in the data is the anomaly TypeMismatch."
    )
    nullable: bool | None = Field(None, description="Whether values may be missing; absent, they may.")
    min: Number | None = Field(None, description='Least value allowed, such as "0"; less is the anomaly OutOfRange.')
    max: Number | None = Field(None, description="Greatest value allowed; more is the anomaly OutOfRange.")
    categories: tuple[Annotated[str, Field(max_length=128)], ...] = Field(
        (), max_length=1000, description="All values allowed; another one is the anomaly NewCategory."
    )


class Check(Schema):
    """A question to the data, in SQL (DuckDB), where the data is the table `data`."""

    name: Label = Field(description="The check's name, shown where it is violated.")
    sql: str = Field(
        min_length=1, max_length=4096, description="A query that returns the rows that violate the check; none is good."
    )
    severity: Literal["Error", "Warning"] = Field(
        "Error", description="Error: violating rows make the data unfit. Warning: they are only reported."
    )


class Split(Schema):
    """How rows are split into train, validation and test."""

    model_config = model_rules(
        rule(
            "double(self.validation.substring(0, self.validation.size()-1)) + double(self.test.substring(0, self.test.size()-1)) < 100.0",
            "validation and test together must leave something to train on: less than 100%",
        ),
        rule("(self.by == 'Group') == has(self.group)", "group names the column of by: Group, and only of it"),
        rule("!has(self.stratify) || self.by == 'Random'", "stratify is for by: Random"),
    )

    by: Literal["Random", "Time", "Group"] = Field(
        description="Random: any row anywhere. Time: the newest rows are the test, by spec.eventTime. Group: rows of one group stay together."
    )
    validation: Percent = Field(Percent("15%"), description="Share of rows to choose models by.")
    test: Percent = Field(Percent("15%"), description="Share of rows that no training ever sees.")
    stratify: ColumnName | None = Field(
        None,
        description="A column, most often the target, whose values have the same shares in each split; for by: Random.",
    )
    group: ColumnName | None = Field(None, description="The column of by: Group, such as patient_id.")
    seed: int = Field(0, ge=0, le=2147483647, description="Seed of the split; the same seed gives the same split.")


class Retention(Schema):
    """How much history is retained."""

    versions: int = Field(
        10, ge=1, le=100, description="How many versions status remembers, newest first; cited ones stay besides."
    )


class DatasetSpec(Schema):
    """Data that is checked, split and versioned before a model is trained on it."""

    model_config = model_rules(
        rule(
            "!(has(self.schedule) && has(self.source.http))",
            "schedule is not for an http source, whose sha256 fixes its content",
        ),
        rule(
            "!has(self.split) || self.split.by != 'Time' || has(self.eventTime)",
            "split.by: Time needs spec.eventTime, the column to order rows by",
        ),
    )

    source: Source = Field(description="Where the data is.")
    target: ColumnName | None = Field(None, description="The column to predict.")
    keys: tuple[ColumnName, ...] = Field(
        (), max_length=8, description="Columns that together name a row; a repetition is the anomaly DuplicateKeys."
    )
    event_time: ColumnName | None = Field(None, description="The column with the time of the row's event.")
    format: Literal["CSV", "Parquet", "JSONL"] | None = Field(
        None, description="The files' format; absent, it follows from their names."
    )
    columns: tuple[Column, ...] = Field(
        (),
        max_length=500,
        description="What is known of columns; the rest is inferred from the first version and stays the same from then on.",
        json_schema_extra=LIST_MAP_BY_NAME,
    )
    checks: tuple[Check, ...] = Field(
        (),
        max_length=50,
        description="Questions to the data in SQL, each returning the rows that violate it.",
        json_schema_extra=LIST_MAP_BY_NAME,
    )
    split: Split | None = Field(
        None,
        description="How rows are split; absent, by Time where eventTime is given, else Random and stratified by a categorical target, with 15% and 15%.",
    )
    schedule: Schedule | None = Field(
        None, description="When to look at the source again; absent, only when the spec changes or on request."
    )
    retention: Retention = Field(default_factory=Retention, description="How many versions status remembers.")
    resources: Resources = Field(
        default_factory=Resources, description="What the check's pod requests; absent, 250m CPU and 512Mi memory."
    )
    placement: Placement = Field(default_factory=Placement, description="Where the check's pod may run.")
    suspend: bool = Field(False, description="True: no new check starts; one that runs goes on.")
