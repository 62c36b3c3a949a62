"""One model's life as the API server would tell it: data, a search of a pipeline's run, two versions, and who serves them."""

from typing import Any

from flywheel.core.resource.api import (
    BATCH_INFERENCE,
    DATASET,
    EXPERIMENT,
    INFERENCE_SERVICE,
    MODEL,
    MODEL_VERSION,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Api,
)
from tests.simulation.resources import custom

DATA, MADE, SERVED, BROUGHT = (f"sha256:{digit * 64}" for digit in "abcd")
TEST = f"sha256:{'e' * 64}"
IMAGE = f"registry.example:5000/team/runtime:1.2@sha256:{'f' * 64}"
CHAMPION, OLDER, FOREIGN = "delay-cccccccc", "delay-99999999", "fraud-1"
AT = "2026-01-01T12:00:00Z"


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": AT}


VERIFIED = [condition("Ready", "True", "Verified", "It was loaded and answered.")]

DATASET_VERSION = {
    "name": "flights-aaaaaaaa",
    "digest": DATA,
    "content": f"sha256:{'1' * 64}",
    "rows": 327346,
    "splits": {"train": 229142, "validation": 49102, "test": 49102},
    "task": "Classification",
    "classes": 2,
    "testDigest": TEST,
    "warnings": ["NewCategory: carrier has 'ZZ' <img src=x>"],
    "checkedAt": AT,
}
FLIGHTS = custom(
    DATASET,
    "flights",
    {"source": {"s3": {"uri": "s3://flywheel/demo/flights/"}}, "target": "late"},
    status={"version": "flights-aaaaaaaa", "digest": DATA, "versions": [DATASET_VERSION]},
)
BEST = {
    "trial": 7,
    "state": "Succeeded",
    "estimator": "HistGradientBoostingClassifier",
    "parameters": {"learning_rate": "0.1"},
    "metrics": {"roc_auc": "0.639"},
    "value": "0.639",
    "model": MADE,
    "image": IMAGE,
    "usage": {"cpuSeconds": 31, "memoryPeakBytes": 312000000},
}
SEARCH = custom(
    EXPERIMENT,
    "delay-search",
    {"dataset": "flights", "trainer": {"sklearn": {}}, "search": {"seed": 7}, "register": "delay"},
    status={
        "metric": "roc_auc",
        "direction": "Maximize",
        "data": {"version": "flights-aaaaaaaa", "digest": DATA},
        "trials": {"running": 0, "succeeded": 12, "failed": 0, "stopped": 0},
        "best": BEST,
    },
)
LINEAGE = {
    "experiment": "delay-search",
    "experimentUid": SEARCH["metadata"]["uid"],
    "trial": 7,
    "dataset": "flights",
    "datasetVersion": "flights-aaaaaaaa",
    "datasetDigest": DATA,
    "image": IMAGE,
    "parameters": {"estimator": "HistGradientBoostingClassifier", "learning_rate": "0.1"},
}
OF_A_RUN = {
    "pipeline": "monthly",
    "run": "monthly-x7k2p",
    "revision": "1a2b3c4d",
    "seed": 7,
    "gitRevision": "9f8e7d6c",
    "gitRepository": "https://git.example/team/models",
}
PREPARED_BY = {
    "step": "joined",
    "sql": "SELECT f.*, w.temp\nFROM flights f JOIN hourly w USING (hour) WHERE f.month > $(params.months)",
    "values": {"params.months": "6", "run.date": "2026-01-01"},
    "from": [
        {"name": "flights", "dataset": "flights", "version": "flights-aaaaaaaa", "digest": DATA},
        {"name": "hourly", "digest": f"sha256:{'7' * 64}", "sql": "SELECT * FROM weather\nWHERE day < $(run.date)"},
        {"name": "weather", "dataset": "weather", "version": "weather-88888888", "digest": f"sha256:{'8' * 64}"},
    ],
}
SIGNATURE = {
    "inputs": [
        {"name": "month", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1, 1]},
    ],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}],
}
METRICS = {
    "roc_auc": "0.6931471805599453",
    "log_loss": "0.00012345678901234567",
    "p95_ms": "0.05",
    "size_bytes": "6410",
}
VERSION = custom(
    MODEL_VERSION,
    CHAMPION,
    {"model": "delay", "format": "ONNX", "source": {"artifact": {"digest": MADE}}, "path": "model.onnx", "quantize": "Dynamic", "lineage": LINEAGE},
    status={
        "conditions": VERIFIED,
        "digest": SERVED,
        "verifiedAt": AT,
        "metrics": METRICS,
        "testDigest": TEST,
        "signature": SIGNATURE,
        "golden": {"rows": 50, "maxDifference": "0"},
        "featureImportance": {"metric": "roc_auc", "features": [{"name": "month", "importance": "0.031"}, {"name": "carrier|code", "importance": "0.004"}]},
        "quantization": {"weights": 12, "rows": 50, "gap": "0.004", "sizeBefore": 48211, "size": 6410},
    },
)  # fmt: skip
# The same of a run that prepared data, gated, and approved.
PREPARED = f"sha256:{'2' * 64}"
LATER = {
    **VERSION,
    "spec": {
        **VERSION["spec"],
        "lineage": {**LINEAGE, **OF_A_RUN, "datasetDigest": PREPARED, "prepared": PREPARED_BY},
        "approval": {"by": "jane@example.org", "digest": SERVED, "reason": "ticket 214"},
    },
    "status": {
        **VERSION["status"],
        "approval": {"by": "jane@example.org", "digest": SERVED, "reason": "ticket 214", "at": AT},
        "gates": {
            "digest": SERVED,
            "gates": "0123456789abcdef",
            "champion": OLDER,
            "championDigest": MADE,
            "value": "0.693",
            "championValue": "0.61",
            "artifact": f"sha256:{'3' * 64}",
            "at": AT,
            "entries": [
                {"name": "better", "passed": True, "message": "roc_auc 0.693 against 0.610: gain 0.083 [0.07, 0.09]"},
                {
                    "name": "fair-to-every-airport",
                    "passed": False,
                    "message": "LGA: roc_auc 0.55 in 342 rows, below 0.60",
                },
            ],
        },
    },
}
GATES = [
    {"name": "good-enough", "threshold": {"metric": "roc_auc", "min": "0.60"}},
    {"name": "better", "champion": {"metric": "roc_auc", "minGain": "0.002", "confidence": "95%"}},
    {"name": "fair-to-every-airport", "slice": {"by": "origin", "metric": "roc_auc", "min": "0.60"}},
]
BROUGHT_VERSION = custom(
    MODEL_VERSION,
    FOREIGN,
    {
        "model": "fraud",
        "format": "ONNX",
        "source": {"s3": {"uri": "s3://acme/fraud.onnx", "secretName": "acme"}, "sha256": "9" * 64},
        "path": "model.onnx",
        "metrics": {"roc_auc": "0.91"},
    },
    status={"conditions": VERIFIED, "digest": BROUGHT, "verifiedAt": AT, "metrics": {"roc_auc": "0.91", "p95_ms": "1"}},
)
UNVERIFIED = custom(
    MODEL_VERSION,
    OLDER,
    {"model": "delay", "source": {"artifact": {"digest": MADE}}, "lineage": LINEAGE},
    status={"conditions": [condition("Ready", "False", "VerifyRunning", "Its verify Job runs.")]},
)
DELAY = custom(
    MODEL,
    "delay",
    {
        "description": "Will this flight arrive <15> minutes late | or more?",
        "owner": "operations-research",
        "objective": {"metric": "roc_auc"},
        "gates": [{"name": "good-enough", "threshold": {"metric": "roc_auc", "min": "0.60"}}],
        "champion": CHAMPION,
    },
    status={
        "champion": CHAMPION,
        "championDigest": SERVED,
        "candidates": [{"version": CHAMPION, "verdict": "Champion", "message": "roc_auc 0.693"}],
        "history": [{"version": CHAMPION, "since": AT, "reason": "FirstVersion"}],
    },
)
GATED = {
    **DELAY,
    "spec": {**DELAY["spec"], "gates": GATES},
    "status": {
        **DELAY["status"],
        "history": [
            {"number": 4, "version": CHAMPION, "since": AT, "reason": "Better", "approvedBy": "jane@example.org"}
        ],
        "audit": {"recorded": 4, "number": 9, "sha256": "4" * 64},
    },
}
FRAUD = custom(MODEL, "fraud", {}, status={"champion": FOREIGN, "championDigest": BROUGHT})
RUN = custom(
    TRAINING_RUN,
    "monthly-x7k2p",
    {"pipeline": "monthly", "parameters": {"months": 6}},
    status={
        "revision": "1a2b3c4d",
        "parameters": {"months": "6"},
        "inputs": [{"name": "flights", "dataset": "flights", "version": "flights-aaaaaaaa", "digest": DATA}],
        "steps": [
            {"name": "search", "state": "Succeeded", "cache": "Miss", "job": "delay-search"},
            {"name": "register", "state": "Succeeded"},
        ],
    },
)
PIPELINE = custom(
    TRAINING_PIPELINE,
    "monthly",
    {
        "parameters": [{"name": "months", "type": "Integer", "default": "3"}],
        "inputs": [{"name": "flights", "dataset": "flights"}],
        "steps": [{"name": "search", "train": {"from": "flights", "trainer": {"sklearn": {}}}}],
    },
)
SERVICE = custom(
    INFERENCE_SERVICE,
    "delay",
    {"model": "delay", "auth": {"none": {}}},
    status={"version": CHAMPION, "digest": SERVED, "url": "http://delay.shop.svc:8080"},
)
BATCH = custom(
    BATCH_INFERENCE,
    "tomorrow",
    {
        "model": "delay",
        "input": {"s3": {"uri": "s3://bucket/in/"}},
        "output": {"s3": {"uri": "s3://bucket/out/"}, "format": "CSV"},
    },
    status={
        "history": [
            {"time": AT, "result": "Succeeded", "version": CHAMPION, "output": "s3://bucket/out/", "finishedAt": AT}
        ]
    },
)

EVERYTHING: dict[Api, tuple[dict[str, Any], ...]] = {
    DATASET: (FLIGHTS,),
    EXPERIMENT: (SEARCH,),
    MODEL: (DELAY, FRAUD),
    MODEL_VERSION: (VERSION, BROUGHT_VERSION, UNVERIFIED),
    INFERENCE_SERVICE: (SERVICE,),
    BATCH_INFERENCE: (BATCH,),
    TRAINING_PIPELINE: (PIPELINE,),
    TRAINING_RUN: (RUN,),
}
