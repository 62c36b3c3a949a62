"""The document feature_set.json: what the features of a FeatureSet are, in a form that is the same for the same features.

Training and serving read it, so it has seconds in place of texts, and the types that the check found.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import write_json
from flywheel_runtime.params import Params

FILE = "feature_set.json"
ColumnType = Literal["Integer", "Float", "String", "Boolean", "Timestamp"]
Missing = Literal["Null", "Zero", "Refuse"]
FunctionName = Literal["count", "sum", "avg", "min", "max", "last", "countDistinct"]


class InputColumn(Params):
    """A column that a caller brings, and that training data has."""

    name: str
    type: ColumnType
    unit: str | None = None


class Source(Params):
    """Rows of a Dataset, each of which may be seen `available_after_seconds` after its `time`.

    Of rows with the same time the one with the latest `ingestion_time` is the last.
    """

    dataset: str
    time: str
    available_after_seconds: int = Field(0, ge=0)
    ingestion_time: str | None = None


class LookedUpSpec(Params):
    """What is found in rows of a source by a key; `key` maps columns of the source to inputs."""

    name: str
    from_: Source = Field(alias="from")
    key: dict[str, str] = Field(min_length=1)
    missing: Missing = "Null"


class AggregateSpec(LookedUpSpec):
    """One value over the rows of a key in whole buckets of `every_seconds`.

    `column` None: count counts rows. A key is known for `ttl_seconds` after its last row.
    """

    function: FunctionName
    column: str | None = None
    window_seconds: int = Field(ge=1)
    every_seconds: int = Field(ge=1)
    ttl_seconds: int = Field(ge=1)

    @property
    def read_columns(self) -> tuple[str, ...]:
        """The columns of the source whose values count."""
        return (self.column,) if self.column is not None else ()

    @property
    def buckets(self) -> int:
        """The number of buckets in a window."""
        return self.window_seconds // self.every_seconds


class Aggregate(AggregateSpec):
    """An aggregate with the type of its value, and that of its column, if it has one."""

    type: ColumnType
    column_type: ColumnType | None = None


class LookupSpec(LookedUpSpec):
    """The last row of a key that is at most `max_age_seconds` old."""

    columns: tuple[str, ...] = Field(min_length=1)
    max_age_seconds: int = Field(ge=1)
    missing: Literal["Null", "Refuse"] = "Null"

    @property
    def read_columns(self) -> tuple[str, ...]:
        """The columns of the source whose values count."""
        return self.columns


class Lookup(LookupSpec):
    """A lookup with the types of its columns."""

    types: tuple[ColumnType, ...]

    @property
    def features(self) -> dict[str, ColumnType]:
        """The features of its columns with their types: `weather_temp`."""
        names = (f"{self.name}_{column}" for column in self.columns)
        return dict(zip(names, self.types, strict=True))


class FeatureSetSpec(Params):
    """What the features of a FeatureSet are, as its spec says. `rowwise` maps features to SQL over inputs and looked-up features."""

    name: str
    inputs: tuple[InputColumn, ...] = Field(min_length=1)
    event_time: str
    rowwise: dict[str, str] = Field(default_factory=dict)
    aggregates: tuple[AggregateSpec, ...] = ()
    lookups: tuple[LookupSpec, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """The Datasets that features are looked up in, each once."""
        sources = [each.from_ for each in self.aggregates] + [each.from_ for each in self.lookups]
        return tuple(dict.fromkeys(each.dataset for each in sources))

    @property
    def input_types(self) -> dict[str, ColumnType]:
        """The columns that callers bring, with their types."""
        return {each.name: each.type for each in self.inputs}


class Definition(FeatureSetSpec):
    """The content of feature_set.json: the spec, with the type of each feature that is looked up."""

    v: Literal[1] = 1
    aggregates: tuple[Aggregate, ...] = ()
    lookups: tuple[Lookup, ...] = ()

    @property
    def looked_up(self) -> dict[str, ColumnType]:
        """The features that are looked up, in order, with their types."""
        found: dict[str, ColumnType] = {each.name: each.type for each in self.aggregates}
        for lookup in self.lookups:
            found |= lookup.features
        return found

    @property
    def asked_inputs(self) -> dict[str, ColumnType]:
        """The inputs without which nothing is found: the time of a row and those that keys are compared with."""
        keys = {given for each in (*self.aggregates, *self.lookups) for given in each.key.values()}
        return {name: kind for name, kind in self.input_types.items() if name == self.event_time or name in keys}

    def keep(self, features: Collection[str]) -> Self:
        """The definition with what makes at least one of these looked-up features. A lookup keeps all of its columns: they rank its rows."""
        aggregates = tuple(each for each in self.aggregates if each.name in features)
        lookups = tuple(each for each in self.lookups if not each.features.keys().isdisjoint(features))
        return self.model_copy(update={"aggregates": aggregates, "lookups": lookups})

    def write(self, folder: Path) -> None:
        """Write feature_set.json, whose bytes are the same for the same definition."""
        write_json(folder / FILE, self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The definition in a folder. Raises Failure DefinitionInvalid where it is none, or that of another release."""
        try:
            return cls.model_validate(json.loads((folder / FILE).read_bytes()))
        except (OSError, ValueError, ValidationError) as error:
            message = (
                f"The artifact of the FeatureSet has no {FILE} that this release reads ({type(error).__name__}); "
                "change the FeatureSet, so that it is checked again."
            )
            raise Failure("DefinitionInvalid", message) from error
