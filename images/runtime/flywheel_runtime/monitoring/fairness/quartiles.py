"""Groups of a column of numbers: the quarters of the training rows, by baseline.json."""

import itertools
from collections.abc import Mapping
from typing import Any

MIN_BINS = 4  # of a baseline: a column with fewer has few values, each of which is a group
QUARTILES = (0.25, 0.5, 0.75)


def find_quartiles(baseline: Mapping[str, Any], column: str) -> tuple[float, ...]:
    """The edges of the baseline's bins that are nearest to the quartiles; none of a column of texts, of few values, or without a baseline."""
    try:
        feature = baseline["features"][column]
        edges, bins = [float(each) for each in feature["edges"]], [int(each) for each in feature["counts"]["bins"]]
    except (KeyError, TypeError, ValueError):
        return ()
    total = sum(bins)
    if len(bins) < MIN_BINS or len(edges) != len(bins) + 1 or not total:
        return ()
    below = [each / total for each in itertools.accumulate(bins)][:-1]
    nearest = (min(range(len(below)), key=lambda at: abs(below[at] - share)) for share in QUARTILES)
    return tuple(edges[at + 1] for at in dict.fromkeys(nearest))
