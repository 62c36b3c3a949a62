"""Trials as the reader has them: searched, listed, and each with its log, curves and files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flywheel.client.display import DisplayFields, DisplayTable, import_pandas
from flywheel.client.errors import FlywheelError
from flywheel.client.transport.reader import Query, Reader, file_path, path_of

if TYPE_CHECKING:
    import pandas as pd

# EXPERIMENT/NUMBER, and -rN for a repeat of the trial with another seed.
SHORT_REFERENCE = re.compile(r"([a-z0-9][a-z0-9.-]{0,252})/([0-9]{1,9})(?:-r([0-9]{1,3}))?")
STEP_REFERENCE = re.compile(r"([a-z0-9][a-z0-9.-]{0,252})/([a-z][a-z0-9-]{0,62})")  # RUN/STEP
# Of a record, by the column's name, which is what a filter calls it where it has a name there.
COLUMNS = {
    "id": ("id",),
    "experiment": ("name",),
    "trial": ("trial",),
    "repeat": ("repeat",),
    "step": ("step",),
    "pipeline": ("pipeline",),
    "run": ("run",),
    "state": ("state",),
    "reason": ("reason",),
    "exit_code": ("exitCode",),
    "estimator": ("estimator",),
    "dataset": ("dataset",),
    "dataset_version": ("datasetVersion",),
    "dataset_digest": ("datasetDigest",),
    "revision": ("code", "revision"),
    "repository": ("code", "repository"),
    "image": ("image",),
    "seed": ("seed",),
    "node": ("node",),
    "cpu_seconds": ("usage", "cpuSeconds"),
    "memory_peak_bytes": ("usage", "memoryPeakBytes"),
    "start_time": ("startedAt",),
    "end_time": ("finishedAt",),
    "model_digest": ("outputs", "model", "digest"),
}
TIMES = ("start_time", "end_time")
GROUPS = {"params": ("parameters", "loggedParameters"), "metrics": ("metrics",), "tags": ("tags",)}


@dataclass(frozen=True)
class Trial(DisplayFields):
    """One recorded trial. `record` is all that the reader has of it."""

    record: Mapping[str, Any]
    reader: Reader
    namespace: str

    @property
    def id(self) -> str:
        """The id, which is unique for ever."""
        return str(self.record["id"])

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that it was given, and those that its code logged."""
        return {**(self.record.get("loggedParameters") or {}), **(self.record.get("parameters") or {})}

    @property
    def metrics(self) -> dict[str, float]:
        """Its metrics."""
        return {name: parse_number(value) for name, value in (self.record.get("metrics") or {}).items()}

    @property
    def state(self) -> str:
        """Succeeded, Failed or Pruned."""
        return str(self.record.get("state"))

    @property
    def owner(self) -> tuple[tuple[str, str], ...]:
        """The query that names its Experiment or TrainingRun, for a user who may get it alone."""
        return (("experiment" if is_trial(self.record) else "run", str(self.record.get("name"))),)

    def log(self, tail_bytes: int | None = None) -> str:
        """Returns what its main container wrote, at most the last 10 MiB, or the last `tail_bytes`."""
        query = [] if tail_bytes is None else [("tailBytes", str(tail_bytes))]
        return self.reader.get_bytes(self._path("log"), [*self.owner, *query]).decode(errors="replace")

    def curves(self, *metrics: str, max_points: int = 1000) -> "pd.DataFrame":
        """Returns the curves as rows of metric, step, value and time. Longer curves are down-sampled; `attrs["downsampled"]` says how."""
        pandas = import_pandas("a DataFrame of curves")
        query = [*self.owner, *(("metric", each) for each in metrics), ("maxPoints", str(max_points))]
        found = self.reader.get_json(self._path("curves"), query)
        rows = [
            {"metric": metric, "step": step, "value": parse_number(value), "time": parse_time(moment)}
            for metric, points in (found.get("curves") or {}).items()
            for step, value, moment in points
        ]
        table = pandas.DataFrame(rows, columns=["metric", "step", "value", "time"])
        table.attrs["downsampled"] = found.get("downsampled") or {}
        return table

    def files(self) -> list[Mapping[str, Any]]:
        """Returns path, size and sha256 of each tracked file."""
        return list(self.reader.get_json(self._path(), self.owner).get("files") or [])

    def file_path(self, path: str) -> str:
        """Returns the reader's path of a tracked file."""
        return file_path(self.namespace, "trials", self.id, "files", file=path)

    def _path(self, *more: str) -> str:
        return path_of(self.namespace, "trials", self.id, *more)

    def _display_fields(self) -> Mapping[str, Any]:
        return {name: value for name, value in flatten(self.record).items() if value is not None}

    def __repr__(self) -> str:
        return f"<Trial {short_reference(self.record)}: {self.state}>"


class Trials(DisplayTable):
    """Trials in the order of the search. Each row has the columns of `flatten`; `trial(i)` is the i-th with its log, curves and files."""

    def __init__(self, records: Sequence[Mapping[str, Any]], reader: Reader, namespace: str, caption: str = "") -> None:
        rows = [flatten(record) for record in records]
        super().__init__(rows, order_columns(rows), caption)
        self.records = list(records)
        self._reader = reader
        self._namespace = namespace

    def trial(self, index: int) -> Trial:
        """Returns the trial of a row."""
        return Trial(self.records[index], self._reader, self._namespace)


def list_trials(
    reader: Reader,
    namespace: str,
    *,
    filter: str | None = None,
    order_by: str | Sequence[str] | None = None,
    experiment: str | None = None,
    pipeline: str | None = None,
    run: str | None = None,
    limit: int | None = None,
) -> Iterator[Mapping[str, Any]]:
    """Yields records of trials, page by page. Missing and NaN values sort last in both directions."""
    ordering = order_by if order_by is None or isinstance(order_by, str) else ", ".join(order_by)
    given = {"filter": filter, "orderBy": ordering, "experiment": experiment, "pipeline": pipeline, "run": run}
    query: Query = [(name, value) for name, value in given.items() if value]
    return reader.list_items(path_of(namespace, "trials"), query, limit)


def find_trial(reader: Reader, namespace: str, reference: str) -> Trial:
    """Returns a trial by its id, by EXPERIMENT/NUMBER (-rN for a repeat), or a step of a TrainingRun by RUN/STEP: the newest one.

    Raises:
        FlywheelError: there is none, or the reader refuses.
    """
    experiment = run = None
    if parts := SHORT_REFERENCE.fullmatch(reference):
        experiment = parts[1]
        match = f"attributes.trial = {parts[2]}" + (f" and attributes.repeat = {parts[3]}" if parts[3] else "")
    elif parts := STEP_REFERENCE.fullmatch(reference):
        run = parts[1]
        match = f"attributes.step = '{parts[2]}'"
    else:
        return Trial(reader.get_json(path_of(namespace, "trials", reference)), reader, namespace)
    order = "attributes.repeat, attributes.start_time DESC"
    found = list_trials(reader, namespace, experiment=experiment, run=run, filter=match, order_by=order, limit=1)
    record = next(iter(found), None)
    if record is None:
        raise FlywheelError(
            f"no trial '{reference}' is recorded in namespace '{namespace}'; 'flywheel trials' lists what is",
            reason="NotFound",
            status=404,
        )
    return Trial(record, reader, namespace)


def short_reference(record: Mapping[str, Any]) -> str:
    """Returns what `find_trial` takes: EXPERIMENT/NUMBER, with -rN for a repeat, or RUN/STEP, else the id."""
    name, number, repeat = record.get("name"), record.get("trial"), record.get("repeat")
    if is_trial(record) and name and number is not None:
        return f"{name}/{number}" if repeat in (None, 1) else f"{name}/{number}-r{repeat}"
    if not is_trial(record) and record.get("item") is None:
        return f"{name}/{record.get('step')}"
    return str(record.get("id"))


def is_trial(record: Mapping[str, Any]) -> bool:
    """Returns whether a record is of an Experiment's trial, and not of a step of a TrainingRun."""
    return bool(record.get("kind", "Experiment") == "Experiment")


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a record as one row: the keys of COLUMNS, then `params.<name>`, `metrics.<name>` and `tags.<name>`."""
    row = {column: _get(record, path) for column, path in COLUMNS.items()}
    if not is_trial(record):
        row |= {"experiment": None, "run": row["run"] or row["experiment"]}
    for name in TIMES:
        row[name] = parse_time(row[name])
    for group, fields in GROUPS.items():
        for field in reversed(fields):  # a given parameter counts, where code logged the same
            for name, value in (record.get(field) or {}).items():
                row[f"{group}.{name}"] = parse_number(value) if group == "metrics" else value
    return row


def order_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the columns of all rows: those of COLUMNS, then metrics, parameters and tags by name."""
    found = {name for row in rows for name in row} - set(COLUMNS)
    groups = ("metrics.", "params.", "tags.")
    return [*COLUMNS, *(name for group in groups for name in sorted(found) if name.startswith(group))]


def parse_number(value: Any) -> Any:
    """Returns a number; NaN and the infinities, for which JSON has no form, come as texts."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return value


def parse_time(value: Any) -> datetime | None:
    """Returns a time of a record, or None."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _get(record: Any, path: Sequence[str]) -> Any:
    for key in path:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record
