"""The step register: a ModelVersion without an owner, and the verdict of its Model."""

import json
from collections.abc import Mapping
from typing import Any

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource.api import MODEL, MODEL_VERSION, Manifest, Reference
from flywheel.core.resource.conditions import STALLED, find_condition
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingpipeline.schema.steps import Register
from flywheel.kinds.trainingrun.steps.attempt import Attempt, AttemptSeen

PRELIMINARY_VERDICTS = frozenset(("NotReady", "Measuring"))


def model_and_version(attempt: Attempt, wanted: Register) -> tuple[Child, ...]:
    """The Model, if there is none, and the version, whose name has the artifact's digest: the same bytes are registered once."""
    name, model = str(wanted.model), attempt.inputs["model"]
    spec: dict[str, Any] = {
        "model": name,
        "source": {"artifact": {"digest": model.digest}},
        "path": model.facts.get("path", "model.onnx"),
        "lineage": _lineage(attempt),
    }
    if model.facts.get("declared") and model.metrics:
        spec["metrics"] = dict(sorted(model.metrics.items())[:32])
    manifest = MODEL_VERSION.manifest(f"{name}-{model.digest[7:15]}", spec=spec)
    return _model(name, model.facts), Child(MODEL_VERSION, manifest, create_only=True, owned=False)


def read_registration(version: Manifest, cluster: Cluster) -> AttemptSeen:
    """The verdict of the version's Model as an outcome, once it is final."""
    name, namespace = version["metadata"]["name"], version["metadata"]["namespace"]
    ready, stalled = find_condition(version), find_condition(version, STALLED)
    if ready.get("status") != "True" and stalled.get("status") == "True":
        message = f"ModelVersion '{name}': {ready.get('message', '')}"[:512]
        return AttemptSeen(outcome=Outcome("Failed", str(ready.get("reason", "NotVerified")), message))
    model = cluster.get(Reference(MODEL, namespace, version["spec"]["model"])) or {}
    candidates = (model.get("status") or {}).get("candidates") or ()
    candidate = next((each for each in candidates if each["version"] == name), None)
    if candidate is None or candidate["verdict"] in PRELIMINARY_VERDICTS:
        return AttemptSeen(note=str((candidate or ready).get("message", "")))
    verdict = candidate["verdict"]
    facts = {"version": name, "verdict": verdict, "message": candidate.get("message", "")[:512]}
    return AttemptSeen(outcome=Outcome("Succeeded", verdict, "", facts=facts))


def _model(name: str, facts: Mapping[str, str]) -> Child:
    objective = {field: facts[field] for field in ("metric", "direction") if facts.get(field)}
    spec = {"objective": objective} if "metric" in objective else {}
    return Child(MODEL, MODEL.manifest(name, spec=spec), create_only=True, owned=False)


def _lineage(attempt: Attempt) -> dict[str, Any]:
    run, facts = attempt.context.run, attempt.inputs["model"].facts
    parameters = {name: str(value)[:256] for name, value in json.loads(facts.get("parameters", "{}")).items()}
    if facts.get("estimator"):
        parameters = {"estimator": facts["estimator"], **parameters}
    data = attempt.details.get("data") or {}
    fields = {
        "pipeline": str(run.spec.pipeline),
        "run": run.name,
        "revision": run.status.revision,
        "experiment": facts.get("experiment"),
        "experimentUid": facts.get("experimentUid"),
        "trial": int(facts["trial"]) if facts.get("trial") else None,
        "seed": int(facts["seed"]) if facts.get("seed") else None,
        "dataset": data.get("dataset"),
        "datasetVersion": data.get("version"),
        "datasetDigest": data.get("digest"),
        "prepared": data.get("prepared"),
        "featureSets": data.get("featureSets"),
        **(attempt.details.get("code") or {}),
        "image": attempt.details.get("image") or attempt.context.settings.runtime_image,
        "parameters": dict(sorted(parameters.items())[:64]) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
