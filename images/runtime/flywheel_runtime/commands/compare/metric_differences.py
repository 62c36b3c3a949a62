"""Metrics of two runs by name."""

import math
from collections.abc import Mapping

from flywheel_runtime.commands.compare.difference import Difference

# Measured times: another run takes another time.
METRICS_OF_TIME = frozenset({"p50_ms", "p95_ms", "seconds", "load_seconds"})


def compare_metrics(left: Mapping[str, float], right: Mapping[str, float], tolerance: float = 0.0) -> list[Difference]:
    """Metrics that are on one side only, or further apart than `tolerance`, a share of the greater one; sorted by name."""
    return [
        Difference("metric", name, left.get(name), right.get(name))
        for name in sorted((left.keys() | right.keys()) - METRICS_OF_TIME)
        if name not in left or name not in right or not math.isclose(left[name], right[name], rel_tol=tolerance)
    ]
