"""What a user writes into a Dataset, and what is read from it."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.pods.cron_job import Schedule
from flywheel.core.resource.schema import (
    ClaimLocation,
    ColumnName,
    FileFormat,
    Placement,
    Resources,
    S3Location,
    Schema,
    exactly_one_of,
    min_is_not_above_max,
    model_rules,
    named_list,
    one_of,
    rule,
)
from flywheel.core.resource.values import Label, Number, Percent, Sha256
from flywheel.core.tables import FORMAT_RULE, Csv, Ignore
from flywheel.kinds.dataset.schema.sql_source import SqlSource


class S3Source(S3Location):
    """Objects in an S3-compatible store: the installation's own, or a foreign one."""

    uri: str = Field(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$",
        max_length=1024,
        description="s3://bucket/key for one object; ending in / for all objects below it.",
    )


class HttpSource(Schema):
    """One file from a web server that the installation allows. It is fixed by its SHA-256."""

    url: str = Field(pattern=r"^https?://[^/]+/.+$", max_length=2048, description="URL of the file.")
    sha256: Sha256 = Field(description="SHA-256 of the file, 64 hexadecimal digits.")


class Source(Schema):
    """Where the data is: exactly one of s3, pvc, http, sql."""

    model_config = model_rules(exactly_one_of("s3", "pvc", "http", "sql"))

    s3: S3Source | None = Field(None, description="Objects in an S3-compatible store.")
    pvc: ClaimLocation | None = Field(None, description="Files on a PersistentVolumeClaim.")
    http: HttpSource | None = Field(None, description="One file from an allowed web server, identified by its SHA-256.")
    sql: SqlSource | None = Field(None, description="A table or a query in a database server.")

    @property
    def location(self) -> S3Source | ClaimLocation | HttpSource | SqlSource:
        """The one of s3, pvc, http and sql that is given."""
        return one_of(self.s3, self.pvc, self.http, self.sql)


class Column(Schema):
    """Properties of one column. Properties that are not set are inferred from the first version and then fixed."""

    model_config = model_rules(
        min_is_not_above_max(),
        rule(
            "!(has(self.min) || has(self.max)) || !has(self.type) || self.type in ['Integer','Float']",
            "min and max require a column of type Integer or Float",
        ),
    )

    name: ColumnName = Field(description="The column's name in the data.")
    type: Literal["Integer", "Float", "String", "Boolean", "Timestamp"] | None = Field(
        None, description="Type of the column. Values of another type are the anomaly TypeMismatch."
    )
    nullable: bool | None = Field(None, description="Whether values may be missing. Defaults to true.")
    min: Number | None = Field(
        None, description='Minimum value, such as "0". Smaller values are the anomaly OutOfRange.'
    )
    max: Number | None = Field(None, description="Maximum value. Greater values are the anomaly OutOfRange.")
    categories: tuple[Annotated[str, Field(max_length=128)], ...] = Field(
        (), max_length=1000, description="All allowed values. Other values are the anomaly NewCategory."
    )


class Check(Schema):
    """A SQL check (DuckDB) on the table `data`."""

    name: Label = Field(description="Name of the check, shown if it is violated.")
    sql: str = Field(min_length=1, max_length=4096, description="Query that returns the rows that violate the check.")
    severity: Literal["Error", "Warning"] = Field(
        "Error", description="Error rejects the data if rows violate the check; Warning only reports them."
    )


class Split(Schema):
    """How rows are split into train, validation and test."""

    model_config = model_rules(
        rule(
            "double(self.validation.substring(0, self.validation.size()-1)) + double(self.test.substring(0, self.test.size()-1)) < 100.0",
            "validation and test together must be less than 100%",
        ),
        rule("(self.by == 'Group') == has(self.group)", "group is required with by: Group and not allowed otherwise"),
        rule("!has(self.stratify) || self.by == 'Random'", "stratify requires by: Random"),
    )

    by: Literal["Random", "Time", "Group"] = Field(
        description="Random assigns rows at random; Time uses the newest rows by spec.eventTime as the test split; Group keeps the rows of a group in one split."
    )
    validation: Percent = Field(
        Percent("15%"), description="Percentage of rows in the validation split, used for model selection."
    )
    test: Percent = Field(Percent("15%"), description="Percentage of rows in the test split, never used for training.")
    stratify: ColumnName | None = Field(
        None,
        description="Column whose distribution is preserved in each split, usually the target. Requires by: Random.",
    )
    group: ColumnName | None = Field(None, description="Column of the groups for by: Group, such as patient_id.")
    seed: int = Field(0, ge=0, le=2147483647, description="Seed of the split; the same seed gives the same split.")


class Retention(Schema):
    """How much history is retained."""

    versions: int = Field(
        10,
        ge=1,
        le=100,
        description="Number of versions retained in the status, newest first. Versions that are referenced are retained in addition.",
    )


class DatasetSpec(Schema):
    """A Dataset is versioned and validated data: its source, its schema and its split."""

    model_config = model_rules(
        rule(
            "!(has(self.schedule) && has(self.source.http))",
            "schedule is not supported for an http source, because its sha256 fixes the content",
        ),
        rule(
            "!has(self.source.sql) || has(self.keys) && size(self.keys) > 0",
            "a sql source requires keys: the rows of a database have no order, and the keys give them one",
        ),
        rule(
            "!has(self.source.sql) || !(has(self.format) || has(self.csv))",
            "format and csv describe files; remove them from a Dataset with a sql source",
        ),
        rule(
            "!has(self.split) || self.split.by != 'Time' || has(self.eventTime)",
            "split.by: Time requires spec.eventTime, the column that orders the rows",
        ),
        FORMAT_RULE,
        rule(
            "!has(self.ignore) || !(has(self.target) && self.target in self.ignore"
            " || has(self.eventTime) && self.eventTime in self.ignore"
            " || has(self.keys) && self.keys.exists(key, key in self.ignore))",
            "ignore must not name the target, a key or eventTime",
        ),
        rule(
            "!has(self.ignore) || !has(self.source.sql) || !has(self.source.sql.incremental)"
            " || !(self.source.sql.incremental.column in self.ignore)",
            "ignore must not name source.sql.incremental.column",
        ),
    )

    source: Source = Field(description="Source of the data.")
    target: ColumnName | None = Field(None, description="The column to predict.")
    keys: tuple[ColumnName, ...] = Field(
        (),
        max_length=8,
        description="Columns that together identify a row. Duplicate keys are the anomaly DuplicateKeys.",
    )
    event_time: ColumnName | None = Field(None, description="The column with the time of the row's event.")
    format: FileFormat | None = Field(
        None, description="Format of the files. Defaults to the format that their names indicate."
    )
    csv: Csv | None = Field(None, description="How CSV files are written, as far as it differs from the usual form.")
    ignore: Ignore = ()
    columns: tuple[Column, ...] = named_list(
        500, "Properties of columns. Properties that are not set are inferred from the first version and then fixed."
    )
    checks: tuple[Check, ...] = named_list(50, "SQL checks; each returns the rows that violate it.")
    show_values: bool = Field(
        False,
        description="Whether the status and events may quote values of the data, such as rows that violate a check, and the slices and groups that evaluations and gates of models trained on it find worst. By default they have counts only; logs, report.json and gates.json have the values.",
    )
    split: Split | None = Field(
        None,
        description="How rows are split. Defaults to Time if eventTime is set, otherwise to Random, stratified by a categorical target, with 15% for validation and 15% for test.",
    )
    schedule: Schedule | None = Field(
        None,
        description="When to check the source again. Without it, the source is checked when the spec changes or on request.",
    )
    retention: Retention = Field(default_factory=Retention, description="Retention of versions in the status.")
    resources: Resources = Field(
        default_factory=Resources, description="Resources of the check pod. Defaults to 250m CPU and 512Mi memory."
    )
    placement: Placement = Field(default_factory=Placement, description="Scheduling constraints of the check pod.")
    suspend: bool = Field(False, description="If true, no new check starts. A running check continues.")
