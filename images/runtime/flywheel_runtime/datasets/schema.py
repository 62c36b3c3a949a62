"""A Dataset's columns: stated by the spec, fixed by the last good version, else inferred."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.datasets.types import TIMESTAMP
from flywheel_runtime.params import Params


def _fraction(share: Any) -> Any:
    """The fraction of a percentage, "15%"; schema.json has fractions."""
    return round(float(share.removesuffix("%")) / 100, 6) if isinstance(share, str) else share


Fraction = Annotated[float, BeforeValidator(_fraction)]


class StatedColumn(Params):
    """What the spec demands of a column's values (numbers and times as text); a `type` of None is inferred."""

    name: str
    type: str | None = None
    nullable: bool = True
    min: str | None = None
    max: str | None = None
    categories: tuple[str, ...] | None = None


class Column(StatedColumn):
    """One column of a version."""

    type: str


class Split(Params):
    """How rows are divided; `validation` and `test` are fractions of 1."""

    by: Literal["Random", "Time", "Group"] = "Random"
    validation: Fraction = 0.15
    test: Fraction = 0.15
    group: str | None = None
    stratify: str | None = None
    seed: int = 0


class SqlCheck(Params):
    """SQL whose rows violate it."""

    name: str
    sql: str
    severity: Literal["Error", "Warning"] = "Error"


class IncrementalColumn(Params):
    """A column that grows with every change of a row; rows from `overlap_seconds` before its greatest value on are read again."""

    column: str
    overlap_seconds: int = 0


class DatasetSpec(Params):
    """The parameters of a check, as in the spec of the Dataset (images/README.md).

    `sort_by_keys`: the source is Parquet whose rows and files have no order of their own.
    """

    name: str = "dataset"
    format: Literal["CSV", "Parquet", "JSONL"] | None = None
    target: str | None = None
    keys: tuple[str, ...] = ()
    event_time: str | None = None
    columns: tuple[StatedColumn, ...] = ()
    checks: tuple[SqlCheck, ...] = ()
    split: Split = Split()
    show_values: bool = False
    csv: CsvOptions = CsvOptions()
    ignore: tuple[str, ...] = ()
    sort_by_keys: bool = False
    incremental: IncrementalColumn | None = None

    @property
    def named(self) -> dict[str, str]:
        """Every column that the spec names, with the field that names it."""
        fields = dict.fromkeys((column.name for column in self.columns), "spec.columns")
        fields |= dict.fromkeys(self.keys, "spec.keys")
        split = {"spec.split.group": self.split.group, "spec.split.stratify": self.split.stratify}
        singles = {"spec.target": self.target, "spec.eventTime": self.event_time} | split
        return fields | {name: place for place, name in singles.items() if name}


@dataclass(frozen=True)
class Schema:
    """The columns of a version, in order, and the roles that some of them have."""

    columns: tuple[Column, ...]
    target: str | None
    keys: tuple[str, ...]
    event_time: str | None
    split: Split
    timestamp_features: tuple[str, ...] = ()
    """The times that a model learns from unless its features are named."""

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model learns from unless its features are named."""
        roles = {self.target, self.event_time, self.split.group, *self.keys}
        return tuple(
            c
            for c in self.columns
            if c.name not in roles and (c.type != TIMESTAMP or c.name in self.timestamp_features)
        )

    def type_of(self, name: str) -> str:
        return next(column.type for column in self.columns if column.name == name)

    def as_json(self, **more: Any) -> dict[str, Any]:
        columns = [column.model_dump(exclude_none=True) for column in self.columns]
        roles = {"target": self.target, "keys": list(self.keys), "eventTime": self.event_time}
        # Absent without such times, so that the digests of earlier releases stay.
        times = {"timestampFeatures": list(self.timestamp_features)} if self.timestamp_features else {}
        return {"v": 1, "columns": columns, "split": self.split.model_dump()} | roles | times | more


@dataclass(frozen=True)
class PreviousVersion:
    """The last good version: its types, bins and counts, the task and classes of its target, and its identity."""

    types: Mapping[str, str]
    profile: Mapping[str, Any]
    target: str | None = None
    task: str | None = None
    classes: tuple[str, ...] = ()
    content: str | None = None
    timestamp_features: tuple[str, ...] = ()

    def has_values(self, name: str) -> bool:
        """Whether a column had a value in any row: without one its type was a guess."""
        splits = self.profile[name]["splits"].values() if name in self.profile else ()
        return any(split["missing"] < split["rows"] for split in splits)

    def task_of(self, target: str) -> str | None:
        """The task of this version if it had the same target."""
        return self.task if self.target == target else None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The artifact in `folder`, or None where there is none."""
        if not (folder / "schema.json").exists():
            return None
        schema = json.loads((folder / "schema.json").read_text())
        profile = json.loads((folder / "profile.json").read_text())["columns"]
        types = {column["name"]: column["type"] for column in schema["columns"]}
        classes = tuple(map(str, schema.get("classes") or ()))
        times = tuple(map(str, schema.get("timestampFeatures") or ()))
        return cls(types, profile, schema.get("target"), schema.get("task"), classes, schema.get("content"), times)


def resolve_split(spec: DatasetSpec, task: str | None) -> Split:
    """The split that the spec asks for; without one Random 15 % and 15 %, stratified by the classes."""
    split = spec.split
    if not split.model_fields_set and task == "Classification":
        split = Split(stratify=spec.target)
    if split.by == "Time" and not spec.event_time:
        raise Failure("SplitInvalid", "spec.split.by Time needs spec.eventTime; name the column that holds the time.")
    if split.by == "Group" and not split.group:
        raise Failure("SplitInvalid", "spec.split.by Group needs spec.split.group; name the column of the groups.")
    if split.by != "Random" and split.stratify:
        raise Failure("SplitInvalid", f"spec.split.stratify works only with by Random, not {split.by}; leave it out.")
    if split.validation + split.test >= 1:
        raise Failure("SplitInvalid", "spec.split.validation and test leave no rows to train on; lower them.")
    return split


def settle_columns(
    spec: DatasetSpec, inferred: Mapping[str, str], previous: PreviousVersion | None
) -> tuple[Column, ...]:
    """The columns in the order of the last good version: the spec goes before that version, and that before the inferred types.

    A column that is new since the last version stays out until spec.columns names it. One that had no value takes the type of its first
    values.
    """
    order = list(inferred) if previous is None else list(previous.types)
    order += [name for name in spec.named if name not in order]
    fixed = {name: kind for name, kind in previous.types.items() if previous.has_values(name)} if previous else {}
    stated = {column.name: column for column in spec.columns}
    return tuple(
        _column(stated.get(name) or StatedColumn(name=name), fixed.get(name) or inferred[name])
        for name in order
        if name in inferred
    )


def settle_timestamp_features(
    spec: DatasetSpec, columns: tuple[Column, ...], previous: PreviousVersion | None
) -> tuple[str, ...]:
    """The times among `columns` that are features: all without a role; a time of the last good version only if it was one there.

    Releases before learnt from no time, so the features of their Datasets stay.
    """
    roles = {spec.target, spec.event_time, spec.split.group, *spec.keys}
    times = [column.name for column in columns if column.type == TIMESTAMP and column.name not in roles]
    if previous is None:
        return tuple(times)
    return tuple(name for name in times if previous.types.get(name) != TIMESTAMP or name in previous.timestamp_features)


def _column(stated: StatedColumn, found: str) -> Column:
    given = stated.model_dump() | {"type": stated.type or found, "categories": stated.categories or None}
    return Column.model_validate(given)
