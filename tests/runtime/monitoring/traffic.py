"""Count documents as servers write them: rows counted by the server's own code, in the bins of a baseline.json as training writes it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flywheel_serving.errors import ERROR_CLASSES
from flywheel_serving.metrics.server_metrics import LATENCY_BUCKETS_SECONDS
from flywheel_serving.prediction_log.baseline import Baseline
from flywheel_serving.prediction_log.counts import Counts

NAMESPACE, SERVICE = "shop", "flight-delay"
DIGEST = "sha256:" + "0" * 64
START = datetime(2026, 1, 31, 17, tzinfo=UTC)
CARRIERS = ("UA", "DL", "AA")
PREDICTION_EDGES = [float(each) for each in np.linspace(0, 1, 51)]

Values = npt.NDArray[Any]
Rows = Mapping[str, Values]


def draw_rows(generator: np.random.Generator, rows: int, numbers: int = 2, shift: float = 0.0) -> dict[str, Values]:
    """Rows of a model with normal features x0, x1, … of which x0 is moved by `shift`, a carrier, and a score."""
    table: dict[str, Values] = {f"x{index}": generator.normal(size=rows) for index in range(numbers)}
    table["x0"] = table["x0"] + shift
    table["carrier"] = generator.choice(np.array([*CARRIERS, "B6"], object), rows, p=[0.5, 0.3, 0.15, 0.05])
    table["score"] = generator.beta(2, 5, rows).astype(np.float32)
    return table


def make_baseline(table: Rows) -> dict[str, Any]:
    """baseline.json of a table whose column `score` has the predictions."""
    rows = len(table["score"])
    features: dict[str, Any] = {}
    for name, values in table.items():
        if name == "score":
            continue
        if values.dtype == object:
            features[name] = {
                "type": "String",
                "categories": list(CARRIERS),
                "allCategories": False,
                "content": "Category",
            }
        else:
            finite = values[np.isfinite(values)].astype(np.float32)
            quantiles = np.quantile(finite, np.linspace(0, 1, 21), method="inverted_cdf")
            features[name] = {"type": "Float", "edges": sorted({float(each) for each in quantiles})}
    document = {"v": 1, "rows": rows, "features": features, "predictions": {"edges": PREDICTION_EDGES, "counts": {}}}
    counted = count_rows(document, table)
    for name, feature in features.items():
        feature["counts"] = {"rows": rows, **counted["features"][name]}
    bins = np.array(counted["predictions"]["bins"])
    calibrated = np.round(bins * (np.array(PREDICTION_EDGES[1:]) + np.array(PREDICTION_EDGES[:-1])) / 2).astype(int)
    document["predictions"] |= {"counts": {"test": bins.tolist()}, "positives": {"test": calibrated.tolist()}}  # type: ignore[operator]
    return document


def count_rows(baseline: Mapping[str, Any], table: Rows) -> dict[str, Any]:
    """The counts of these rows, by the server's code."""
    features = baseline["features"]
    numbers = {name: each["edges"] for name, each in features.items() if "edges" in each}
    texts = {name: each["categories"] for name, each in features.items() if "categories" in each}
    counts = Counts(
        Baseline("", numbers, texts, {}, baseline["predictions"]["edges"], ("score", False), np.dtype(np.float64))
    )
    rows = len(table["score"])
    if rows:
        feeds = {name: table[name] for name in (*numbers, *texts)}
        counts.observe(feeds, ["score"], [table["score"]], rows)
    return counts.pop_document()


@dataclass
class Server:
    """A server whose documents are written into `folder`, one for each call of `serve`."""

    folder: Path
    baseline: Mapping[str, Any]
    pod: str = "flight-delay-7d9c"
    boot: str = "3f12b3b13160"
    version: str = "flight-delay-3f9a1c"
    digest: str = DIGEST
    window: int = 0
    served: dict[str, int] = field(default_factory=lambda: {"requests": 0, "rows": 0})

    def serve(
        self,
        table: Rows,
        start: datetime,
        write: bool = True,
        seconds: float = 60.0,
        responses: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The document of a minute that begins at `start`; without `write` it is lost, without `responses` of the release before."""
        counted = count_rows(self.baseline, table)
        self.served = {
            "requests": self.served["requests"] + counted["rows"],
            "rows": self.served["rows"] + counted["rows"],
        }
        document = {
            "v": 1,
            "service": SERVICE,
            "namespace": NAMESPACE,
            "pod": self.pod,
            "version": self.version,
            "digest": self.digest,
            "boot": self.boot,
            "baseline": baseline_digest(self.baseline),
            "window": self.window,
            "from": timestamp(start),
            "to": timestamp(start + timedelta(seconds=seconds)),
            "sinceBoot": dict(self.served),
            **counted,
            **({"responses": responses} if responses is not None else {}),
        }
        self.window += 1
        if write:
            write_document(self.folder, document)
        return document


def make_responses(latencies: Mapping[float, int], **errors: int) -> dict[str, Any]:
    """`responses` of a document: successful ones by the bound of their latency, and errors by class."""
    counts = [latencies.get(bound, 0) for bound in LATENCY_BUCKETS_SECONDS] + [latencies.get(float("inf"), 0)]
    return {
        "latencySeconds": {"bounds": [*LATENCY_BUCKETS_SECONDS], "counts": counts},
        "errors": dict.fromkeys(ERROR_CLASSES, 0) | errors,
    }


def write_document(folder: Path, document: Mapping[str, Any]) -> Path:
    """Writes a document where the sink would."""
    hour: Path = folder / document["from"][:10] / document["from"][11:13]
    hour.mkdir(parents=True, exist_ok=True)
    path = hour / f"{document['pod']}-{document['boot']}-{document['window']}.json"
    path.write_text(json.dumps(document))
    return path


def baseline_bytes(baseline: Mapping[str, Any]) -> bytes:
    """The bytes of baseline.json."""
    return json.dumps(baseline).encode()


def baseline_digest(baseline: Mapping[str, Any]) -> str:
    """The digest that servers write into their documents."""
    return "sha256:" + hashlib.sha256(baseline_bytes(baseline)).hexdigest()


def timestamp(time: datetime) -> str:
    """A time as documents have it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def join_rows(tables: Sequence[Rows]) -> dict[str, Values]:
    """The rows of several tables."""
    return {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}
