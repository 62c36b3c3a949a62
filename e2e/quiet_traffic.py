"""Traffic of a model of three uniform columns, and the count documents that a server writes of it, without and with a shifted column."""

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from e2e import kube
from e2e.artifacts import baseline_document, bin_counts, prediction_counts
from e2e.namespace import Namespace

WEIGHTS = {"distance": 0.2, "month": 1.0, "hour": 1.0}  # of columns that are uniform from 0 to 100
ROWS_OF_TRAINING, ROWS_OF_A_MINUTE = 20_000, 1_000
DAY_MINUTES, WEEK_DAYS = 24, 7  # of the accelerated clock, whose hours are minutes
CYCLE = 0.1  # the share of rows that a day's cycle moves from one half of a column's values to the other, at its peak
Columns = dict[str, NDArray[np.float32]]
random = np.random.default_rng(17)


def draw(rows: int, shifted: str = "", moved: Mapping[str, float] | None = None) -> Columns:
    """Rows like those of training. A shifted column has only the larger values, and of one that is `moved` this share of the rows.

    A share below 0 has only the smaller values.
    """
    low = {name: 55.0 if name == shifted else 0.0 for name in WEIGHTS}
    table = {name: random.uniform(low[name], 100.0, rows).astype(np.float32) for name in WEIGHTS}
    for name, share in (moved or {}).items():
        chosen = random.random(rows) < abs(share)
        table[name][chosen] = table[name][chosen] / 2 + (50 if share > 0 else 0)
    return table


def predict(rows: Columns) -> NDArray[Any]:
    """What the model gives."""
    return np.asarray(sum(weight * rows[name].astype(float) for name, weight in WEIGHTS.items()))


EDGES = {name: np.linspace(0, 100, 21).tolist() for name in WEIGHTS}
PREDICTION_EDGES = np.linspace(0, 100 * sum(WEIGHTS.values()), 51).tolist()


def feature_counts(rows: Columns) -> dict[str, Any]:
    """Counts of each column in the bins of training."""
    return {name: bin_counts(values, EDGES[name]) for name, values in rows.items()}


def prediction_bins(rows: Columns) -> list[int]:
    """Counts of the predictions in the bins of training."""
    found: list[int] = np.histogram(predict(rows), PREDICTION_EDGES)[0].tolist()
    return found


def make_baseline() -> bytes:
    """baseline.json, as training writes it."""
    rows = draw(ROWS_OF_TRAINING)
    return baseline_document(rows, EDGES, prediction_counts(predict(rows), PREDICTION_EDGES))


def request_body(rows: Columns) -> bytes:
    """The body of one request."""
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [len(values), 1], "data": values.tolist()}
        for name, values in rows.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def write_quiet_week(namespace: Namespace, digest: str, baseline: str, until: datetime) -> None:
    """Count documents of a server that ended before, one for each minute (images/README.md, "Logged predictions").

    Each minute stands for an hour: the columns move in a daily cycle of their own, and at random from hour to hour.
    """
    served, wander, minutes = 0, dict.fromkeys(WEIGHTS, 0.0), DAY_MINUTES * WEEK_DAYS
    for number in range(minutes):
        start = until - timedelta(minutes=minutes - number)
        wander = {name: 0.8 * each + 0.01 * float(random.normal()) for name, each in wander.items()}
        moved = {
            name: CYCLE * math.sin(2 * math.pi * (number / DAY_MINUTES + index / 3)) + wander[name]
            for index, name in enumerate(WEIGHTS)
        }
        rows = draw(ROWS_OF_A_MINUTE, moved=moved)
        served += ROWS_OF_A_MINUTE
        totals = {"requests": ROWS_OF_A_MINUTE, "rows": ROWS_OF_A_MINUTE}
        document = {
            "v": 1, "service": "delay", "namespace": namespace.name, "pod": "delay-before", "boot": "0123456789ab",
            "window": number, "from": stamp(start + timedelta(milliseconds=4)), "to": stamp(start + timedelta(seconds=59)),
            "version": "delay-1", "digest": digest, "baseline": baseline, **totals,
            "sinceBoot": {"requests": served, "rows": served}, "features": feature_counts(rows),
            "predictions": {"rows": ROWS_OF_A_MINUTE, "missing": 0, "invalid": 0, "under": 0, "over": 0, "bins": prediction_bins(rows)},
        }  # fmt: skip
        name = f"delay-before-0123456789ab-{number:06}.json"
        key = f"{namespace.name}/predictions/delay/counts/{start:dt=%Y-%m-%d/hour=%H}/{name}"
        kube.store().put_object(Bucket=kube.bucket(), Key=key, Body=json.dumps(document, sort_keys=True).encode())


def stamp(time: datetime) -> str:
    """A time as documents have it."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"
