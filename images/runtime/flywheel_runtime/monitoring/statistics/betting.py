"""E-values of the mean of losses in [0, 1]: a gambler's wealth that grows only if the losses are above the null's mean.

For losses y whose mean, given the rows before, is at most m, the wealth prod(1 + bet (y - m)) has a mean of at most 1 for any bet in
[0, 1/m): Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024. Each bet of a grid is one
component. Podkopaev and Ramdas, "Tracking the risk of a deployed model and detecting harmful distribution shifts", ICLR 2022.
"""

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.quantiles import Array

BETS = (0.01, 0.03, 0.08, 0.2, 0.4, 0.7)  # times 1/m
LOSS_BLOCKS = 12  # of consecutive rows, between which the dispersion of losses is measured


def log_e_values_of_losses(losses: ArrayLike, null_mean: float, design_effect: float = 1.0) -> Array:
    """Log e-values (bets,) of losses (rows,) in [0, 1] against a mean of at most `null_mean`, divided by the design effect."""
    excess = np.asarray(losses, dtype=np.float64) - null_mean
    bets = np.asarray(BETS) / null_mean
    values: Array = np.log1p(bets[:, None] * excess).sum(axis=1) / design_effect
    return values


def stake_losses(losses: ArrayLike, weights: ArrayLike | None, null_mean: float) -> Array:
    """Losses (rows,) whose excess over the null's mean counts by weight over largest weight, for rows that were drawn by their features.

    A row that is drawn with probability p and weighs 1/p changes the expected excess no more than one of a fair sample, so that the wealth
    has a mean of at most 1 for these losses as well. They stay in [0, 1]. Without weights they are the losses.
    """
    values = np.asarray(losses, dtype=np.float64)
    if weights is None or not len(values):
        return values
    given = np.asarray(weights, dtype=np.float64)
    staked: Array = null_mean + given / given.max() * (values - null_mean)
    return staked


def dispersion_of_losses(losses: ArrayLike) -> float | None:
    """The variance of means of 12 consecutive parts of losses (rows,) over that of independent rows; None below 24 rows.

    It is the F statistic of a one-way analysis of variance, 1 in the mean for independent rows.
    """
    values = np.asarray(losses, dtype=np.float64)
    if len(values) < 2 * LOSS_BLOCKS:
        return None
    parts = np.array_split(values, LOSS_BLOCKS)
    means, sizes = np.array([part.mean() for part in parts]), np.array([len(part) for part in parts])
    within = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / (len(values) - LOSS_BLOCKS)
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (LOSS_BLOCKS - 1)
    if within == 0:
        return 1.0 if between == 0 else None
    return between / within
