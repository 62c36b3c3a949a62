"""The test rows of one data set in the form of another: the same rows by the Dataset's keys, each prepared in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np

from flywheel_runtime.contract.errors import Unmeasurable
from flywheel_runtime.datasets.preparation.repeated import Repeated
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import prefix_columns, quote_column, quote_identifier, quote_literal
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.models.test_set import Array, TestSet

MIN_COMMON_ROWS = 30
MIN_COMMON_FRACTION = 0.5  # of the rows that either preparation keeps: the rest may be other rows than those
NUMBER_TOLERANCE = 1e-9  # of a target that both preparations compute
TEST_ROW, TEST_TARGET = '"#row"', '"#target"'  # beside columns of the user's, which begin with another character


class OtherRowsOrTarget(Unmeasurable):
    """Both versions learnt from other rows or another target, so that no form of the rows makes their scores comparable."""


@dataclass(frozen=True)
class MatchedRows:
    """`test`: the rows in the other form, with the target of the test set; `numbers` (rows,): which test rows they are.

    `left_out`: how many test rows only one of both forms has.
    """

    test: TestSet
    numbers: Array
    left_out: int


def match_rows(test: TestSet, other: Repeated, target: str | None, folder: Path) -> MatchedRows:
    """The rows of `test` as `other` has them, written to `folder`. `target` is that of the model which takes them.

    Raises:
        Unmeasurable: no key tells the rows apart.
        OtherRowsOrTarget: too few rows are in both, or both define the target in another way.
    """
    return _Match(test, other, target, folder).rows()


@dataclass(frozen=True)
class _Match:
    test: TestSet
    other: Repeated
    target: str | None
    folder: Path

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        return self.test.data.connection

    def rows(self) -> MatchedRows:
        self._join()
        self._check_keys()
        numbers = np.asarray(self._fetch(f"SELECT {TEST_ROW} AS n FROM matched ORDER BY n"))
        left_out = len(self.test) - len(numbers) + self._count_dropped()
        if len(numbers) < max(MIN_COMMON_ROWS, (len(numbers) + left_out) * MIN_COMMON_FRACTION):
            raise OtherRowsOrTarget(
                f"only {len(numbers):,} of {len(numbers) + left_out:,} test rows are in both preparations; "
                "let them keep the same test rows, with a condition such as WHERE flywheel_split <> 'train' OR …"
            )
        self._check_target()
        return MatchedRows(self._write(len(numbers)), numbers, left_out)

    @cached_property
    def keys(self) -> list[str]:
        """The Dataset's keys that are in both. Raises Unmeasurable where there are none."""
        there = {str(each) for each in self.other.data.schema["keys"]}
        found = [str(each) for each in self.test.data.schema.get("keys") or () if each in there]
        if not found:
            raise Unmeasurable(
                "no key of the Dataset is in both preparations, so that nothing says which rows are the same; "
                "set spec.keys of the Dataset, and select them in the SQL of both"
            )
        return found

    def _join(self) -> None:
        """Table `matched`: the rows of `other` that are test rows, with their number and target there."""
        values = ", ".join(
            [f"{quote_column(str(self.test.data.schema['target']))} AS {TEST_TARGET}", *map(quote_column, self.keys)]
        )
        tested = f"(SELECT row_number() OVER () - 1 AS {TEST_ROW}, {values} FROM {_rows(self.test.data.folder, ['test'])} LIMIT {len(self.test)})"
        same = " AND ".join(f"a.{quote_column(key)}::VARCHAR = b.{quote_column(key)}::VARCHAR" for key in self.keys)
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE matched AS SELECT a.{TEST_ROW}, a.{TEST_TARGET}, b.* "
            f"FROM {tested} a JOIN {_rows(self.other.data.folder, SPLITS)} b ON {same}"
        )

    def _check_keys(self) -> None:
        """A key must be one row on each side: a join may have made several of one."""
        keys = ", ".join(map(quote_column, self.keys))
        rows, tested, keyed = self.connection.execute(
            f"SELECT count(*), count(DISTINCT {TEST_ROW}), count(DISTINCT ({keys})) FROM matched"
        ).fetchall()[0]
        if not rows == tested == keyed:
            listed = ", ".join(f"'{key}'" for key in self.keys)
            raise Unmeasurable(
                f"several test rows have the same value of {listed}, so that it does not say which rows are the same; "
                "select every column of spec.keys, and leave one row of each"
            )

    def _count_dropped(self) -> int:
        """How many raw test rows the test set does not have in any split: its own preparation drops them."""
        if not set(self.keys) <= set(self.other.raw.columns):
            return 0
        same = " AND ".join(f"a.{quote_column(key)}::VARCHAR = b.{quote_column(key)}::VARCHAR" for key in self.keys)
        kept = _rows(self.test.data.folder, SPLITS)
        dropped = self._fetch(
            f"SELECT count(*) AS n FROM {_rows(self.other.raw.folder, ['test'])} a WHERE NOT EXISTS (SELECT 1 FROM {kept} b WHERE {same})"
        )
        every = int(self.test.data.schema["rows"]["test"])
        return round(int(dropped[0]) * len(self.test) / every)  # a test set may be the first rows alone

    def _check_target(self) -> None:
        own = next((name for name in (self.target, self.test.data.target) if name in self.other.data.columns), None)
        if own is None:
            raise OtherRowsOrTarget(
                f"its preparation leaves no column '{self.target or self.test.data.target}', the target"
            )
        first, second = TEST_TARGET, quote_column(own)
        differs = f"{first}::VARCHAR IS DISTINCT FROM {second}::VARCHAR"
        if self.test.task == "Regression":
            size = f"greatest(1, abs({first}::DOUBLE))"
            differs = (
                f"coalesce(abs({first}::DOUBLE - TRY_CAST({second} AS DOUBLE)) > {NUMBER_TOLERANCE} * {size}, true)"
            )
        different, rows = (
            int(each[0])
            for each in (
                self._fetch(f"SELECT count(*) AS n FROM matched WHERE {differs}"),
                self._fetch("SELECT count(*) AS n FROM matched"),
            )
        )
        if different:
            raise OtherRowsOrTarget(
                f"both preparations define the target in another way: '{own}' differs on {different:,} of {rows:,} test rows; "
                "a gain between two targets says nothing, so pin the version by spec.champion once, or prepare the target alike"
            )

    def _write(self, rows: int) -> TestSet:
        """The matched rows as test split of a data set with the test set's target."""
        target, data = self.test.data.target, self.test.data
        columns = [each for each in self.other.data.schema["columns"] if each["name"] != target]
        kind = self.test.types[target]
        values = [f"{quote_column(each['name'])} AS {quote_identifier(each['name'])}" for each in columns]
        values.append(f"{TEST_TARGET}::{SQL_TYPE[kind]} AS {quote_identifier(target)}")
        file = quote_literal(str(self.folder / "test.parquet"))
        self.connection.execute(
            f"COPY (SELECT {', '.join(values)} FROM matched ORDER BY {TEST_ROW}) TO {file} (FORMAT parquet)"
        )
        split = {**self.other.data.schema["split"], "by": "Random", "group": None}
        schema = {
            **data.schema,
            "columns": [*columns, {"name": target, "type": kind}],
            "rows": {"test": rows},
            "split": split,
        }
        return TestSet(replace(data, folder=self.folder, schema=schema))

    def _fetch(self, query: str) -> Array:
        found: Array = np.asarray(self.connection.execute(query).fetchnumpy()["n"])
        return found


def _rows(folder: Path, splits: Sequence[str]) -> str:
    """SQL for the rows of splits, by the names of `quote_column`."""
    files = ", ".join(quote_literal(str(folder / f"{name}.parquet")) for name in splits)
    return prefix_columns(f"read_parquet([{files}])")
