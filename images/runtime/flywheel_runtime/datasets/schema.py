"""A Dataset's columns: stated by the spec, fixed by the last good version, else inferred."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from flywheel_runtime.contract.errors import Failure


@dataclass(frozen=True)
class Column:
    """One column: its type, and what the spec demands of its values (numbers and times as text)."""

    name: str
    type: str
    nullable: bool = True
    min: str | None = None
    max: str | None = None
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Split:
    """How rows are divided; `validation` and `test` are fractions of 1."""

    by: str = "Random"
    validation: float = 0.15
    test: float = 0.15
    group: str | None = None
    stratify: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class DatasetSpec:
    """The parameters of a check, parsed."""

    name: str
    format: str | None
    target: str | None
    keys: tuple[str, ...]
    event_time: str | None
    columns: Mapping[str, Mapping[str, Any]]
    checks: tuple[Mapping[str, str], ...]
    split: Mapping[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, str]:
        """Every column that the spec names, with the field that names it."""
        fields = dict.fromkeys(self.columns, "spec.columns")
        fields |= dict.fromkeys(self.keys, "spec.keys")
        split = {"spec.split.group": self.split.get("group"), "spec.split.stratify": self.split.get("stratify")}
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

    def type_of(self, name: str) -> str:
        return next(column.type for column in self.columns if column.name == name)

    def as_json(self, **more: Any) -> dict[str, Any]:
        columns = [{key: value for key, value in asdict(c).items() if value is not None} for c in self.columns]
        roles = {"target": self.target, "keys": list(self.keys), "eventTime": self.event_time}
        return {"v": 1, "columns": columns, "split": asdict(self.split)} | roles | more


@dataclass(frozen=True)
class PreviousVersion:
    """The last good version: its types, bins and counts."""

    types: Mapping[str, str]
    profile: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The artifact in `folder`, or None where there is none."""
        if not (folder / "schema.json").exists():
            return None
        schema = json.loads((folder / "schema.json").read_text())
        profile = json.loads((folder / "profile.json").read_text())["columns"]
        return cls({column["name"]: column["type"] for column in schema["columns"]}, profile)


def parse_spec(params: Mapping[str, Any]) -> DatasetSpec:
    """Read the check's parameters (images/README.md)."""
    return DatasetSpec(
        name=params.get("name", "dataset"),
        format=params.get("format"),
        target=params.get("target"),
        keys=tuple(params.get("keys") or ()),
        event_time=params.get("eventTime"),
        columns={column["name"]: column for column in params.get("columns") or ()},
        checks=tuple(params.get("checks") or ()),
        split=params.get("split") or {},
    )


def parse_split(spec: DatasetSpec, task: str | None) -> Split:
    """The split that the spec asks for; without one Random 15 % and 15 %, stratified by the classes."""
    given = spec.split
    by = given.get("by", "Random")
    stratify = given.get("stratify")
    if not given and task == "Classification":
        stratify = spec.target
    split = Split(
        by=by,
        validation=_fraction(given.get("validation", "15%")),
        test=_fraction(given.get("test", "15%")),
        group=given.get("group"),
        stratify=stratify,
        seed=int(given.get("seed", 0)),
    )
    if by == "Time" and not spec.event_time:
        raise Failure("SplitInvalid", "spec.split.by Time needs spec.eventTime; name the column that holds the time.")
    if by == "Group" and not split.group:
        raise Failure("SplitInvalid", "spec.split.by Group needs spec.split.group; name the column of the groups.")
    if by != "Random" and stratify:
        raise Failure("SplitInvalid", f"spec.split.stratify works only with by Random, not {by}; leave it out.")
    if split.validation + split.test >= 1:
        raise Failure("SplitInvalid", "spec.split.validation and test leave no rows to train on; lower them.")
    return split


def _fraction(percent: str) -> float:
    return round(float(percent.rstrip("%")) / 100, 6)


def settle_columns(
    spec: DatasetSpec, inferred: Mapping[str, str], previous: PreviousVersion | None
) -> tuple[Column, ...]:
    """The columns in the order of the last good version: the spec goes before that version, and that before the inferred types.

    A column that is new since the last version stays out until spec.columns names it.
    """
    order = list(inferred) if previous is None else list(previous.types)
    order += [name for name in spec.named if name not in order]
    fixed = previous.types if previous else {}
    return tuple(_column(name, spec, fixed.get(name) or inferred[name]) for name in order if name in inferred)


def _column(name: str, spec: DatasetSpec, found: str) -> Column:
    stated = spec.columns.get(name, {})
    categories = stated.get("categories")
    return Column(
        name=name,
        type=stated.get("type") or found,
        nullable=stated.get("nullable") is not False,
        min=stated.get("min"),
        max=stated.get("max"),
        categories=tuple(categories) if categories else None,
    )
