"""The 10,000 runs that both sides hold, as JSON lines: parameters, metrics and tags of a search over eight parameters."""

import random
from typing import Any

RUNS = 10_000
FIRST_START = 1_790_000_000  # seconds since 1970
ESTIMATORS = ("LogisticRegression", "HistGradientBoostingClassifier", "RandomForestClassifier", "MLPClassifier")


def make_runs(count: int = RUNS) -> list[dict[str, Any]]:
    """Runs with 8 parameters, 10 metrics and 2 tags each; every 50th has failed and lacks its metrics."""
    chance = random.Random(16)
    runs = []
    for number in range(1, count + 1):
        metrics = {f"metric_{index}": chance.random() for index in range(9)} | {"roc_auc": 0.5 + chance.random() / 2}
        runs.append(
            {
                "number": number,
                "estimator": chance.choice(ESTIMATORS),
                "parameters": {f"parameter_{index}": round(chance.random(), 6) for index in range(8)},
                "metrics": {} if number % 50 == 0 else metrics,
                "tags": {"team": chance.choice("abc"), "stage": "search"},
                "start": FIRST_START + 60 * number,
            }
        )
    return runs
