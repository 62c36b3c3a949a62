"""Every route of the reader with an object behind it, the right that opens it, and what its response has that nobody else may learn.

The tests on this table fail for a route of the application that is not in it.
"""

import gzip
import io
import json
from dataclasses import dataclass
from typing import Any

from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

from tests.reader.seeds import Seeds

EXPERIMENT, RUN, PIPELINE, DATASET, VERSION, SERVICE = "delay", "nightly-1", "nightly", "flights", "delay-1", "delays"
MONITOR, MODEL = "delay-drift", "delay"
DATASET_VERSION = "flights-0123abcd"
TRIAL, STEP = "uid-delay.trial-1", "uid-nightly.fit"
GONE_RUN, EVALUATION = "nightly-0", "uid-gone.evaluate"  # a run that was deleted, and the record of its step
BASE = "/v1/namespaces/{namespace}"
SECRET = "TheSecretOfTheTenant"  # a part of all names and values that only those with the right may learn


@dataclass(frozen=True)
class Route:
    """One request: the template of its route, its path, and the right that it needs, as (verb, resource, name)."""

    template: str
    path: str
    right: tuple[str, str, str]
    shows: str = SECRET


def _trial(path: str = "", shows: str = SECRET) -> Route:
    template = {"files/curve.txt": "/files/{path}"}.get(path, f"/{path}" if path else "")
    base = f"/trials/{TRIAL}/{path}".rstrip("/")
    return Route(
        f"/trials/{{id}}{template}", f"{base}?experiment={EXPERIMENT}", ("get", "experiments", EXPERIMENT), shows
    )


_VERSIONS = f"/datasets/{DATASET}/versions/{DATASET_VERSION}"
_TEMPLATE = "/datasets/{name}/versions/{version}"
READ_DATASET = ("read-data", "datasets", DATASET)
ROUTES = (
    Route("/trials", "/trials", ("list", "experiments", "")),
    Route("/trials", f"/trials?experiment={EXPERIMENT}", ("get", "experiments", EXPERIMENT)),
    Route("/trials", f"/trials?run={RUN}", ("get", "trainingruns", RUN)),
    Route("/trials", f"/trials?pipeline={PIPELINE}", ("get", "trainingpipelines", PIPELINE)),
    _trial(),
    Route("/trials/{id}", f"/trials/{STEP}?run={RUN}", ("get", "trainingruns", RUN)),
    _trial("log"),
    _trial("curves"),
    _trial("files/curve.txt"),
    Route("/trials/{id}/outputs/{output}/{path}", f"/trials/{TRIAL}/outputs/model/evaluation.json?experiment={EXPERIMENT}", ("get", "experiments", EXPERIMENT)),
    Route("/trials/{id}/outputs/{output}/{path}", f"/trials/{EVALUATION}/outputs/evaluation/report.json?run={GONE_RUN}", ("get", "trainingruns", GONE_RUN)),
    Route("/modelversions/{name}", f"/modelversions/{VERSION}", ("get", "modelversions", VERSION)),
    Route("/modelversions/{name}/files/{path}", f"/modelversions/{VERSION}/files/evaluation.json", ("get", "modelversions", VERSION)),
    Route("/modelversions/{name}/files/{path}", f"/modelversions/{VERSION}/files/model.onnx", ("read-data", "modelversions", VERSION)),
    Route("/modelversions/{name}/files/{path}", f"/modelversions/{VERSION}/files/golden.json", ("read-data", "modelversions", VERSION)),
    Route("/modelversions/{name}/gates/{path}", f"/modelversions/{VERSION}/gates/gates.json", ("read-data", "modelversions", VERSION)),
    Route("/modelversions/{name}/gates/{path}", f"/modelversions/{VERSION}/gates/replay-yesterday.json", ("read-data", "inferenceservices", "")),
    Route("/modelmonitors/{name}/report", f"/modelmonitors/{MONITOR}/report", ("read-data", "modelmonitors", MONITOR)),
    Route("/modelmonitors/{name}/report", f"/modelmonitors/{MONITOR}/report?format=json", ("read-data", "modelmonitors", MONITOR)),
    Route(f"{_TEMPLATE}/profile", f"{_VERSIONS}/profile", ("get", "datasets", DATASET)),
    Route(f"{_TEMPLATE}/report", f"{_VERSIONS}/report", ("get", "datasets", DATASET)),
    Route(f"{_TEMPLATE}/rows", f"{_VERSIONS}/rows", READ_DATASET),
    Route(f"{_TEMPLATE}/rows", f"{_VERSIONS}/rows?format=arrow", READ_DATASET),
    Route(f"{_TEMPLATE}/files", f"{_VERSIONS}/files", READ_DATASET, "train.parquet"),
    Route(f"{_TEMPLATE}/files/{{path}}", f"{_VERSIONS}/files/schema.json", READ_DATASET),
    Route("/trainingruns/{name}/steps/{step}/report", f"/trainingruns/{RUN}/steps/evaluate/report", ("get", "trainingruns", RUN)),
    Route("/trainingruns/{name}/steps/{step}/report", f"/trainingruns/{GONE_RUN}/steps/evaluate/report", ("get", "trainingruns", GONE_RUN)),
    Route(
        "/inferenceservices/{name}/predictions",
        f"/inferenceservices/{SERVICE}/predictions?from=2026-11-01T10:00:00Z&to=2026-11-01T12:00:00Z",
        ("read-data", "inferenceservices", SERVICE),
    ),
    Route(
        "/inferenceservices/{name}/prediction",
        f"/inferenceservices/{SERVICE}/prediction?id=request-1&around=2026-11-01T11:30:00Z",
        ("read-data", "inferenceservices", SERVICE),
    ),
    Route("/models/{name}/audit", f"/models/{MODEL}/audit", ("get", "models", MODEL)),
)  # fmt: skip


def parquet_bytes(columns: dict[str, Any]) -> bytes:
    """A Parquet file."""
    file = io.BytesIO()
    write_parquet(Table.from_pydict(columns), file)
    return file.getvalue()


def seed_store(seeds: Seeds) -> dict[str, str]:
    """Writes what the routes read; returns the digests of the model and of the evaluation."""
    texts = Array([SECRET, "other"], DataType.string())
    rows = parquet_bytes({"name": texts, "value": Array([1.5, 2.5], DataType.float64())})
    profile = {"columns": {SECRET: {"content": "Category", "categories": ["a value of the data"]}}}
    report = {
        "rows": 2,
        "anomalies": [
            {
                "kind": "NewCategory",
                "severity": "Warning",
                "column": SECRET,
                "count": 1,
                "message": "'a value of the data'",
                "examples": ["a value of the data"],
            }
        ],
    }
    documents = {
        "profile.json": profile,
        "report.json": report,
        "schema.json": {"rows": {"train": 2}, "target": SECRET},
    }
    data = seeds.artifact(
        {"train.parquet": rows, **{name: json.dumps(each).encode() for name, each in documents.items()}}
    )
    secret = SECRET.encode()
    curve = json.dumps({"step": 0, "name": SECRET, "value": 0.5}).encode()
    files = {"main.log.gz": gzip.compress(secret), "metrics.jsonl": curve, "curve.txt": secret}
    of_data = {
        "dataset": DATASET,
        "datasetVersion": DATASET_VERSION,
        "datasetDigest": data,
        "parameters": {"C": SECRET},
    }
    trial = seeds.trial(1, files, id=TRIAL, uid="uid-delay", name=EXPERIMENT, pipeline=PIPELINE, **of_data)
    step = seeds.trial(
        2, {}, id=STEP, uid="uid-nightly", kind="TrainingRun", name=RUN, step="fit", pipeline=PIPELINE, **of_data
    )
    model = seeds.artifact(dict.fromkeys(("evaluation.json", "model.onnx", "golden.json", f"{SECRET}.txt"), secret))
    evaluation = {"metric": SECRET, "slices": {"carrier": {"values": [{"value": "a value of the data", "rows": 2}]}}}
    report_files = seeds.artifact({"report.json": json.dumps(evaluation).encode(), "report.md": secret})
    trial["outputs"]["model"] = {"digest": model}
    gone = seeds.trial(3, {}, id=EVALUATION, uid="uid-gone", kind="TrainingRun", name=GONE_RUN, step="evaluate")
    gone["outputs"]["evaluation"] = {"digest": report_files}
    seeds.records([trial, step, gone])
    seeds.put("predictions/delays/rows/dt=2026-11-01/hour=11/pod=a/a-0-0.parquet", rows)
    of_request = {"id": Array(["request-1"], DataType.string()), "name": Array([SECRET], DataType.string())}
    seeds.put("predictions/delays/rows/dt=2026-11-01/hour=11/pod=a/a-0-1.parquet", parquet_bytes(of_request))
    seeds.put(f"audit/{MODEL}/00000001.json", json.dumps({"number": 1, "version": SECRET}).encode())
    monitored = seeds.artifact({"report.json": secret, "report.html": secret})
    gates = seeds.artifact({"gates.json": secret, "replay-yesterday.json": secret})
    return {"model": model, "evaluation": report_files, "monitored": monitored, "gates": gates}


def objects(digests: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """(resource, object) of the cluster that lead to artifacts."""
    head = {"apiVersion": "flywheel.ml/v1alpha1"}
    gates = {
        "digest": digests["model"],
        "gates": "0123456789abcdef",
        "at": "2026-11-01T12:00:00Z",
        "artifact": digests["gates"],
    }
    version = {
        **head,
        "kind": "ModelVersion",
        "metadata": {"name": VERSION},
        "spec": {"model": "delay", "source": {"artifact": {"digest": digests["model"]}}},
        "status": {"digest": digests["model"], "gates": gates},
    }
    steps = [{"name": "evaluate", "state": "Succeeded", "outputs": {"evaluation": digests["evaluation"]}}]
    run = {
        **head,
        "kind": "TrainingRun",
        "metadata": {"name": RUN},
        "spec": {"pipeline": PIPELINE},
        "status": {"steps": steps, "result": "Succeeded"},
    }
    monitor = {
        **head,
        "kind": "ModelMonitor",
        "metadata": {"name": MONITOR},
        "spec": {"inferenceService": SERVICE},
        "status": {"report": {"digest": digests["monitored"]}},
    }
    return [("modelversions", version), ("trainingruns", run), ("modelmonitors", monitor)]
