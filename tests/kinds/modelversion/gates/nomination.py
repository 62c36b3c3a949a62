"""A version that its Model nominates for promotion."""

from typing import Any

from flywheel.core.resource.api import MODEL, Manifest
from flywheel.kinds.model.schema.spec import ModelSpec
from tests.kinds.modelversion.situations import Version, trained
from tests.simulation.resources import custom

RIVAL, DATA, OLD_DATA = ("sha256:" + digit * 64 for digit in "3d9")
SPEC = {
    "objective": {"metric": "roc_auc"},
    "defaultGates": "Disabled",
    "gates": [
        {"name": "better", "champion": {"metric": "roc_auc", "minGain": "0.002", "confidence": "95%"}},
        {"name": "quick", "serving": {"p95": "20ms"}},
    ],
}


def model(challenger: str | None = "flight-delay-3f9a1c2e", rival: str | None = RIVAL, **spec: Any) -> Manifest:
    """The Model, which nominates a version."""
    whole = {**SPEC, **spec}
    content: dict[str, Any] = {"version": challenger, "gates": ModelSpec.model_validate(whole).gates_hash()}
    if rival is not None:
        content |= {"champion": "flight-delay-old", "championDigest": rival}
    status = {"champion": "flight-delay-old", **({"challenger": content} if challenger else {})}
    return custom(MODEL, "flight-delay", whole, status=status)


def nominated_version(*more: Manifest, nominated: Manifest | None = None) -> Version:
    """A verified version, all looks done."""
    lineage = {"lineage": {"experiment": "search", "dataset": "flights", "datasetDigest": DATA}}
    found = Version(trained(spec=lineage), model(challenger=None), *more)
    found.reconcile()
    found.succeed()
    found.reconcile()
    found.reconcile()
    assert found.job_names() == []
    found.put(nominated or model())
    return found
