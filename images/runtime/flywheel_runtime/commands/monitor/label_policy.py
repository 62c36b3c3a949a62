"""Which labels count for a monitor: its configuration, and the range of the numbers by which a version was tested."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from flywheel_runtime.commands.monitor.config import GroundTruth, MonitorConfig
from flywheel_runtime.commands.monitor.version_files import read_json
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.labels.admission import LabelPolicy
from flywheel_runtime.monitoring.labels.label_matching import Delay

SERVICE_ACCOUNT = "system:serviceaccount:"
PSEUDONYM = re.compile("user-[0-9a-f]{16}")
MIN_NUMBERS = 30  # of test rows, from which a spread is taken
NORMAL_CONSISTENCY = 1.4826  # the standard deviation of a normal distribution in median absolute deviations


def label_policy(step: Step, config: MonitorConfig, truth: GroundTruth) -> LabelPolicy:
    """The policy of the monitor; a Dataset's labels have one source, so that there is no share."""
    trusted = tuple(name_source(each, config.namespace, config.service) for each in truth.trusted_sources)
    ranges: dict[str, tuple[float, float]] = {}
    for version in config.versions if truth.max_deviations is not None else ():
        found = find_range(read_json(step, version.name, "evaluation.json"), truth.max_deviations or 0.0)
        ranges |= {version.name: found} if found is not None else {}
    share = 1.0 if truth.column else truth.max_source_share
    return LabelPolicy(Delay(truth.min_delay_seconds, truth.max_delay_seconds), trusted, share, ranges)


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
