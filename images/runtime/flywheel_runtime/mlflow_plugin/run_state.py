"""What is known of experiments, runs and logged models: the sum of the journal's entries. Times are milliseconds since 1970."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_EXPERIMENT = "0"
PARENT_TAG = "mlflow.parentRunId"
RUN_NAME_TAG = "mlflow.runName"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_. -]+")  # what MLflow allows in names of metrics, but no slash


@dataclass
class Run:
    """One run. `prefix` is empty, or ends with a slash: what the step's files put before the names of a nested run."""

    id: str
    name: str
    experiment: str
    user: str
    started: int
    prefix: str = ""
    status: str = "RUNNING"
    ended: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    input_models: list[str] = field(default_factory=list)
    output_models: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Model:
    """One logged model; `folder` is that of its files, below outputs/artifacts."""

    id: str
    name: str
    experiment: str
    folder: str
    created: int
    updated: int
    run: str | None = None
    type: str | None = None
    status: str = "PENDING"
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


@dataclass
class Experiment:
    """A name that code gave to its runs."""

    id: str
    name: str
    created: int = 0
    tags: dict[str, str] = field(default_factory=dict)


def default_experiments() -> dict[str, Experiment]:
    """The experiment of runs for which code names none: it has the name of the step's owner."""
    name = os.environ.get("FLYWHEEL_NAME") or "Default"
    return {DEFAULT_EXPERIMENT: Experiment(DEFAULT_EXPERIMENT, name)}


@dataclass
class State:
    """All experiments, runs and models by their ids, in the order of their creation."""

    experiments: dict[str, Experiment] = field(default_factory=default_experiments)
    runs: dict[str, Run] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    metrics_digest: str | None = None  # of the metrics.json that the plugin wrote last

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Add one entry of the journal: the fields of an object to set, and the pairs of its dictionaries to add."""
        kind, fields = entry["kind"], dict(entry["set"])
        if kind == "state":
            self.metrics_digest = fields["metrics_digest"]
            return
        objects, make = _KINDS[kind]
        found = getattr(self, objects)
        if entry["id"] not in found:
            found[entry["id"]] = make(id=entry["id"], **fields)
            return
        for name, value in fields.items():
            before = getattr(found[entry["id"]], name)
            if isinstance(before, dict):
                before.update(value)
                for key in [key for key, text in value.items() if text is None]:
                    del before[key]
            elif isinstance(before, list):
                before.extend(value)
            else:
                setattr(found[entry["id"]], name, value)

    def prefix(self, name: str, parent: str | None) -> str:
        """The prefix of a new run: none, or that of its parent with its own name, which no other run has."""
        if parent not in self.runs:
            return ""
        taken = {run.prefix.rstrip("/") for run in self.runs.values()}
        return unused_name(self.runs[parent].prefix + path_segment(name), taken) + "/"

    def model_folder(self, name: str, run: str | None) -> str:
        """The folder of a new model's files, which no other model has."""
        prefix = self.runs[run].prefix if run in self.runs else ""
        return unused_name(prefix + path_segment(name), {model.folder for model in self.models.values()})


_KINDS: Mapping[str, tuple[str, Any]] = {
    "experiment": ("experiments", Experiment),
    "run": ("runs", Run),
    "model": ("models", Model),
}


def path_segment(name: str) -> str:
    """A name that is one segment of a path, and of the name of a metric."""
    return _NOT_IN_A_NAME.sub("_", name).strip(". ")[:100] or "run"


def unused_name(name: str, taken: Iterable[str]) -> str:
    """The name itself, or with the first number from 2 with which it is not taken."""
    names = set(taken)
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name}-{number}"
    return found
