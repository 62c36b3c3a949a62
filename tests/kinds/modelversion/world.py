"""ModelVersions, and how their verify Jobs end."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, MODEL, Manifest
from flywheel.core.resource.conditions import updated_conditions
from flywheel.core.resource.plan import Plan
from flywheel.kinds.batchinference.kind import KIND as BATCHES
from flywheel.kinds.inferenceservice.kind import KIND as SERVICES
from flywheel.kinds.modelversion.children import ModelVersion
from flywheel.kinds.modelversion.decide import decide
from flywheel.kinds.modelversion.kind import KIND
from flywheel.kinds.modelversion.observe import observe
from flywheel.testing import FakeCluster, job, pod, resource, terminated, waiting
from flywheel.testing.resources import custom

TRAINED = "sha256:" + "a" * 64
PACKED = "sha256:" + "b" * 64
SHA256 = "c" * 64
FACTS = {
    "signature": {
        "inputs": [{"name": "month", "datatype": "FP32", "shape": [-1, 1]}],
        "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
    },
    "golden": {"rows": 50, "maxDifference": 9e-8},
    "testDigest": "sha256:" + "d" * 64,
    "loadSeconds": 0.2,
}
METRICS = {"roc_auc": 0.7421934871, "p50_ms": 0.31, "p95_ms": 0.42, "size_bytes": 47123}


def trained(**more: Any) -> ModelVersion:
    """A version that an Experiment made."""
    spec = {
        "model": "flight-delay",
        "source": {"artifact": {"digest": TRAINED}},
        "lineage": {"experiment": "search", "trial": 9, "dataset": "flights"},
    }
    found: ModelVersion = resource(KIND, "flight-delay-3f9a1c2e", {**spec, **more.pop("spec", {})}, **more)
    return found


def brought(**source: Any) -> ModelVersion:
    """A version that somebody brought along; `source` replaces the installation's own store."""
    spec = {
        "model": "fraud",
        "source": {**(source or {"s3": {"uri": "s3://acme/models/fraud.onnx"}}), "sha256": SHA256},
        "metrics": {"roc_auc": "0.91"},
    }
    found: ModelVersion = resource(KIND, "fraud-1", spec)
    return found


def model(name: str = "flight-delay", champion: str | None = None) -> Manifest:
    """The Model of a version."""
    status = {"champion": champion} if champion else {}
    return custom(MODEL, name, {"objective": {"metric": "roc_auc"}}, status=status)


class World:
    """One version in its cluster, step by step as the engine would go."""

    def __init__(self, version: ModelVersion, *manifests: Manifest) -> None:
        self.version = version
        self.cluster = FakeCluster(*manifests, kinds=(KIND, SERVICES, BATCHES))
        self.plan = Plan(ready=None, reason="", message="", status=version.status)

    def look(self) -> Plan:
        """Observe, decide, and do it."""
        self.plan = decide(self.version, observe(self.version, self.cluster))
        self.cluster.apply_plan(self.version, self.plan)
        told = updated_conditions(
            self.plan, self.version.status.conditions, self.version.generation, self.cluster.now, bounded=False
        )
        self.change(status=self.plan.status.model_copy(update={"conditions": told}))
        return self.plan

    def change(self, **fields: Any) -> None:
        """Let the resource become another, in its own fields."""
        raw = {**self.version.__dict__, **fields}
        self.version = type(self.version)(**raw)

    @property
    def jobs(self) -> list[str]:
        """The names of all Jobs."""
        return [each["metadata"]["name"] for each in self.cluster.children(self.version.uid, JOB)]

    def ends(self, attempt: int, collect: Mapping[str, Any] | None = None, **pod_fields: Any) -> None:
        """Let the Job of an attempt end: with collect's message, or with what the pod's fields say."""
        name = names.job(self.version, "verify", attempt)
        init = {"collect": terminated(0, collect), "fetch": terminated(0)} if collect else {}
        fields: dict[str, Any] = {"main": terminated(0), "init": init, **pod_fields}
        ended = job(self.version, name, state="Complete" if collect else "Failed")
        self.cluster.put(ended, pod(self.version, f"{name}-x", job=name, **fields))

    def succeeds(self, attempt: int = 1, *, packed: bool = False, **changes: Any) -> None:
        """Let it end well."""
        outputs = {"model": {"digest": PACKED, "size": 1, "files": 2}} if packed else {}
        told = {"v": 1, "phase": "Finished", "complete": True, "outputs": outputs, "metrics": METRICS, "facts": FACTS}
        self.ends(attempt, {**told, **changes})

    def fetch_fails(self, attempt: int, reason: str, message: str, *, retry: bool) -> None:
        """Let fetch end it."""
        told = {"v": 1, "reason": reason, "message": message, "retry": retry}
        self.ends(
            attempt,
            init={"fetch": terminated(1 if retry else 2, told)},
            main=waiting(),
            phase="Failed",
        )
