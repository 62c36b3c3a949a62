"""A service, its log, a version with a real model, and its audit records, as a reader and an API server give them."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from e2e.onnx_models import classifier
from tests.client.local_cluster import Call, LocalCluster, Reply, artifact, reader_error

ID = "3f12b3b13160-1c8a4f2-7"
BASE = "/v1/namespaces/shop"
MODEL = classifier({"month": 0.25, "hour": -0.5}, 1.0)
SIGNATURE = {
    "v": 1,
    "inputs": [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in ("month", "hour")],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ],
}
FILES = {"model.onnx": MODEL, "signature.json": json.dumps(SIGNATURE).encode()}
DIGEST, ENTRIES = artifact(FILES)
# What onnxruntime gives for month 3 and hour 1.5: both numbers are those of 32 bits.
FEATURES = {"month": 3.0, "hour": 1.5}
OUTPUTS = {"label": 1, "probabilities": [0.2689414322376251, 0.7310585975646973]}


def row(**changed: Any) -> dict[str, Any]:
    """The row of the log."""
    usual = {
        "id": ID,
        "row": 0,
        "time": "2026-11-29T11:00:00+00:00",
        "version": "delay-1",
        "digest": DIGEST,
        "route": "Direct",
        "latency_seconds": 0.002,
    }
    return {**usual, "features": FEATURES, "outputs": OUTPUTS, **changed}


def chain(*entries: dict[str, Any], model: str = "delay") -> list[str]:
    """Audit records as collect writes them."""
    texts: list[str] = []
    for number, entry in enumerate(entries, start=1):
        previous = hashlib.sha256(texts[-1].encode()).hexdigest() if texts else None
        body = {
            "v": 1,
            "number": number,
            "previous": previous,
            "time": f"2026-11-{number:02}T00:00:00Z",
            "model": model,
            **entry,
        }
        texts.append(json.dumps(body, sort_keys=True, separators=(",", ":")))
    return texts


GATES = [{"name": "quality", "passed": True, "message": "0.81 is above 0.7"}]
APPROVAL = {"by": "jane", "at": "2026-11-02T10:00:00Z", "reason": "ticket 7", "digest": DIGEST}
MEASURED = {"event": "Measured", "version": "delay-1", "digest": DIGEST, "found": {"facts": {"gates": GATES}}}
PROMOTED = {
    "event": "Promoted",
    "version": "delay-1",
    "digest": DIGEST,
    "since": "2026-11-03T00:00:00Z",
    "approvedBy": APPROVAL["by"],
    "approvedAt": APPROVAL["at"],
    "message": "better by 0.01",
}
RECORDS = chain(
    {"event": "Verified", "version": "delay-0"},
    {"event": "Verified", "version": "delay-1"},
    MEASURED,
    PROMOTED,
    {"event": "Verified", "version": "delay-2"},
)


@dataclass
class SampleService:
    """What the cluster has; tests change it before they ask."""

    cluster: LocalCluster
    rows: list[dict[str, Any]] = field(default_factory=lambda: [row()])
    columns: Any = field(default_factory=dict)
    others: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)

    def build(self) -> None:
        """Adds the objects and the reader's routes."""
        add, reader = self.cluster.add, self.cluster.reader
        add(
            "inferenceservices",
            {"metadata": {"name": "delay", "namespace": "shop"}, "spec": {"logging": {"sample": "100%"}}},
        )
        gates = {"entries": GATES, "at": "2026-11-02T00:00:00Z"}
        status = {"digest": DIGEST, "verifiedAt": "2026-11-02T00:00:00Z", "gates": gates, "approval": APPROVAL}
        add(
            "modelversions",
            {"metadata": {"name": "delay-1", "namespace": "shop"}, "spec": {"model": "delay"}, "status": status},
        )
        audit = {"number": 3, "sha256": hashlib.sha256(RECORDS[2].encode()).hexdigest()}
        add("models", {"metadata": {"name": "delay", "namespace": "shop"}, "spec": {}, "status": {"audit": audit}})
        reader[f"{BASE}/inferenceservices/delay/prediction"] = self._prediction
        reader[f"{BASE}/models/delay/audit"] = Reply(
            {"items": [{"number": each, "text": RECORDS[each - 1]} for each in (5, 4, 3, 2, 1)], "next": None}
        )
        reader[f"{BASE}/modelversions/delay-1"] = Reply({"digest": DIGEST, "files": ENTRIES})
        for name, content in FILES.items():
            reader[f"{BASE}/modelversions/delay-1/files/{name}"] = Reply(content, is_file=True)

    def _prediction(self, call: Call) -> Reply:
        self.queries.append(dict(call.query))
        found = [each for each in self.rows if each["id"] == dict(call.query)["id"]]
        if not found:
            return reader_error(
                404, "NotFound", "InferenceService 'delay' has no logged row with the id", searched={"files": 3}
            )
        return Reply(
            {
                "items": found,
                "file": "dt=2026-11-29/hour=11/pod=a/a-0-0.parquet",
                "columns": self.columns,
                "others": self.others,
                "searched": {"files": 1, "isComplete": True},
            }
        )
