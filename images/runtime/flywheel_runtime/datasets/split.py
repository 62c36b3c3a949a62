"""Divide the rows: table `splits` (row, split), the same for the same rows whatever their order or the machine."""

from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.anomalies import Anomaly
from flywheel_runtime.datasets.schema import Schema
from flywheel_runtime.datasets.sql import quote_column, quote_literal

SPLITS = ("train", "validation", "test")
# More copies of one row than this, and than this part of the smaller split, are a kind of thing: divided, each split has some.
MAX_COPIES, MAX_COPIES_FRACTION = 5, 0.05
MIN_REPORTED_COPIES_FRACTION = 0.01
MAX_MISSED_SHARE = 0.03
MIN_SHARE_ROWS = 100  # of fewer rows shares are coarse in any case


def row_text(columns: list[str]) -> str:
    """SQL for a row's content as text: values in the order of `columns`, missing ones distinct from empty ones."""
    return (
        "concat_ws(chr(31), " + ", ".join(f"coalesce({quote_column(name)}::VARCHAR, chr(0))" for name in columns) + ")"
    )


@dataclass(frozen=True)
class Rows:
    """Rows of one or more splits: `x` is (rows, features), `y` (rows,) holds class numbers or values, `groups` (rows,)."""

    x: NDArray[np.float32]
    y: NDArray[Any]
    groups: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Division:
    """The rows of each split, warnings about what could not be divided as asked, and whether copies of one row are in several splits."""

    rows: dict[str, int]
    anomalies: list[Anomaly]
    divides_copies: bool


def assign_splits(connection: duckdb.DuckDBPyConnection, schema: Schema, *, may_divide_copies: bool = True) -> Division:
    """Create `splits` for the rows that have a target.

    `may_divide_copies` is false for a version of an earlier release, which kept all copies of one row together.

    Raises:
        Failure: SplitEmpty with what keeps the rows together.
    """
    rules = {"Random": _by_hash, "Time": _by_time, "Group": _by_group}
    has_target = f"{quote_column(schema.target)} IS NOT NULL" if schema.target else "true"
    groups = _find_row_groups(connection, schema, has_target)
    groups = replace(groups, is_divided=groups.is_divided and may_divide_copies)
    connection.execute(f"CREATE TABLE splits AS {rules[schema.split.by](schema, has_target, groups)}")
    rows = count_splits(connection)
    wanted = {"train": 1.0, "validation": schema.split.validation, "test": schema.split.test}
    empty = next((name for name in SPLITS if wanted[name] > 0 and rows[name] == 0), None)
    if empty is not None:
        cause = groups.describe() if groups.largest > 1 else ""
        cure = "change spec.split" if cause and not groups.is_divided else "bring more rows or change spec.split"
        message = (
            f"The {empty} split would have no row ({sum(rows.values()):,} rows by {schema.split.by}); {cause}{cure}."
        )
        raise Failure("SplitEmpty", message)
    return Division(rows, _find_anomalies(schema, rows, groups), groups.is_divided)


@dataclass(frozen=True)
class RowGroups:
    """Rows that belong together: `rows` in groups of more than one row, the largest group, and the rows without a group.

    `is_divided`: these are copies of rows without a key, so many of one kind that they count as rows of their own.
    """

    what: str
    rows: int = 0
    largest: int = 0
    without: int = 0
    is_divided: bool = False

    def describe(self) -> str:
        """The largest group, as the first half of a sentence."""
        if not self.largest:
            return ""
        missing = f", and the {self.without:,} rows without a value are one group" if self.without else ""
        return f"rows of one {self.what} stay together, the largest has {self.largest:,} rows{missing}: "


def _find_row_groups(connection: duckdb.DuckDBPyConnection, schema: Schema, has_target: str) -> RowGroups:
    split = schema.split
    if split.by == "Group":
        group = quote_column(split.group or "")
        sizes = f"SELECT {group} AS value, count(*) AS size FROM data WHERE {has_target} GROUP BY value"
        found = connection.execute(
            f"SELECT coalesce(sum(size) FILTER (size > 1), 0), max(size), coalesce(max(size) FILTER (value IS NULL), 0) FROM ({sizes})"
        ).fetchone()
        rows, largest, without = found or (0, 0, 0)
        return RowGroups(f"'{split.group}'", int(rows), int(largest or 0), int(without))
    if split.by == "Time" or schema.keys:
        what = f"'{schema.event_time}'" if split.by == "Time" else "key"
        values = [schema.event_time or ""] if split.by == "Time" else list(schema.keys)
        listed = ", ".join(quote_column(name) for name in values)
        sizes = f"SELECT count(*) AS size FROM data WHERE {has_target} GROUP BY {listed}"
        found = connection.execute(
            f"SELECT coalesce(sum(size) FILTER (size > 1), 0), max(size) FROM ({sizes})"
        ).fetchone()
        rows, largest = found or (0, 0)
        return RowGroups(what, int(rows), int(largest or 0))
    return _find_copies(connection, schema, has_target)


def _find_copies(connection: duckdb.DuckDBPyConnection, schema: Schema, has_target: str) -> RowGroups:
    """Equal rows of a table without a key: a few are one thing twice, many are things of one kind, which each split must have."""
    split = schema.split
    stratum = quote_column(split.stratify) if split.stratify else "0"
    columns = sorted(column.name for column in schema.columns)
    shares = [share for share in (split.validation, split.test) if share]
    found = connection.execute(
        f"""
        WITH sizes AS (SELECT {stratum} AS stratum, count(*) AS size FROM data WHERE {has_target}
                       GROUP BY stratum, {_hash(schema, columns)}),
        strata AS (SELECT size, sum(size) OVER (PARTITION BY stratum) AS rows FROM sizes)
        SELECT coalesce(sum(size) FILTER (size > 1), 0), max(size),
               coalesce(bool_or(size > greatest({MAX_COPIES}, rows * {min(shares, default=0) * MAX_COPIES_FRACTION})), false)
        FROM strata"""
    ).fetchone()
    rows, largest, is_divided = found or (0, 0, False)
    return RowGroups("content", int(rows), int(largest or 0), is_divided=bool(is_divided and shares))


def _find_anomalies(schema: Schema, rows: dict[str, int], groups: RowGroups) -> list[Anomaly]:
    total, split = sum(rows.values()), schema.split
    found = []
    if groups.without:
        message = (
            f"{groups.without:,} rows have no {groups.what}: they are one group of {groups.without:,} rows, which stays together; "
            f"fill it in, or leave these rows out."
        )
        found.append(Anomaly("GroupMissing", "Warning", split.group, message, groups.without))
    if groups.what == "content" and groups.rows > total * MIN_REPORTED_COPIES_FRACTION:
        fate = "are divided like all others" if groups.is_divided else "stay in one split"
        message = f"{groups.rows:,} of {total:,} rows are equal to another row, up to {groups.largest:,} to one; without spec.keys they {fate}."
        found.append(Anomaly("RepeatedRows", "Warning", None, message, groups.rows))
    missed = max(
        abs(rows[name] / total - share) for name, share in (("validation", split.validation), ("test", split.test))
    )
    if missed > MAX_MISSED_SHARE and total >= MIN_SHARE_ROWS:
        reached = ", ".join(f"{name} {rows[name] / total:.1%}" for name in SPLITS)
        message = (
            f"The splits have other shares than spec.split asks for ({reached}); "
            f"{groups.describe() or 'there are few rows: '}use more rows or another spec.split."
        )
        found.append(Anomaly("SplitShares", "Warning", split.group, message, total))
    return found


def count_splits(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The rows of each split in the table `splits`."""
    counted = dict(connection.execute("SELECT split, count(*) FROM splits GROUP BY split").fetchall())
    return {name: int(counted.get(name, 0)) for name in SPLITS}


def _hash(schema: Schema, columns: list[str]) -> str:
    return f"md5({quote_literal(str(schema.split.seed))} || chr(31) || {row_text(columns)})"


def _by_hash(schema: Schema, has_target: str, groups: RowGroups) -> str:
    """Rows in the order of their hash fill test, then validation; equal rows go together, where their middle falls.

    Where copies are divided, the first, second, … of equal rows have hashes of their own: the same whatever their order.
    """
    split = schema.split
    columns = list(schema.keys) or sorted(column.name for column in schema.columns)
    stratum = quote_column(split.stratify) if split.stratify else "0"
    number = "row_number() OVER (PARTITION BY hash ORDER BY row)"
    hash_ = f"md5(hash || chr(31) || {number})" if groups.is_divided else "hash"
    return f"""
        WITH content AS (SELECT rowid AS row, {stratum} AS stratum, {_hash(schema, columns)} AS hash
                         FROM data WHERE {has_target}),
        hashed AS (SELECT row, stratum, {hash_} AS hash FROM content),
        ranked AS (SELECT row, count(*) OVER (PARTITION BY stratum) AS size,
                          rank() OVER (PARTITION BY stratum ORDER BY hash) - 1
                          + count(*) OVER (PARTITION BY stratum, hash) / 2 AS middle FROM hashed)
        SELECT row, CASE WHEN middle < size * {split.test} THEN 'test'
                         WHEN middle < size * {split.test + split.validation} THEN 'validation'
                         ELSE 'train' END AS split
        FROM ranked"""


def _by_time(schema: Schema, has_target: str, groups: RowGroups) -> str:
    """The newest rows test, those before them validate. A boundary is a time, so equal times stay together."""
    split, time = schema.split, quote_column(schema.event_time or "")
    return f"""
        WITH ranked AS (SELECT rowid AS row, rank() OVER (ORDER BY {time} NULLS FIRST) - 1 AS place,
                               count(*) OVER () AS size FROM data WHERE {has_target})
        SELECT row, CASE WHEN place >= round(size * (1 - {split.test})) AND {split.test} > 0 THEN 'test'
                         WHEN place >= round(size * (1 - {split.test} - {split.validation}))
                              AND {split.validation} > 0 THEN 'validation'
                         ELSE 'train' END AS split
        FROM ranked"""


def _by_group(schema: Schema, has_target: str, groups: RowGroups) -> str:
    """Groups in the order of their hash fill test, then validation; a group goes where its middle row falls."""
    split, group = schema.split, schema.split.group or ""
    return f"""
        WITH groups AS (SELECT {quote_column(group)} AS value, {_hash(schema, [group])} AS hash, count(*) AS size
                        FROM data WHERE {has_target} GROUP BY value),
        placed AS (SELECT value, (sum(size) OVER (ORDER BY hash) - size / 2) / sum(size) OVER () AS middle FROM groups)
        SELECT data.rowid AS row, CASE WHEN middle < {split.test} THEN 'test'
                                       WHEN middle < {split.test} + {split.validation} THEN 'validation'
                                       ELSE 'train' END AS split
        FROM data JOIN placed ON data.{quote_column(group)} IS NOT DISTINCT FROM placed.value WHERE {has_target}"""
