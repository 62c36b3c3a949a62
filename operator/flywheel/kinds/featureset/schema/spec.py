"""What a user writes into a FeatureSet."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    ColumnName,
    Placement,
    Resources,
    Schema,
    duration_seconds,
    model_rules,
    named_list,
    rule,
)
from flywheel.core.resource.values import Duration, ObjectName, PatternString

MAX_INPUTS, MAX_AGGREGATES, MAX_LOOKUPS, MAX_KEYS, MAX_ROWWISE = 64, 64, 16, 4, 64
MAX_BUCKETS = 300  # of a window

Description = Annotated[str | None, Field(max_length=512, description="A description for users.")]
Key = Annotated[dict[str, ColumnName], Field(min_length=1, max_length=MAX_KEYS)]
Expression = Annotated[str, Field(min_length=1, max_length=2048)]


class FeatureName(PatternString):
    """The name of a feature: `leaving_1h`."""

    pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"
    description = "a name of letters, digits and _ that does not start with a digit, such as leaving_1h"
    max_length = 63


class Input(Schema):
    """A column that a caller brings, and that training data has."""

    name: ColumnName = Field(description="The column's name.")
    type: Literal["Integer", "Float", "String", "Boolean", "Timestamp"] = Field(
        description="Type of the column, as in a Dataset."
    )
    unit: str | None = Field(None, max_length=63, description="Unit of its values, such as miles.")
    description: Description = None


class Source(Schema):
    """The rows of a Dataset, and from when on each of them may be seen."""

    dataset: ObjectName = Field(description="The Dataset, in the same namespace. Rows of all of its splits count.")
    time: ColumnName = Field(description="The column with the time of a row's event, of type Timestamp.")
    available_after: Duration | None = Field(
        None,
        description="How long after that time serving can know the row. Training does not use it earlier. Defaults to no delay.",
    )
    ingestion_time: ColumnName | None = Field(
        None,
        description="The column with the time when the row was stored. Of rows of one key and time the one that was stored last counts. Without it, and where that is equal too, the one with the greatest values counts.",
    )


class LookedUp(Schema):
    """What is found in rows of a Dataset by a key."""

    description: Description = None
    from_: Source = Field(alias="from", description="The rows.")
    key: Key = Field(description="Columns of the Dataset, each with the input that it must equal.")


class Aggregate(LookedUp):
    """A value over the rows of a key in a window of whole buckets before the row's time."""

    # `function` is reserved in CEL, where the API server calls the field __function__.
    model_config = model_rules(
        rule(
            "has(self.column) || self.__function__ == 'count'",
            "column is required, the values that the function takes; only count counts rows without one",
        ),
        rule(
            f"{duration_seconds('window')} % {duration_seconds('every')} == 0",
            "window must be a multiple of every, because it consists of whole buckets",
        ),
        rule(
            f"{duration_seconds('window')} <= {MAX_BUCKETS} * {duration_seconds('every')}",
            f"window must be at most {MAX_BUCKETS} times every; choose a larger every",
        ),
        rule(
            f"!has(self.ttl) || {duration_seconds('ttl')} >= {duration_seconds('window')}",
            "ttl must be at least window",
        ),
        rule(
            "!has(self.missing) || self.missing != 'Zero' || self.__function__ != 'avg'",
            "an average of no rows is not zero; use missing: Null or Refuse",
        ),
    )

    name: FeatureName = Field(description="Name of the feature.")
    function: Literal["count", "sum", "avg", "min", "max", "last", "countDistinct"] = Field(
        description="What is computed. Missing values do not count. countDistinct is exact up to 1,000 values; more count as 1,000."
    )
    column: ColumnName | None = Field(
        None, description="The column with the values. Without it, count counts all rows."
    )
    window: Duration = Field(
        description=f"Length of the window, a multiple of every, at most {MAX_BUCKETS} times every. It ends at the last bucket that was complete availableAfter before the row's time."
    )
    every: Duration = Field(
        description="Length of a bucket. Buckets start at multiples of it since 1970 (UTC), and are added oldest first, so that training and serving compute the same bits."
    )
    ttl: Duration | None = Field(
        None,
        description="How long a key is known after its last row, at least window. A known key without rows in the window has the count 0. Defaults to window.",
    )
    missing: Literal["Null", "Zero", "Refuse"] | None = Field(
        None,
        description="What stands for a value that is missing, because the key is unknown or no row of the window has one. Null, the default: the value is missing. Zero: 0. Refuse: serving refuses the request, and training leaves the row out.",
    )


class Lookup(LookedUp):
    """Columns of the last row of a key strictly before the row's time."""

    model_config = model_rules(
        rule(
            f"!has(self.from.availableAfter) || {duration_seconds('maxAge')} > {duration_seconds('from.availableAfter')}",
            "maxAge must be longer than from.availableAfter, because every row is at least that old when it can be seen",
        ),
    )

    name: FeatureName = Field(description="Name of the lookup. Its features are <name>_<column>.")
    columns: tuple[ColumnName, ...] = Field(
        min_length=1,
        max_length=32,
        description="The columns to take.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    max_age: Duration = Field(
        description="Maximum age of the row at the row's time. The values of older rows are missing."
    )
    missing: Literal["Null", "Refuse"] | None = Field(
        None,
        description="What stands for a value that is missing. Null, the default: the value is missing. Refuse: serving refuses the request, and training leaves the row out.",
    )


class FeatureSetSpec(Schema):
    """A FeatureSet is a set of features that training and serving compute alike: by SQL over a row, and by what other rows said before it."""

    model_config = model_rules(
        rule(
            "has(self.rowwise) && self.rowwise.size() > 0 || has(self.aggregates) && self.aggregates.size() > 0 || has(self.lookups) && self.lookups.size() > 0",
            "give at least one feature, in rowwise, aggregates or lookups",
        ),
        rule(
            "self.inputs.exists(each, each.name == self.eventTime && each.type == 'Timestamp')",
            "eventTime must be the name of an input of type Timestamp",
        ),
        rule(
            "!has(self.aggregates) || self.aggregates.all(each, each.key.all(column, self.inputs.exists(given, given.name == each.key[column])))",
            "a key of an aggregate names no input; add the input with its type, or correct the key",
        ),
        rule(
            "!has(self.lookups) || self.lookups.all(each, each.key.all(column, self.inputs.exists(given, given.name == each.key[column])))",
            "a key of a lookup names no input; add the input with its type, or correct the key",
        ),
    )

    owner: str | None = Field(None, max_length=128, description="Who answers questions about the features.")
    description: Description = None
    inputs: tuple[Input, ...] = Field(
        min_length=1,
        max_length=MAX_INPUTS,
        description="Columns that callers bring: keys, the time, and what rowwise reads.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    event_time: ColumnName = Field(
        description="The input with the time of a row, of type Timestamp. Features are as of that time."
    )
    rowwise: dict[str, Expression] = Field(
        default_factory=dict,
        max_length=MAX_ROWWISE,
        description="Features by name, each an expression of DuckDB's SQL over the inputs, the aggregates and the columns of lookups of the same row. Models compute them themselves.",
    )
    aggregates: tuple[Aggregate, ...] = named_list(MAX_AGGREGATES, "Features over rows of a Dataset in a window.")
    lookups: tuple[Lookup, ...] = named_list(MAX_LOOKUPS, "Features of the last row of a Dataset.")
    resources: Resources = Field(
        default_factory=Resources, description="Resources of the check pod. Defaults to 100m CPU and 256Mi memory."
    )
    placement: Placement = Field(default_factory=Placement, description="Scheduling constraints of the check pod.")
    suspend: bool = Field(False, description="If true, no new check starts. A running check continues.")

    @property
    def datasets(self) -> tuple[str, ...]:
        """The Datasets that features are looked up in, each once."""
        features: tuple[LookedUp, ...] = (*self.aggregates, *self.lookups)
        return tuple(dict.fromkeys(str(each.from_.dataset) for each in features))
