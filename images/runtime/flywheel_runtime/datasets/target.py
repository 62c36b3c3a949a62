"""The target: its task, its classes, and features that give it away."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.anomalies import VALUES, Anomaly, list_names
from flywheel_runtime.datasets.schema import PreviousVersion, Schema
from flywheel_runtime.datasets.sql import count_rows, quote_column
from flywheel_runtime.datasets.types import MAX_LEARNT, TIMESTAMP, timestamp_number

MAX_INTEGER_CLASSES = 20
MAX_EXACT_INTEGER = 2**53  # of a 64-bit float

# A feature leaks if, alone and on rows that it was not fitted to, it removes this share of the errors of the constant
# guess. On the flights the delay in minutes (the label is delay >= 15) removes 1.00; the best honest single feature, the
# departure delay, which is not known beforehand either, removes 0.67, and all that is known before departure below 0.03.
MIN_LEAK_ERROR_REDUCTION = 0.98
MAX_LEAK_ROWS = 100_000
LEAK_BINS = 1000
MIN_LEAK_ROWS = 20
# An identifier is in no order with the target unless the table was sorted by it; then only the rows between two classes err.
MIN_IDENTIFIER_ERROR_REDUCTION = 0.9
MIN_ORDERED_ROWS = 20  # of a category, for its own mean target to say something
MAX_IDENTIFIER_SPREAD = 4  # numbers from the least to the greatest identifier, for each row


@dataclass(frozen=True)
class Target:
    """The target's task, its classes in order with their rows, and the rows that have no target."""

    name: str
    task: Literal["Classification", "Regression"]
    classes: tuple[Any, ...]
    counts: tuple[int, ...]
    missing: int


def is_whole_target(connection: duckdb.DuckDBPyConnection, number: str) -> bool:
    """Whether `number`, SQL over the table `raw`, has at most 20 values, all of them whole: classes, whatever type they were written in."""
    values = connection.execute(
        f"SELECT DISTINCT number FROM (SELECT {number} AS number FROM raw) WHERE number IS NOT NULL LIMIT {MAX_INTEGER_CLASSES + 1}"
    ).fetchall()
    is_whole = all(
        math.isfinite(value) and value.is_integer() and abs(value) <= MAX_EXACT_INTEGER for (value,) in values
    )
    return is_whole and 0 < len(values) <= MAX_INTEGER_CLASSES


def describe_target(
    connection: duckdb.DuckDBPyConnection, name: str, kind: str, previous_task: str | None = None
) -> Target:
    """Classification for Boolean, String, and Integer of at most 20 values; Regression for other numbers.

    An Integer keeps its `previous_task`: that of the last good version.

    Raises:
        Failure: TypeMismatch for classes that are now more than 20 whole numbers.
        Failure: TargetAllNull, TargetInvalid, TargetConstant, OneClass.
    """
    column = quote_column(name)
    row = connection.execute(f"SELECT count(*), count({column}), approx_count_distinct({column}) FROM data").fetchone()
    rows, filled, about = row or (0, 0, 0)
    if filled == 0:
        message = f"Target '{name}' is missing in all {rows:,} rows; correct the data or spec.target."
        raise Failure("TargetAllNull", message)
    if kind == TIMESTAMP:
        raise Failure("TargetInvalid", f"Target '{name}' is a time; derive a number or a class from it.")
    few = about <= 2 * MAX_INTEGER_CLASSES
    if kind in ("Boolean", "String") or (kind == "Integer" and few and previous_task != "Regression"):
        groups = connection.execute(
            f"SELECT {column}, count(*) FROM data WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
        ).fetchall()
        if kind != "Integer" or len(groups) <= MAX_INTEGER_CLASSES:
            return _classes(name, groups, rows - filled)
    if kind == "Integer" and previous_task == "Classification":
        message = (
            f"Target '{name}' was one of at most {MAX_INTEGER_CLASSES} classes in the last good version and has more different numbers now; "
            "correct the data, or set its type in spec.columns: String for classes, Float for a number."
        )
        raise Failure("TypeMismatch", message)
    if kind == "Float":
        _check_finite(connection, name)
    spread = connection.execute(f"SELECT min({column}) = max({column}) FROM data").fetchone()
    if spread and spread[0]:
        raise Failure("TargetConstant", f"Target '{name}' has one value in all rows; there is nothing to learn.")
    return Target(name, "Regression", (), (), rows - filled)


def _check_finite(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    large = count_rows(connection, f"data WHERE abs({quote_column(name)}) > {MAX_LEARNT!r}")
    if large:
        message = (
            f"Target '{name}' is infinite or beyond {MAX_LEARNT:g} in {large:,} rows, which no model learns; "
            "correct these rows, leave them out, or divide the target by a constant."
        )
        raise Failure("TargetInvalid", message)


def _classes(name: str, groups: list[tuple[Any, int]], missing: int) -> Target:
    if len(groups) == 1:
        message = (
            f"Target '{name}' has one class only in {groups[0][1]:,} rows; "
            "a model needs at least two: correct the data or spec.target."
        )
        raise Failure("OneClass", message)
    classes, counts = zip(*groups, strict=True)
    return Target(name, "Classification", classes, counts, missing)


def _class_name(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def class_names(target: Target) -> list[str]:
    """The classes as text, in the order of their values; Booleans are false and true."""
    return [_class_name(value) for value in target.classes]


def compare_classes(target: Target, previous: PreviousVersion) -> list[Anomaly]:
    """Warnings about classes that are new since the last version, unless the check of categories reports them, and about those that are gone.

    Both change the probabilities of the next model. Their order is that of the values, so the other classes keep theirs.
    """
    names = class_names(target)
    new = [name for name in names if name not in previous.classes]
    gone = [name for name in previous.classes if name not in names]
    found = []
    if new and not previous.profile.get(target.name, {}).get("allCategories"):
        message = f"Target '{target.name}' has {len(new):,} classes that the last version does not know{VALUES}."
        found.append(Anomaly("NewCategory", "Warning", target.name, message, len(new), values=f": {list_names(new)}"))
    if gone:
        message = (
            f"Target '{target.name}' has no row of {len(gone):,} classes that the last version has{VALUES}; "
            "a model of this data has no probability for them: bring rows of these classes, or expect other outputs."
        )
        found.append(
            Anomaly("MissingClass", "Warning", target.name, message, len(gone), values=f": {list_names(gone)}")
        )
    return found


def find_leaks(connection: duckdb.DuckDBPyConnection, schema: Schema, target: Target) -> list[Anomaly]:
    """Features that alone predict the target nearly perfectly, measured on at most 100,000 rows."""
    stride = max(1, count_rows(connection, "data") // MAX_LEAK_ROWS)
    sample = f"FROM data WHERE rowid % {stride} = 0 AND {quote_column(target.name)} IS NOT NULL ORDER BY rowid"
    number = f"{quote_column(target.name)}::DOUBLE" if target.task == "Regression" else None
    targets = _codes_or_numbers(connection, target.name, sample, number)
    found = []
    for feature in schema.features:
        is_number = feature.type in ("Integer", "Float", TIMESTAMP)
        column = quote_column(feature.name)
        number = (timestamp_number(column) if feature.type == TIMESTAMP else f"{column}::DOUBLE") if is_number else None
        values = _codes_or_numbers(connection, feature.name, sample, number)
        reduction = error_reduction(values, targets, is_number, target.task == "Classification")
        if reduction < MIN_LEAK_ERROR_REDUCTION and feature.type == "Integer" and is_identifier(values, stride):
            found += _identifier_leak(feature.name, values, targets, target)
        if reduction >= MIN_LEAK_ERROR_REDUCTION:
            message = (
                f"Column '{feature.name}' alone predicts target '{target.name}' almost perfectly (it removes {reduction:.1%} "
                "of the errors); it is probably not known at the time of a prediction: leave it out of the features."
            )
            found.append(Anomaly("LabelLeak", "Warning", feature.name, message))
    return found


def order_by_target(codes: NDArray[Any], targets: NDArray[Any], count: int) -> list[int]:
    """The numbers of `count` categories in the order of their mean target; `codes` and `targets` are (rows,).

    Of all ways to divide categories in two, the one with the least squared error is a cut of this order (Fisher, 1958), for which a
    tree needs several splits where codes are in another one. A category of few rows counts with the mean of all, so that its rows do
    not place it, and ties stay as they are. The RMSE of diamonds is 551 and not 556 (measured). Classes gain nothing: the ROC AUC of
    flights in later months is 0.690 and not 0.701.
    """
    rows = np.bincount(codes, minlength=count)
    means = np.divide(np.bincount(codes, weights=targets, minlength=count), np.maximum(rows, 1))
    means[rows < MIN_ORDERED_ROWS] = np.mean(targets) if len(targets) else 0.0
    return [int(code) for code in np.argsort(means, kind="stable")]


def is_identifier(values: NDArray[np.float64], stride: int = 1) -> bool:
    """Whether whole numbers `values` (rows,), of every `stride`-th row, number the rows: each is there once, and few are left out."""
    return bool(
        len(values) >= MIN_LEAK_ROWS
        and np.isfinite(values).all()
        and len(np.unique(values)) == len(values)
        and np.ptp(values) < MAX_IDENTIFIER_SPREAD * len(values) * stride
    )


def _identifier_leak(
    name: str, values: NDArray[np.float64], targets: NDArray[np.float64], target: Target
) -> list[Anomaly]:
    """An identifier leaks if the row with the number before, alone, says what the target is."""
    order = np.argsort(values, kind="stable")
    neighbours = np.repeat(np.arange((len(values) + 1) // 2), 2)[: len(values)].astype(np.float64)
    reduction = error_reduction(neighbours, targets[order], False, target.task == "Classification")
    if reduction < MIN_IDENTIFIER_ERROR_REDUCTION:
        return []
    message = (
        f"Column '{name}' numbers the rows, and their order alone predicts target '{target.name}' (it removes {reduction:.1%} of the "
        "errors); name it in spec.keys, or leave it out of the features."
    )
    return [Anomaly("LabelLeak", "Warning", name, message)]


def _codes_or_numbers(
    connection: duckdb.DuckDBPyConnection, name: str, sample: str, number: str | None
) -> NDArray[np.float64]:
    """The values (rows,) by `number`, their SQL, else codes of the column's texts."""
    column = quote_column(name)
    if number is not None:
        rows = connection.execute(f"SELECT {number} AS value {sample}").fetchnumpy()["value"]
        return np.ma.filled(np.ma.asarray(rows, dtype=np.float64), np.nan)
    rows = connection.execute(f"SELECT coalesce({column}::VARCHAR, '') AS value {sample}").fetchnumpy()["value"]
    return np.unique(np.asarray(rows).astype(str), return_inverse=True)[1].astype(np.float64)


def error_reduction(values: NDArray[np.float64], targets: NDArray[np.float64], is_number: bool, classes: bool) -> float:
    """The proportional reduction in error: the share of the constant guess's errors (squared for numbers) that `values` alone remove, out of sample.

    Bins and their guesses come from every other row, the errors from the rows between, so that an identifier,
    whose values never return, does not look like a leak.
    """
    bins = _binned(values) if is_number else values.astype(np.int64)
    fit, validate = slice(0, None, 2), slice(1, None, 2)
    if len(targets) < MIN_LEAK_ROWS:
        return 0.0
    guess = _majority if classes else _mean
    by_bin = guess(bins[fit], targets[fit], int(bins.max()) + 1)
    constant = guess(np.zeros_like(bins[fit]), targets[fit], 1)[0]
    expected = np.where(np.isnan(by_bin[bins[validate]]), constant, by_bin[bins[validate]])
    y_true = targets[validate]
    if classes:
        left, before = np.mean(expected != y_true), np.mean(constant != y_true)
    else:
        left, before = np.mean((expected - y_true) ** 2), np.mean((constant - y_true) ** 2)
    return float(1 - left / before) if before > 0 else 0.0


def _binned(values: NDArray[np.float64]) -> NDArray[np.int64]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(len(values), dtype=np.int64)
    distinct = np.unique(finite)
    edges = distinct if len(distinct) <= LEAK_BINS else np.unique(np.quantile(finite, np.linspace(0, 1, LEAK_BINS)))
    bins = np.searchsorted(edges, np.where(np.isnan(values), np.inf, values), side="right")
    return np.where(np.isnan(values), len(edges) + 1, bins).astype(np.int64)


def _majority(bins: NDArray[np.int64], targets: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    kinds = int(targets.max()) + 1
    table = np.bincount(bins * kinds + targets.astype(np.int64), minlength=size * kinds).reshape(size, kinds)
    return np.where(table.sum(axis=1) > 0, table.argmax(axis=1), np.nan)


def _mean(bins: NDArray[np.int64], targets: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    counts = np.bincount(bins, minlength=size)
    sums = np.bincount(bins, weights=targets, minlength=size)
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
    return means
