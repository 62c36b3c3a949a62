"""Model `delay`, its versions as objects of the cluster and as `observe` finds them, and what is decided about them."""

from dataclasses import replace
from typing import Any

from flywheel.core.resource.api import MODEL_VERSION, Manifest
from flywheel.core.resource.plan import Plan
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.decide import decide
from flywheel.kinds.model.kind import KIND
from flywheel.kinds.model.observe import Seen, Version
from flywheel.kinds.model.schema.status import ModelStatus
from tests.simulation import NOON, resource
from tests.simulation.resources import custom

OBJECTIVE = {"objective": {"metric": "roc_auc"}, "defaultGates": "Disabled"}
DIGEST = "sha256:" + "a" * 64
TEST, OTHER_TEST = "sha256:" + "1" * 64, "sha256:" + "2" * 64
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Verified",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
STATUS = {"digest": DIGEST, "metrics": {"roc_auc": "0.7"}, "testDigest": DIGEST, "conditions": [READY]}


def version_manifest(name: str, model: str = "delay", status: Any = None, **spec: Any) -> Manifest:
    """A ModelVersion as the API server has it."""
    source = {"artifact": {"digest": DIGEST}}
    return custom(MODEL_VERSION, name, {"model": model, "source": source, **spec}, status=status or {})


def version(name: str, roc_auc: str | None = None, **more: Any) -> Version:
    """A verified version as it is observed; the later in the alphabet, the newer."""
    facts: dict[str, Any] = {
        "uid": f"uid-{name}",
        "created": f"2026-01-01T00:00:{ord(name[0]) % 60:02d}Z",
        "ready": True,
        "digest": "sha256:" + name[0] * 64,
        "metrics": {"roc_auc": roc_auc} if roc_auc else {},
        "test_digest": TEST,
        "registered": True,
    }
    return Version(name, **{**facts, **more})


def model(spec: dict[str, Any] | None = None, before: Plan | None = None) -> Model:
    """Model `delay`, as it was left by an earlier plan."""
    found: Model = resource(KIND, "delay", {**OBJECTIVE, **(spec or {})})
    return replace(found, status=ModelStatus.model_validate(before.status)) if before else found


def plan_for(*versions: Version, spec: dict[str, Any] | None = None, before: Plan | None = None, **seen: Any) -> Plan:
    """What is decided about these versions."""
    return decide(model(spec, before), Seen(versions, now=NOON, **seen))
