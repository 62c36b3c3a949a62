"""Who posted a label, as the log names it, and which numbers a version was tested with."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

SERVICE_ACCOUNT = "system:serviceaccount:"
PSEUDONYM = re.compile("user-[0-9a-f]{16}")
MIN_NUMBERS = 30  # of test rows, from which a spread is taken
NORMAL_CONSISTENCY = 1.4826  # the standard deviation of a normal distribution in median absolute deviations


def name_source(caller: str, namespace: str, service: str) -> str:
    """The source of the labels of a caller, as the server writes it: a ServiceAccount by its name, others by a pseudonym."""
    if caller.startswith(SERVICE_ACCOUNT) or PSEUDONYM.fullmatch(caller):
        return caller
    return "user-" + hashlib.sha256(f"{namespace}/{service}\0{caller}".encode()).hexdigest()[:16]


def find_range(evaluation: Mapping[str, Any], max_deviations: float) -> tuple[float, float] | None:
    """The least and the largest number that is a label: the median of the test rows, and so many robust standard deviations to each side.

    The standard deviation is estimated by the median absolute deviation (Rousseeuw and Croux, 1993), which half of the rows cannot move far. None for
    classes, and where there are too few rows or more than half of them are equal.
    """
    sample = evaluation.get("predictionsSample")
    given = [each.get("actual") for each in sample if isinstance(each, dict)] if isinstance(sample, list) else []
    numbers = np.array([each for each in given if isinstance(each, int | float) and not isinstance(each, bool)], float)
    if len(numbers) < MIN_NUMBERS or len(numbers) < len(given) or not np.isfinite(numbers).all():
        return None
    median = float(np.median(numbers))
    spread = NORMAL_CONSISTENCY * float(np.median(np.abs(numbers - median)))
    return (median - max_deviations * spread, median + max_deviations * spread) if spread > 0 else None
