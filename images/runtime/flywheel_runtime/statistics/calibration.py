"""Whether probabilities mean what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BINS = 15


def expected_calibration_error(truth: Array, probabilities: Array, bins: int = BINS) -> float:
    """The mean over rows of |how often it was so - how often it was said to be so|, in bins of equal width.

    `truth` (rows,) are class numbers, `probabilities` (rows, classes). With two classes it is the second one's probability that is
    looked at, with more the probability of the answer that is given. Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated
    Probabilities Using Bayesian Binning", 2015; 15 bins as in Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    if probabilities.shape[1] == 2:
        said, so = probabilities[:, 1].astype(float), (truth == 1).astype(float)
    else:
        said, so = probabilities.max(axis=1).astype(float), (truth == probabilities.argmax(axis=1)).astype(float)
    bin_of = np.minimum((said * bins).astype(int), bins - 1)
    difference = np.bincount(bin_of, weights=so - said, minlength=bins)
    return float(np.abs(difference).sum() / len(truth))
