"""The rules of other monitors, by their formulas: each looks at one window of a numeric feature and says whether it has drifted.

Evidently 0.7.23 chooses by the reference's size: up to 1,000 rows the two-sample Kolmogorov-Smirnov test at 0.05, above that the
Wasserstein distance over the reference's standard deviation, at 0.1. `compare_with_evidently` runs the library itself on 100 windows.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from e2e.cluster.paths import CHECKOUT

Values = NDArray[np.float64]
Rule = Callable[[Values, Values], bool]

LARGE_REFERENCE = 1_000
LEVEL, WASSERSTEIN_LIMIT, PSI_LIMIT = 0.05, 0.1, 0.2
LEAST_DEVIATION = 0.001
EVIDENTLY = CHECKOUT / ".venv/evidently/bin/python"  # made by `python3 -m e2e.setup evidently`
WINDOWS = 100


def psi_rule(reference: Values, current: Values) -> bool:
    """PSI above 0.2 on the reference's deciles, with half a row added to each bin."""
    edges = np.quantile(reference, np.linspace(0, 1, 11)[1:-1])
    p, q = (
        np.bincount(np.searchsorted(edges, each, side="right"), minlength=10) + 0.5 for each in (reference, current)
    )
    p, q = p / p.sum(), q / q.sum()
    return bool(((q - p) * np.log(q / p)).sum() > PSI_LIMIT)


def kolmogorov_smirnov_rule(reference: Values, current: Values) -> bool:
    """The two-sample Kolmogorov-Smirnov test at 0.05, by its asymptotic distribution."""
    return _kolmogorov_smirnov_p_value(reference, current) < LEVEL


def evidently_rule(reference: Values, current: Values) -> bool:
    """Evidently's default for a numeric column."""
    score = evidently_score(reference, current)
    return score >= WASSERSTEIN_LIMIT if len(reference) > LARGE_REFERENCE else score < LEVEL


def evidently_score(reference: Values, current: Values) -> float:
    """The number that Evidently compares: a p-value for a small reference, else the normed Wasserstein distance."""
    if len(reference) <= LARGE_REFERENCE:
        return float(stats.ks_2samp(reference, current).pvalue)
    deviation = max(float(np.std(reference)), LEAST_DEVIATION)
    return float(stats.wasserstein_distance(reference, current)) / deviation


def _kolmogorov_smirnov_p_value(reference: Values, current: Values) -> float:
    ascending = np.sort(current)
    below = np.searchsorted(np.sort(reference), ascending, side="right") / len(reference)
    steps = np.arange(len(current) + 1) / len(current)
    distance = max(float((steps[1:] - below).max()), float((below - steps[:-1]).max()))
    rows = len(reference) * len(current) / (len(reference) + len(current))
    probability: Any = special.kolmogorov(distance * rows**0.5)
    return float(probability)


def compare_with_evidently(seed: int = 5) -> float:
    """The largest difference between Evidently's drift score and its formula, over 100 windows and references on both sides of 1,000."""
    random = np.random.default_rng(seed)
    references = [random.normal(size=rows) for rows in (800, 1_000, 1_001, 10_000)]
    chosen = [index % len(references) for index in range(WINDOWS)]
    windows = [
        random.normal([0, 0.05, 0.1, 0.3, 0.5][index % 5], 1, [300, 1_000][index % 2]) for index in range(WINDOWS)
    ]
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case.json"
        lists = {"references": [each.tolist() for each in references], "windows": [each.tolist() for each in windows]}
        case.write_text(json.dumps({**lists, "reference": chosen}))
        script = Path(__file__).with_name("evidently_windows.py")
        done = subprocess.run([EVIDENTLY, "-I", script, case], capture_output=True, text=True, check=True)
    scores = json.loads(done.stdout.splitlines()[-1])["scores"]
    formula = [evidently_score(references[index], window) for index, window in zip(chosen, windows, strict=True)]
    return float(np.abs(np.array(scores) - formula).max())


RULES: dict[str, Rule] = {
    "PSI 0.2": psi_rule,
    "KS 0.05": kolmogorov_smirnov_rule,
    "Evidently's default": evidently_rule,
}
