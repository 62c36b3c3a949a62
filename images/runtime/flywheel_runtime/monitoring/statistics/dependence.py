"""How much more the counts of a window vary than those of independent rows would: the design effect."""

from dataclasses import dataclass, replace

import numpy as np

from flywheel_runtime.monitoring.statistics.evalues import merge_blocks
from flywheel_runtime.monitoring.statistics.quantiles import Array

MIN_BLOCKS = 4  # sub-windows with rows that an estimate needs
COARSE_FACTOR = (
    4  # adjacent blocks that are joined, since dependence that lasts longer than a block shows between longer ones
)
MIN_FINE_BLOCKS = 48  # below, blocks are not joined: there would be too few, and hours of a day differ by its cycle
CLEAR_DEVIATIONS = 3.0  # of its own standard error, by which one window's estimate must exceed 1 to count alone
MAX_STEP = 4.0  # the factor by which one window may exceed the average that it enters
LONGEST_AVERAGE = 48  # windows


@dataclass(frozen=True)
class Dispersion:
    """The mean over blocks, by their rows, of Pearson's chi-square over its degrees of freedom (…): 1 in the mean for independent rows, with
    its standard error (…) then."""

    value: Array
    standard_error: Array
    blocks: Array  # those that have rows


def measure_dispersion(blocks: Array) -> Dispersion:
    """The dispersion of counts (…, blocks, bins): Pearson's chi-square of each block with its neighbour, over its degrees of freedom.

    Pairs count by their rows, as in the variance of the window's counts, which are a sum: a burst weighs what it adds to that sum.
    Blocks are compared in pairs (1st with 2nd, 3rd with 4th, …), so that a slow change such as a daily cycle cancels: within the null it
    needs no correction. Empty ones are skipped, so that a burst between them is compared too. Clusters of m equal rows within a block give m.
    Bins without rows have no degrees; without any the value is 1, since a column with one value cannot vary. The error of a pair is
    sqrt(2 / degrees).
    """
    blocks = _skip_empty(blocks)
    pairs = blocks.shape[-2] // 2
    tables = blocks[..., : 2 * pairs, :].reshape(*blocks.shape[:-2], pairs, 2, blocks.shape[-1])
    rows, totals = tables.sum(axis=-1, keepdims=True), tables.sum(axis=-2, keepdims=True)
    expected = rows * totals / np.maximum(totals.sum(axis=-1, keepdims=True), 1.0)
    squares = np.divide((tables - expected) ** 2, expected, out=np.zeros(expected.shape), where=expected > 0)
    has_both = (rows[..., 0] > 0).all(axis=-1)
    degrees = has_both * ((totals[..., 0, :] > 0).sum(axis=-1) - 1)
    weights = np.where(degrees > 0, totals.sum(axis=(-1, -2)), 0.0)
    shares = weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1.0)
    least = np.maximum(degrees, 1)
    value = np.where(shares.any(axis=-1), (shares * squares.sum(axis=(-1, -2)) / least).sum(axis=-1), 1.0)
    error = np.where(shares.any(axis=-1), np.sqrt((shares**2 * 2 / least).sum(axis=-1)), np.sqrt(2))
    return Dispersion(value, error, (blocks.sum(axis=-1) > 0).sum(axis=-1))


def _skip_empty(blocks: Array) -> Array:
    """The blocks (…, blocks, bins) with those that have rows first, in their order, and an odd last one of these added to the one before."""
    has_rows = blocks.sum(axis=-1) > 0
    if has_rows.all():
        return blocks
    dense = np.take_along_axis(blocks, np.argsort(~has_rows, axis=-1, kind="stable")[..., np.newaxis], axis=-2)
    count = has_rows.sum(axis=-1, keepdims=True)
    is_odd = (np.arange(blocks.shape[-2]) == count - 1) & (count % 2 == 1) & (count > 1)
    last = dense * is_odd[..., np.newaxis]
    joined: Array = dense - last + np.roll(last, -1, axis=-2)
    return joined


@dataclass(frozen=True)
class DispersionAverages:
    """Averages of the dispersion over past windows: between sub-windows, between the longer ones, and between successive windows."""

    fine: float = 1.0
    coarse: float = 1.0
    between: float = 1.0
    windows: int = 0
    pairs: int = 0


def design_effect_of_blocks(blocks: Array, fine: Array, coarse: Array, windows: int) -> tuple[Array, Array, Array]:
    """The design effect (…), at least 1, of windows with counts (…, blocks, bins), and the averages fine and coarse (…) after them.

    `windows` counts the averaged windows with this one. The design effect is the larger of the averages and of what this window shows
    clearly by itself, so that a burst from one source damps the window in which it falls.
    """
    length, of_blocks = blocks.shape[-2], measure_dispersion(blocks)
    is_fine = length >= MIN_FINE_BLOCKS
    of_longer = measure_dispersion(merge_blocks(blocks, length // COARSE_FACTOR)) if is_fine else of_blocks
    fine, coarse = _average(fine, of_blocks.value, windows), _average(coarse, of_longer.value, windows)
    factor = np.maximum(np.maximum(fine, coarse), 1.0)
    for each in (of_blocks, of_longer):
        is_clear = each.value > 1 + CLEAR_DEVIATIONS * each.standard_error
        factor = np.maximum(factor, np.where(is_clear, each.value, 1.0))
    return factor, fine, coarse


def estimate_design_effect(
    blocks: Array, previous: Array | None, averages: DispersionAverages
) -> tuple[float | None, DispersionAverages]:
    """The design effect of one window with counts (blocks, bins), at least 1, and the averages after it.

    Without enough sub-windows, successive windows are compared, `previous` (bins,) with this one; before four such pairs the answer is
    None: the dependence cannot be estimated.
    """
    if int((blocks.sum(axis=-1) > 0).sum()) < MIN_BLOCKS:
        return _compare_windows(blocks.sum(axis=0), previous, averages)
    windows = averages.windows + 1
    before = (np.asarray(averages.fine), np.asarray(averages.coarse))
    factor, fine, coarse = design_effect_of_blocks(blocks, *before, windows)
    return float(factor), replace(averages, fine=float(fine), coarse=float(coarse), windows=windows)


def _compare_windows(
    counts: Array, previous: Array | None, averages: DispersionAverages
) -> tuple[float | None, DispersionAverages]:
    known = max(1.0, averages.between) if averages.pairs >= MIN_BLOCKS else None
    if previous is None or not counts.sum() or not previous.sum():
        return known, averages
    pairs = averages.pairs + 1
    value = measure_dispersion(np.stack([previous, counts])).value
    between = float(_average(np.asarray(averages.between), value, pairs))
    return known, replace(averages, between=between, pairs=pairs)


def _average(average: Array, value: Array, count: int) -> Array:
    """The mean of the first windows, then an exponential average; one window counts with at most four times the average."""
    limited = np.minimum(value, MAX_STEP * np.maximum(average, 1.0)) if count > 1 else value
    updated: Array = average + (limited - average) / min(count, LONGEST_AVERAGE)
    return updated
