"""Features by SQL in the manifests: the runtime of this distribution compiles them over the columns of their Dataset, where it is installed.

The command itself has no DuckDB. As a pod does, the runtime runs in a process of its own, and both know the documents alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flywheel.cli.dry_run.dry_run_result import DryRunResult
from flywheel.client.errors import FlywheelError
from flywheel.core.resource.api import DATASET, EXPERIMENT, TRAINING_PIPELINE, Api, Manifest, Reference
from flywheel.core.resource.kind import AnyResource

NEEDED = ("flywheel_runtime", "duckdb", "numpy", "onnx")  # modules, of the extra `features`
TIMEOUT = 120  # seconds
NOT_CHECKED = "was not checked:"
FindObject = Callable[[Reference], Manifest | None]
ReadProfile = Callable[[Reference], Mapping[str, Any]]
"""The profile of the current version of a Dataset. Raises FlywheelError."""


@dataclass(frozen=True)
class Training:
    """What has `rowwise`: its subject in the output, its expressions, and the Dataset that they read; None for the output of a step.

    `feature_sets` add columns that the expressions may read.
    """

    subject: str
    rowwise: Mapping[str, str]
    source: str
    dataset: Reference | None
    feature_sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Types of columns by name. `gap` says why there may be others; None: there are none."""

    types: Mapping[str, str]
    target: str | None
    gap: str | None


class NotChecked(Exception):
    """Nothing can be said about expressions; the message is the end of a sentence."""


def check_rowwise(resource: AnyResource, find_object: FindObject, read_profile: ReadProfile) -> Iterator[DryRunResult]:
    """Yields what is wrong with the expressions of a resource, or what could not be checked, and else that they can be computed."""
    find_trainings = TRAININGS.get(resource.api)
    for training in find_trainings(resource) if find_trainings else ():
        try:
            columns = _read_columns(training, find_object, read_profile)
            yield from _describe(training, columns, _ask_runtime(training.rowwise, columns))
        except NotChecked as reason:
            yield DryRunResult(training.subject, note=f"{NOT_CHECKED} {reason}", tested=0)


def _of_experiment(resource: AnyResource) -> list[Training]:
    spec = resource.spec
    if not spec.rowwise or spec.dataset is None:  # an artifact: that of a pipeline's step, which the pipeline speaks of
        return []
    dataset = Reference(DATASET, resource.namespace, str(spec.dataset))
    sets = tuple(map(str, spec.feature_sets))
    return [Training(f"rowwise of Experiment '{resource.name}'", spec.rowwise, dataset.name, dataset, sets)]


def _of_pipeline(resource: AnyResource) -> list[Training]:
    datasets = {
        str(each.name): Reference(DATASET, resource.namespace, str(each.dataset))
        for each in resource.spec.inputs
        if each.dataset is not None
    }
    found = []
    for step in resource.spec.steps:
        if step.train is not None and step.train.rowwise:
            subject = f"rowwise of step '{step.name}' of TrainingPipeline '{resource.name}'"
            source = str(step.train.from_)
            sets = tuple(map(str, step.train.feature_sets))
            found.append(Training(subject, step.train.rowwise, source, datasets.get(source), sets))
    return found


TRAININGS: Mapping[Api, Callable[[AnyResource], list[Training]]] = {
    EXPERIMENT: _of_experiment,
    TRAINING_PIPELINE: _of_pipeline,
}


def _read_columns(training: Training, find_object: FindObject, read_profile: ReadProfile) -> Columns:
    """Those of the Dataset's current version, and those whose type its spec has.

    Raises:
        NotChecked: none is known.
    """
    if training.dataset is None:
        raise NotChecked(f"its columns are those that '{training.source}' leaves, which only a run knows")
    name = training.dataset.name
    spec: Mapping[str, Any] = (find_object(training.dataset) or {}).get("spec", {})
    types = {each["name"]: each["type"] for each in spec.get("columns", ()) if each.get("type")}
    listed = ", ".join(f"'{each}'" for each in training.feature_sets)
    gap = f"whose type is unknown: it may be a feature of FeatureSet {listed}" if listed else None
    try:
        profile = read_profile(training.dataset)
        types = {column: each["type"] for column, each in profile["columns"].items()} | types
    except FlywheelError as error:
        why = "it has no version yet" if error.reason in ("NotFound", "NoVersion") else error.message
        gap = f"whose type is unknown: spec.columns of Dataset '{name}' does not say it, and {why}"
        if not types:
            raise NotChecked(
                f"the columns of Dataset '{name}' are unknown: spec.columns has no types, and {why}"
            ) from error
    return Columns(types, spec.get("target"), gap)


def _ask_runtime(rowwise: Mapping[str, str], columns: Columns) -> Mapping[str, Any]:
    """The answer of the runtime's command `check-rowwise`.

    Raises:
        NotChecked: it is not installed, or fails.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise NotChecked(
            f"that needs the package '{missing[0]}', which is not installed; install the extra 'features', "
            "in a checkout of Flywheel with: pip install '.[features]'"
        )
    question = {
        "columns": columns.types,
        "isWhole": columns.gap is None,
        "target": columns.target,
        "rowwise": dict(rowwise),
    }
    # -P, since modules in the current folder are not ours.
    words = [sys.executable, "-P", "-m", "flywheel_runtime", "check-rowwise"]
    try:
        done = subprocess.run(
            words,
            input=json.dumps(question),
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        if done.returncode == 0:
            answer: Mapping[str, Any] = json.loads(done.stdout)
            return answer
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotChecked(f"the runtime gave no answer ({error})") from error
    raise NotChecked(f"the runtime failed ({(done.stderr.strip().splitlines() or ['no message'])[-1]})")


def _environment() -> dict[str, str]:
    """The environment, in which Python finds the runtime where this process does."""
    found = find_spec("flywheel_runtime")
    folder = str(Path(found.origin).parents[1]) if found and found.origin else ""
    path = [each for each in (folder, os.environ.get("PYTHONPATH")) if each]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _describe(training: Training, columns: Columns, answer: Mapping[str, Any]) -> Iterator[DryRunResult]:
    refused, unknown = answer["refused"], answer["unknown"]
    if refused:
        sentences = "; ".join(f"'{name}': {reason}" for name, reason in refused.items())
        yield DryRunResult(
            training.subject, f"{sentences}. docs/feature-functions.md lists what can be computed", tested=0
        )
    for name, column in unknown.items():
        note = f"'{name}' {NOT_CHECKED} it reads '{column}', {columns.gap}"
        yield DryRunResult(training.subject, note=note, tested=0)
    compiled = len(training.rowwise) - len(refused) - len(unknown)
    if compiled and not refused:
        count = "1 expression compiles" if compiled == 1 else f"{compiled} expressions compile"
        yield DryRunResult(training.subject, note=f"{count} into ONNX, bound by DuckDB {answer['duckdb']}", tested=0)
