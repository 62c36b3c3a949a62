"""ModelVersions, and how their verify Jobs end."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import MODEL, Manifest
from flywheel.kinds.modelversion.children import ModelVersion
from flywheel.kinds.modelversion.kind import KIND
from tests.simulation import resource, terminated_state, waiting_state
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

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


class Version(Simulator):
    """One ModelVersion, and how its Jobs end."""

    def __init__(self, start: ModelVersion, *manifests: Manifest) -> None:
        super().__init__(KIND, start, *manifests)

    def end(self, attempt: int, collect: Mapping[str, Any] | None = None, **pod_fields: Any) -> None:
        """End the verify Job of an attempt: well with collect's message, or as the fields of its pod say."""
        self.end_any(names.job(self.resource, "verify", attempt), collect, **pod_fields)

    def end_any(self, name: str, collect: Mapping[str, Any] | None = None, **pod_fields: Any) -> None:
        """End a Job, as `end`."""
        init = {"collect": terminated_state(0, collect), "fetch": terminated_state(0)} if collect else {}
        self.end_job(name, failed=not collect, **{"main": terminated_state(0), "init": init, **pod_fields})

    def succeed(self, attempt: int = 1, *, packed: bool = False, **changes: Any) -> None:
        """End the verify Job of an attempt well."""
        outputs = {"model": {"digest": PACKED, "size": 1, "files": 2}} if packed else {}
        message = {
            "v": 1,
            "phase": "Finished",
            "complete": True,
            "outputs": outputs,
            "metrics": METRICS,
            "facts": FACTS,
        }
        self.end(attempt, {**message, **changes})

    def fail_fetch(self, attempt: int, reason: str, message: str, *, retry: bool) -> None:
        """End the verify Job of an attempt with a failure of fetch."""
        error = {"v": 1, "reason": reason, "message": message, "retry": retry}
        self.end(
            attempt, init={"fetch": terminated_state(1 if retry else 2, error)}, main=waiting_state(), phase="Failed"
        )
