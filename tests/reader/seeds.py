"""What collect writes, in the formats of images/README.md: artifacts, records and segments in a namespace's folder of the store."""

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.store.access import Access
from flywheel_runtime.store.s3 import Bucket
from tests.runtime.s3_server import Server

SEGMENT_RECORDS = 256


def canonical(value: object) -> bytes:
    """JSON as the store has it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def new_record(number: int, **changed: Any) -> dict[str, Any]:
    """A record of a trial that succeeded."""
    usual = {
        "v": 1, "number": number, "id": f"uid-1.trial-{number}", "kind": "Experiment", "name": "delay", "uid": "uid-1",
        "step": f"trial-{number}", "attempt": 1, "trial": number, "repeat": 1, "pipeline": None, "run": None, "runUid": None,
        "dataset": "flights", "datasetVersion": "flights-1", "datasetDigest": "sha256:" + "1" * 64, "state": "Succeeded",
        "reason": None, "message": None, "estimator": "LogisticRegression", "parameters": {"C": 0.1 * number},
        "loggedParameters": {}, "metrics": {"roc_auc": 0.5 + number / 100_000}, "tags": {"team": "a"},
        "objective": {"metric": "roc_auc", "maximize": True}, "seed": 1, "code": None, "image": "trainer@sha256:1",
        "node": "node-1", "usage": {"cpuSeconds": 1.0, "memoryPeakBytes": 1}, "startedAt": "2026-11-01T00:00:00Z",
        "finishedAt": "2026-11-01T00:01:00Z", "outputs": {}, "log": False, "logMessage": None, "retention": None,
    }  # fmt: skip
    return usual | changed


@dataclass(frozen=True)
class Seeds:
    """Writes by `put`, a function of key and body, into a namespace's folder."""

    put: Callable[[str, bytes], object]

    @classmethod
    def of_server(cls, server: Server, bucket: str, namespace: str) -> "Seeds":
        """Those of a namespace in one bucket of a real S3 server."""
        access = Access.from_env(server.env(bucket), bucket)
        return cls(lambda key, body: Bucket(access).put(f"{namespace}/{key}", body))

    def artifact(self, files: dict[str, bytes]) -> str:
        """Stores files as an artifact and returns its digest."""
        lines = []
        for path, content in sorted(files.items()):
            sha256 = hashlib.sha256(content).hexdigest()
            self.put(f"blobs/sha256/{sha256[:2]}/{sha256}", content)
            lines.append({"path": path, "sha256": sha256, "size": len(content)})
        manifest = canonical({"files": lines, "v": 1})
        digest = hashlib.sha256(manifest).hexdigest()
        self.put(f"manifests/sha256/{digest}.json", manifest)
        return f"sha256:{digest}"

    def records(self, records: list[dict[str, Any]], *, head: int | None = None, segments: bool = False) -> None:
        """Writes records under their numbers, and a head; with `segments` whole segments replace their records."""
        last = records[-1]["number"]
        whole = last // SEGMENT_RECORDS if segments else 0
        for segment in range(1, whole + 1):
            lines = [canonical(each) for each in records if (each["number"] - 1) // SEGMENT_RECORDS == segment - 1]
            self.put(f"tracking/segments/{segment:010d}.json.gz", gzip.compress(b"\n".join(lines) + b"\n"))
        for record in records:
            # The first of each segment stays, since a reader looks for the next number before it knows the head.
            if record["number"] > whole * SEGMENT_RECORDS or record["number"] % SEGMENT_RECORDS == 1:
                self.put(f"tracking/log/{record['number']:010d}.json", canonical(record))
        self.put("tracking/head.json", canonical({"v": 1, "number": last if head is None else head}))

    def trial(self, number: int, files: dict[str, bytes], **changed: Any) -> dict[str, Any]:
        """A record with a tracking output."""
        digest = self.artifact(files)
        outputs = {"tracking": {"digest": digest, "size": sum(map(len, files.values())), "files": len(files)}}
        return new_record(number, outputs=outputs, log="main.log.gz" in files, **changed)
