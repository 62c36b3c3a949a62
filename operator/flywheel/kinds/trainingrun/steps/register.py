"""The step register: a ModelVersion that belongs to nobody, and what its Model says of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource import conditions
from flywheel.core.resource.api import MODEL, MODEL_VERSION, Reference
from flywheel.core.resource.conditions import STALLED
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.steps.executor import Order, Seen

OPEN = frozenset(("NotReady", "Measuring"))  # verdicts that another one will follow


@dataclass(frozen=True)
class Registering:
    """See Worker."""

    def children(self, run: TrainingRun, order: Order) -> tuple[Child, ...]:
        """The Model, where there is none, and the version; a second registration of the same bytes meets the first."""
        wanted, model = order.step.register_, order.taken["model"]
        assert wanted is not None, "chosen by the step's kind"
        spec: dict[str, Any] = {
            "model": str(wanted.model),
            "source": {"artifact": {"digest": model.digest}},
            "path": model.facts.get("path", "model.onnx"),
            "lineage": _lineage(run, order),
        }
        if model.facts.get("declared") and model.metrics:
            spec["metrics"] = dict(sorted(model.metrics.items())[:32])
        manifest = {
            "apiVersion": MODEL_VERSION.api_version,
            "kind": MODEL_VERSION.kind,
            "metadata": {"name": version_name(str(wanted.model), model.digest)},
            "spec": spec,
        }
        return _model(str(wanted.model), model.facts), Child(MODEL_VERSION, manifest, create_only=True, owned=False)

    def identity(self, run: TrainingRun, order: Order) -> Mapping[str, Any] | str:
        """See Worker."""
        return "the Model decides anew"

    def read(self, run: TrainingRun, name: str, cluster: Cluster) -> Seen:
        """The verdict of its Model, once there is one that stays."""
        version = cluster.get(Reference(MODEL_VERSION, run.namespace, name))
        if version is None:
            return Seen(exists=False)
        ready, stalled = conditions.find_condition(version), conditions.find_condition(version, STALLED)
        if ready.get("status") != "True" and stalled.get("status") == "True":
            words = f"ModelVersion '{name}': {ready.get('message', '')}"[:512]
            return Seen(exists=True, outcome=Outcome("Failed", str(ready.get("reason", "NotVerified")), words))
        model = cluster.get(Reference(MODEL, run.namespace, version["spec"]["model"])) or {}
        status = model.get("status") or {}
        verdict = next((each for each in status.get("candidates") or () if each["version"] == name), None)
        if verdict is None or verdict["verdict"] in OPEN:
            return Seen(exists=True, note=str(verdict["message"]) if verdict else str(ready.get("message", "")))
        facts = {"version": name, "verdict": verdict["verdict"], "message": verdict.get("message", "")[:512]}
        return Seen(exists=True, outcome=Outcome("Succeeded", verdict["verdict"], "", facts=facts))


def version_name(model: str, digest: str) -> str:
    """A version is named by what it is."""
    return f"{model}-{digest[7:15]}"


def _model(name: str, facts: Mapping[str, str]) -> Child:
    objective = {field: facts[field] for field in ("metric", "direction") if facts.get(field)}
    spec = {"objective": objective} if "metric" in objective else {}
    manifest = {"apiVersion": MODEL.api_version, "kind": MODEL.kind, "metadata": {"name": name}, "spec": spec}
    return Child(MODEL, manifest, create_only=True, owned=False)


def _lineage(run: TrainingRun, order: Order) -> dict[str, Any]:
    facts = order.taken["model"].facts
    parameters = {name: str(value)[:256] for name, value in json.loads(facts.get("parameters", "{}")).items()}
    if facts.get("estimator"):
        parameters = {"estimator": facts["estimator"], **parameters}
    used = order.context.get("data") or {}
    told = {
        "pipeline": str(run.spec.pipeline),
        "run": run.name,
        "revision": run.status.revision,
        "experiment": facts.get("experiment"),
        "experimentUid": facts.get("experimentUid"),
        "trial": int(facts["trial"]) if facts.get("trial") else None,
        "seed": int(facts["seed"]) if facts.get("seed") else None,
        "dataset": used.get("dataset"),
        "datasetVersion": used.get("version"),
        "datasetDigest": used.get("digest"),
        "image": order.context.get("image") or order.settings.runtime_image,
    }
    lineage = {name: value for name, value in told.items() if value is not None}
    return {**lineage, **({"parameters": dict(sorted(parameters.items())[:64])} if parameters else {})}


REGISTERING = Registering()
