"""Logged rows as both models take them, read from the files of the prediction log (images/README.md, "Logged predictions").

A file of an earlier build has fewer columns: without an id each row is a request, and without a digest the version's name counts.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np

from flywheel_runtime.commands.gates.traffic.file_schema import FileSchema, group_by_schema, list_files, rows_of_files
from flywheel_runtime.commands.gates.traffic.logged_values import read_values
from flywheel_runtime.datasets.sql import is_resource_error, quote_literal
from flywheel_runtime.models.golden_rows import Tensors
from flywheel_runtime.monitoring.labels.label_matching import MICROSECONDS
from flywheel_runtime.statistics.metrics import Array

BATCH_ROWS = 50_000
NO_GROUP = np.empty(0, object)
HASH_RANGE = 2.0**64


@dataclass(frozen=True)
class LoggedColumns:
    """What is read of each row: `features` as inputs, `outputs` of the champion (of a list so many values), and the column of groups."""

    features: tuple[str, ...]
    outputs: Mapping[str, int]
    by: str | None = None


class LoggedRow(NamedTuple):
    """What tells a row from others: its time in microseconds since 1970, the number of its request, and its own in the request."""

    time: int
    request: int
    row: int


@dataclass(frozen=True)
class RowBatch:
    """Some rows. `features` (rows, …) are by name; those that a file does not have are absent, as are `outputs` that are null in a row.

    `requests` (rows,) numbers the requests, and `is_champion` (rows,) says which rows the champion answered, with all of its outputs.
    `further` are the columns of the table that was joined.
    """

    rows: Array
    times: Array
    requests: Array
    is_champion: Array
    groups: Array
    features: Tensors
    outputs: Tensors
    further: Tensors = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def identify(self, row: int) -> LoggedRow:
        """One of the rows, by its number."""
        return LoggedRow(int(self.times[row]), int(self.requests[row]), int(self.rows[row]))

    def take_features(self, rows: Array) -> Tensors:
        """The features of some rows, by their numbers."""
        return {name: each[rows] for name, each in self.features.items()}

    def take(self, rows: Array) -> "RowBatch":
        """Some of the rows, by their numbers."""
        return RowBatch(
            rows=self.rows[rows],
            times=self.times[rows],
            requests=self.requests[rows],
            is_champion=self.is_champion[rows],
            groups=self.groups[rows] if len(self.groups) else self.groups,
            features=self.take_features(rows),
            outputs={name: each[rows] for name, each in self.outputs.items()},
            further={name: each[rows] for name, each in self.further.items()},
        )


@dataclass(frozen=True)
class Champion:
    """The version whose logged answers count."""

    version: str
    digest: str


@dataclass(frozen=True)
class _Selected:
    """A value of a row: a feature, an output, or one part of an output that is a list."""

    side: str
    name: str
    part: int | None = None

    @property
    def expression(self) -> str:
        """SQL for it."""
        value = f"logged.{self.side}[{quote_literal(self.name)}]"
        return value if self.part is None else f"{value}[{self.part + 1}]"


class RequestLog:
    """The rows of these files from `start` until before `until`, seconds since 1970. Files that cannot be read are left out, and counted.

    `files` have the names of the inputs and outputs that the log hashes, rounds or drops: these are as if the file did not have them.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: Mapping[Path, Collection[str]],
        start: float,
        until: float,
    ) -> None:
        self._connection = connection
        self._window = (int(start * MICROSECONDS), int(until * MICROSECONDS))
        self.unreadable: list[str] = []
        self._schemas: list[tuple[FileSchema, list[Path]]] = []
        for alike, protected in group_by_schema(connection, files):
            self._add(alike, protected)
        self._rows = rows_of_files(connection, [file for _, some in self._schemas for file in some])

    def _add(self, files: list[Path], protected: Collection[str]) -> None:
        for place, file in enumerate(files):
            try:
                schema = FileSchema.read(self._connection, file, protected)
            except duckdb.Error as error:
                self._leave_out(file, error)
            else:
                self._schemas.append((schema, files[place:]))
                return

    def _leave_out(self, file: Path, error: duckdb.Error) -> None:
        if is_resource_error(error):
            raise error
        self.unreadable.append(f"{file.name}: {' '.join(str(error).split())[:200]}")

    @property
    def feature_names(self) -> set[str]:
        """All columns of features that any file has."""
        return {name for schema, _ in self._schemas for name in schema.features}

    def count_files_rows(self) -> int:
        """The number of rows in the files, also beside the window. `count` reads them."""
        return sum(self._rows.values())

    def count(self) -> int:
        """The number of rows in the window."""
        return sum(
            int(found["rows"][0])
            for schema, files in self._schemas
            if "time" in schema.columns
            for found in self._query("SELECT count(*) AS rows", files)
        )

    def batches(
        self,
        columns: LoggedColumns,
        champion: Champion,
        share: float = 1.0,
        joined: str = "",
        further: Sequence[str] = (),
    ) -> Iterator[RowBatch]:
        """All rows, or a `share` of the requests, the same each time.

        `joined` is SQL after FROM with {id} and {row}, which selects rows and adds `further` columns.
        """
        for schema, files in self._schemas:
            if not {"time", "version", "features"} <= schema.columns:
                self.unreadable += [f"{each.name}: it has no columns time, version and features" for each in files]
                continue
            select, selected = _select(schema, columns, champion, share, further)
            for some in self._group(files):
                for found in self._query(select, some, _join(schema, joined), _drawn(schema, share)):
                    if len(found["time"]):
                        yield _batch(found, selected, further, columns.by)

    def find_ids(self, rows: Collection[LoggedRow]) -> dict[LoggedRow, str]:
        """The prediction ids of some rows, where the log has them: text is read for these alone, since that of all rows is a large part of a replay."""
        times = ", ".join(f"make_timestamptz({each.time})" for each in rows)
        found: dict[LoggedRow, str] = {}
        for schema, files in self._schemas:
            if not rows or "id" not in schema.columns:
                continue
            select = f'SELECT epoch_us(logged.time) AS time, hash({_request(schema)}) AS request, {_row(schema)} AS "row", logged.id AS id'
            for part in self._query(select, files, where=f" AND logged.time IN ({times}) AND logged.id IS NOT NULL"):
                keys = zip(*(part[name].tolist() for name in ("time", "request", "row")), strict=True)
                found |= {LoggedRow(*key): str(id_) for key, id_ in zip(keys, part["id"].tolist(), strict=True)}
        return found

    def _group(self, files: Sequence[Path]) -> Iterator[list[Path]]:
        """The files in groups of about BATCH_ROWS rows."""
        group: list[Path] = []
        size = 0
        for file in files:
            if group and size + self._rows[file] > BATCH_ROWS:
                yield group
                group, size = [], 0
            group.append(file)
            size += self._rows[file]
        yield group

    def _query(self, select: str, files: Sequence[Path], joined: str = "", where: str = "") -> Iterator[dict[str, Any]]:
        """The arrays of all files at once; where that fails those of each file, without those that cannot be read."""
        low, high = self._window
        within = f"WHERE logged.time >= make_timestamptz({low}) AND logged.time < make_timestamptz({high}){where}"
        source = f"FROM read_parquet({list_files(files)}, hive_partitioning = false) AS logged {joined} {within}"
        try:
            yield self._connection.execute(f"{select} {source}").fetchnumpy()
        except duckdb.Error as error:
            if len(files) == 1:
                self._leave_out(files[0], error)
                return
            for file in files:
                yield from self._query(select, [file], joined, where)


def _request(schema: FileSchema) -> str:
    """SQL for what tells requests apart."""
    return "coalesce(logged.id, logged.time::VARCHAR)" if "id" in schema.columns else "logged.time::VARCHAR"


def _join(schema: FileSchema, joined: str) -> str:
    """The SQL of a join, with the columns of these files that tell rows apart in place of {id} and {row}."""
    return joined.format(id="logged.id" if "id" in schema.columns else "NULL::VARCHAR", row=_row(schema))


def _row(schema: FileSchema) -> str:
    """SQL for the number of a row in its request."""
    return 'logged."row"' if "row" in schema.columns else "0"


def _drawn(schema: FileSchema, share: float) -> str:
    # Not the SHA-256 by which the log's own sample was drawn: that would draw none of some, and all of others.
    return "" if share >= 1 else f" AND md5_number_lower({_request(schema)}) < {share * HASH_RANGE:.0f}::UHUGEINT"


def _select(
    schema: FileSchema, columns: LoggedColumns, champion: Champion, share: float, further: Sequence[str]
) -> tuple[str, list[_Selected]]:
    """The SELECT, and what its columns `f0`, `f1`, … are."""
    found = [_Selected("features", name) for name in columns.features if name in schema.features]
    for name, width in columns.outputs.items():
        if name in schema.outputs:
            parts = range(width) if schema.outputs[name] == "list" else (None,)
            found += [_Selected("outputs", name, part) for part in parts]
    has_group = columns.by is not None and columns.by in schema.features and columns.by not in columns.features
    selected = [
        f'{_row(schema)} AS "row"',
        "epoch_us(logged.time) AS time",
        f"hash({_request(schema)}) AS request",
        f"{_is_answered_by(champion, schema, columns)} AS is_champion",
        *([f"logged.features[{quote_literal(str(columns.by))}] AS by_group"] if has_group else []),
        *further,
        *(f"{each.expression} AS f{number}" for number, each in enumerate(found)),
    ]
    return f"SELECT {', '.join(selected)}", found


def _is_answered_by(champion: Champion, schema: FileSchema, columns: LoggedColumns) -> str:
    """SQL for whether the champion answered the row itself, with each of the outputs."""
    conditions = [f"logged.version = {quote_literal(champion.version)}"]
    if "digest" in schema.columns:
        conditions.append(f"coalesce(logged.digest, '') IN ('', {quote_literal(champion.digest)})")
    if "route" in schema.columns:
        conditions.append("coalesce(logged.route, '') <> 'Forwarded'")
    for name in columns.outputs:
        output = f"logged.outputs[{quote_literal(name)}]" if name in schema.outputs else "NULL"
        conditions.append(f"{output} IS NOT NULL")
    return f"coalesce({' AND '.join(conditions)}, false)"


def _batch(found: Mapping[str, Any], selected: Sequence[_Selected], further: Sequence[str], by: str | None) -> RowBatch:
    features: Tensors = {}
    outputs: dict[str, list[Array]] = {}
    for number, each in enumerate(selected):
        values = read_values(found[f"f{number}"])
        if each.side == "features":
            features[each.name] = values
        else:
            outputs.setdefault(each.name, []).append(values)
    has_lists = {each.name: each.part is not None for each in selected}
    return RowBatch(
        rows=np.asarray(found["row"]),
        times=np.asarray(found["time"]),
        requests=np.asarray(found["request"]),
        is_champion=np.asarray(found["is_champion"], bool),
        groups=read_values(found["by_group"]) if "by_group" in found else features.get(by or "", NO_GROUP),
        features=features,
        outputs={name: np.stack(each, axis=1) if has_lists[name] else each[0] for name, each in outputs.items()},
        further={name: found[name] for name in further},
    )
