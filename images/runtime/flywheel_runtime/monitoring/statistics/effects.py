"""Sizes of a difference between two distributions of the same bins. Counts go in, so that every zero has one stated rule."""

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.quantiles import Array

PSEUDO_COUNT = 0.5  # of each bin: Jeffreys' prior


def smooth_shares(counts: ArrayLike) -> Array:
    """Shares (…, bins) of counts (…, bins) with half a row added to each bin, so that no share is 0."""
    added = np.asarray(counts, dtype=np.float64) + PSEUDO_COUNT
    shares: Array = added / added.sum(axis=-1, keepdims=True)
    return shares


def exact_shares(counts: ArrayLike) -> Array:
    """Shares (…, bins) of counts (…, bins); all 0 without rows."""
    values = np.asarray(counts, dtype=np.float64)
    shares: Array = values / np.maximum(values.sum(axis=-1, keepdims=True), 1.0)
    return shares


def population_stability_index(reference: ArrayLike, current: ArrayLike) -> Array:
    """PSI (…) = sum((q - p) log(q / p)) of counts (…, bins), where p and q are the shares with half a row added to each bin.

    It is the symmetric Kullback-Leibler divergence in nats: about the square of a shift in standard deviations. Three rows in a bin that
    the reference of 10,000 lacks give 0.0006. Without drift its mean is about (bins - 1)(1/n + 1/m): see psi_bias.
    """
    p, q = smooth_shares(reference), smooth_shares(current)
    index: Array = ((q - p) * np.log(q / p)).sum(axis=-1)
    return index


def psi_bias(reference: ArrayLike, current: ArrayLike) -> Array:
    """What PSI (…) is in the mean if nothing changed, counts (…, bins): (bins - 1)(1/n + 1/m) over the bins that have rows."""
    p, q = (np.asarray(each, dtype=np.float64) for each in (reference, current))
    bins = np.maximum(((p + q) > 0).sum(axis=-1) - 1, 0)
    bias: Array = bins * (1 / np.maximum(p.sum(axis=-1), 1) + 1 / np.maximum(q.sum(axis=-1), 1))
    return bias


def jensen_shannon_distance(reference: ArrayLike, current: ArrayLike) -> Array:
    """The Jensen-Shannon distance (…) to base 2, from 0 to 1, of counts (…, bins); empty bins need no rule.

    sqrt((KL(p || m) + KL(q || m)) / 2) with m = (p + q) / 2, as scipy.spatial.distance.jensenshannon(p, q, base=2).
    """
    p, q = exact_shares(reference), exact_shares(current)
    middle = (p + q) / 2
    divergence = (_divergence(p, middle) + _divergence(q, middle)) / 2
    distance: Array = np.sqrt(np.maximum(divergence, 0.0))
    return distance


def _divergence(shares: Array, other: Array) -> Array:
    p, q = np.broadcast_arrays(shares, other)
    ratio = np.divide(p, q, out=np.ones(p.shape), where=p > 0)
    bits: Array = (p * np.log2(ratio)).sum(axis=-1)
    return bits


def l_infinity_distance(reference: ArrayLike, current: ArrayLike) -> Array:
    """The largest difference (…) of a bin's share, 0 to 1, of counts (…, bins)."""
    largest: Array = np.abs(exact_shares(current) - exact_shares(reference)).max(axis=-1)
    return largest


def total_variation_distance(reference: ArrayLike, current: ArrayLike) -> Array:
    """The share of rows (…), 0 to 1, that would have to be in other bins for counts (…, bins) to be alike."""
    total: Array = np.abs(exact_shares(current) - exact_shares(reference)).sum(axis=-1) / 2
    return total


def wasserstein_distance(reference: ArrayLike, current: ArrayLike, edges: ArrayLike) -> Array:
    """The first Wasserstein distance (…) in standard deviations of the reference, of counts (…, bins) between `edges` (bins + 1).

    Values are taken as uniform within a bin, so both distribution functions are linear there and the integral of their absolute difference
    is exact. Count rows below the first or above the last edge in the first or the last bin: what lies beyond is not measured. It is 0 if
    the reference has no spread or one side no rows.
    """
    bounds = np.asarray(edges, dtype=np.float64)
    p, q = exact_shares(reference), exact_shares(current)
    width = np.diff(bounds)
    differences = np.concatenate(
        [np.zeros((*np.broadcast_shapes(p.shape, q.shape)[:-1], 1)), np.cumsum(q - p, axis=-1)], axis=-1
    )
    left, right = differences[..., :-1], differences[..., 1:]
    cross = np.abs(left) + np.abs(right)
    squares = np.divide(left**2 + right**2, cross, out=np.zeros_like(cross), where=cross > 0)
    mean_height = np.where(left * right < 0, squares, cross) / 2
    spread = _standard_deviation(p, bounds)
    has_both = (spread > 0) & (p.sum(axis=-1) > 0) & (q.sum(axis=-1) > 0)
    distance: Array = np.where(has_both, (mean_height * width).sum(axis=-1) / np.where(spread > 0, spread, 1.0), 0.0)
    return distance


def _standard_deviation(shares: Array, edges: Array) -> Array:
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    mean = (shares * middle).sum(axis=-1, keepdims=True)
    variance = (shares * ((middle - mean) ** 2 + width**2 / 12)).sum(axis=-1)
    deviation: Array = np.sqrt(variance)
    return deviation
