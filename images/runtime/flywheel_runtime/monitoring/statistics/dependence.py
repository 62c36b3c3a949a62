"""How much more the counts of a window vary than those of independent rows would: the design effect."""

from dataclasses import dataclass

import numpy as np

from flywheel_runtime.monitoring.statistics.evalues import merge_blocks
from flywheel_runtime.monitoring.statistics.quantiles import Array

MIN_BLOCKS = 4  # sub-windows with rows that an estimate needs
COARSE_BLOCKS = 6  # of a window: dependence that lasts for minutes shows between longer blocks
CLEAR_DEVIATIONS = 3.0  # of its own standard error, by which one window's estimate must exceed 1 to count alone
MAX_STEP = 4.0  # the factor by which one window may exceed the average that it enters
LONGEST_AVERAGE = 48  # windows


@dataclass(frozen=True)
class Dispersion:
    """Pearson's chi-square over its degrees of freedom (…), 1 in the mean for independent rows, with its standard error (…) there."""

    value: Array
    standard_error: Array
    blocks: Array  # those that have rows


def measure_dispersion(blocks: Array) -> Dispersion:
    """The dispersion of counts (…, blocks, bins) around their common shares. Blocks and bins without rows do not count.

    For clusters of m equal rows it is m. The error is that of Pearson's statistic X²: its variance is 2 for each degree, and more where
    some expected counts E are below 1: sum(1/E) - sum over blocks of (bins² + 2 bins - 2)/rows. With one bin nothing can vary: it is 1.
    """
    rows, totals = blocks.sum(axis=-1, keepdims=True), blocks.sum(axis=-2, keepdims=True)
    expected = rows * totals / np.maximum(totals.sum(axis=-1, keepdims=True), 1.0)
    squares, inverse = (
        np.divide(each, expected, out=np.zeros(expected.shape), where=expected > 0).sum(axis=(-1, -2))
        for each in ((blocks - expected) ** 2, np.ones(expected.shape))
    )
    has_rows = rows[..., 0] > 0
    block_count, bins = has_rows.sum(axis=-1), (totals[..., 0, :] > 0).sum(axis=-1)
    degrees = np.maximum(block_count - 1, 0) * np.maximum(bins - 1, 0)
    of_blocks = np.divide(1.0, rows[..., 0], out=np.zeros(has_rows.shape), where=has_rows).sum(axis=-1)
    variance = np.maximum(2 * degrees + inverse - (bins**2 + 2 * bins - 2) * of_blocks, degrees)
    least = np.maximum(degrees, 1)
    value = np.where(degrees > 0, squares / least, 1.0)
    return Dispersion(value, np.sqrt(variance) / least, block_count)


@dataclass(frozen=True)
class DispersionAverages:
    """Averages of the dispersion over past windows: between sub-windows, between the longer ones, and between successive windows."""

    fine: float = 1.0
    coarse: float = 1.0
    between: float = 1.0
    windows: int = 0
    pairs: int = 0


def estimate_design_effect(
    blocks: Array, previous: Array | None, averages: DispersionAverages
) -> tuple[float | None, DispersionAverages]:
    """The design effect of one window with counts (blocks, bins), at least 1, and the averages after it.

    It is the larger of the averages, this window included, and of what this window shows clearly by itself, so that a burst from one
    source damps the window in which it falls. Without enough sub-windows, successive windows are compared, `previous` (bins,) with this
    one; before four such pairs the answer is None: the dependence cannot be estimated.
    """
    fine, coarse = measure_dispersion(blocks), measure_dispersion(merge_blocks(blocks, COARSE_BLOCKS))
    if int(fine.blocks) >= MIN_BLOCKS:
        windows = averages.windows + 1
        updated = DispersionAverages(
            _average(averages.fine, float(fine.value), windows),
            _average(averages.coarse, float(coarse.value), windows),
            averages.between,
            windows,
            averages.pairs,
        )
        clear = [
            float(each.value) for each in (fine, coarse) if each.value > 1 + CLEAR_DEVIATIONS * each.standard_error
        ]
        return max([1.0, updated.fine, updated.coarse, *clear]), updated
    return _compare_windows(blocks.sum(axis=0), previous, averages)


def _compare_windows(
    counts: Array, previous: Array | None, averages: DispersionAverages
) -> tuple[float | None, DispersionAverages]:
    known = max(1.0, averages.between) if averages.pairs >= MIN_BLOCKS else None
    if previous is None or not counts.sum() or not previous.sum():
        return known, averages
    pairs = averages.pairs + 1
    value = float(measure_dispersion(np.stack([previous, counts])).value)
    between = _average(averages.between, value, pairs)
    return known, DispersionAverages(averages.fine, averages.coarse, between, averages.windows, pairs)


def _average(average: float, value: float, count: int) -> float:
    """The mean of the first windows, then an exponential average; one window counts with at most four times the average."""
    limited = min(value, MAX_STEP * max(average, 1.0)) if count > 1 else value
    return average + (limited - average) / min(count, LONGEST_AVERAGE)
