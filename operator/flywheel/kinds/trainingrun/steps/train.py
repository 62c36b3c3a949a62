"""The step train: an Experiment that the run owns."""

import json
from collections.abc import Mapping
from typing import Any

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource import names
from flywheel.core.resource.api import EXPERIMENT, Manifest
from flywheel.core.resource.conditions import STALLED, SUCCEEDED, find_condition
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingpipeline.schema.steps import Train
from flywheel.kinds.trainingrun.steps.attempt import Attempt, AttemptSeen
from flywheel.kinds.trainingrun.steps.step_states import FEATURE_SETS

MAX_EXPERIMENT_NAME_LENGTH = 52
MAX_TEST_TRIALS = 2  # of a test run
# Fields of an Experiment's spec that do not change which model comes out.
NOT_IN_IDENTITY = ("placement", "resources", "parallelism", "checkpoint", "artifact")


def experiment(attempt: Attempt, wanted: Train) -> Child:
    """An Experiment on the prepared data, named `<run>-<step>`, with the attempt's number from the second on."""
    suffix = f"-{attempt.step.name}" + (f"-{attempt.number}" if attempt.number > 1 else "")
    name = names.truncate(attempt.context.run.name + suffix, MAX_EXPERIMENT_NAME_LENGTH)
    context = attempt.context
    metadata = {
        "labels": dict(context.tags),
        "annotations": {
            names.RUN_ANNOTATION: context.run.name,
            names.PIPELINE_ANNOTATION: str(context.run.spec.pipeline),
        },
    }
    retention = {"retention": context.retention} if context.retention else {}
    spec = {**_spec(attempt, wanted), **retention}
    return Child(EXPERIMENT, EXPERIMENT.manifest(name, metadata=metadata, spec=spec), create_only=True)


def experiment_identity(attempt: Attempt, wanted: Train) -> Mapping[str, Any] | str:
    """Everything that decides which model comes out; the image of a container trainer must be named by digest."""
    spec, runtime_image = _spec(attempt, wanted), attempt.context.settings.runtime_image
    image = (spec["trainer"].get("container") or {}).get("image")
    if image is not None and "@sha256:" not in image and image != runtime_image:
        return f"image '{image[:60]}' has no digest"
    if wanted.feature_sets and not attempt.feature_sets:
        return "it waits for a FeatureSet"
    search = {name: value for name, value in spec.items() if name not in NOT_IN_IDENTITY}
    pins = {"featureSets": spec["artifact"]["featureSets"]} if attempt.feature_sets else {}
    return {"image": image or runtime_image, "experiment": search, "data": attempt.inputs["data"].digest, **pins}


def read_experiment(experiment: Manifest) -> AttemptSeen:
    """The Experiment's condition Succeeded as an outcome, or what it waits for."""
    name, status = experiment["metadata"]["name"], experiment.get("status") or {}
    succeeded, ready = find_condition(experiment, SUCCEEDED).get("status"), find_condition(experiment)
    if succeeded == "True":
        return AttemptSeen(outcome=_outcome(name, experiment, status))
    message = f"Experiment '{name}': {ready.get('message', '')}"
    if succeeded == "False" and find_condition(experiment, STALLED).get("status") == "True":
        return AttemptSeen(outcome=Outcome("Failed", str(ready.get("reason", "Failed")), message[:512]))
    if ready.get("reason") in ("Pending", "JoiningFeatures", "Searching", "Registering", None):
        return AttemptSeen(note=str(status.get("summary") or ""))
    return AttemptSeen(diagnosis=Diagnosis(str(ready["reason"]), message))


def _spec(attempt: Attempt, wanted: Train) -> dict[str, Any]:
    data = attempt.inputs["data"]
    spec = wanted.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude={"from_"})
    # A default that the API server fills in anyway, so that the search's own rules see it.
    spec |= {"search": {"algorithm": "TPE", "seed": 0} | spec.get("search", {})}
    spec["trainer"] = wanted.trainer.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
    ) or {"sklearn": {}}
    if attempt.reproduced:
        spec |= _best_trial_alone(spec["trainer"], attempt.reproduced)
    if attempt.context.sample:
        spec["budget"] = {**spec.get("budget", {}), "maxTrials": MAX_TEST_TRIALS}
    task = {"task": data.facts["task"]} if data.facts.get("task") else {}
    classes = {"classes": int(data.facts["classes"])} if data.facts.get("classes") else {}
    version = data.facts.get("version") or f"{data.producer}-{data.digest[7:15]}"
    pins = [each.document() for each in attempt.feature_sets]
    sets = {"featureSets": pins} if pins else {}
    return {**spec, "artifact": {"digest": data.digest, "version": version, **task, **classes, **sets}}


def _best_trial_alone(trainer: Mapping[str, Any], best: Mapping[str, str]) -> dict[str, Any]:
    """The fields that repeat the best trial without a search, whose course depends on the order in which trials end."""
    parameters = json.loads(best.get("parameters", "{}"))
    if "container" in trainer:
        container = {name: value for name, value in trainer["container"].items() if name != "search"}
        container["parameters"] = {**container.get("parameters", {}), **parameters}
        return {"trainer": {"container": container}, "budget": {"maxTrials": 1}}
    before: Mapping[str, Any] = next(
        (each for each in trainer["sklearn"].get("estimators", ()) if each["name"] == best["estimator"]), {}
    )
    estimator = {"name": best["estimator"], "parameters": {**before.get("parameters", {}), **parameters}}
    return {"trainer": {"sklearn": {**trainer["sklearn"], "estimators": [estimator]}}, "budget": {"maxTrials": 1}}


def _outcome(name: str, experiment: Manifest, status: Mapping[str, Any]) -> Outcome:
    best = status.get("best") or {}
    if not best.get("model"):
        message = f"Experiment '{name}' left no model; a container trainer needs trainer.container.model."
        return Outcome("Failed", "NoModel", message)
    container = experiment["spec"]["trainer"].get("container") or {}
    facts: dict[str, Any] = {
        "experiment": name,
        "experimentUid": experiment["metadata"]["uid"],
        "trial": str(best["trial"]),
        "metric": str(status.get("metric", "")),
        "direction": str(status.get("direction", "")),
        "path": str((container.get("model") or {}).get("path", "model.onnx")),
        "parameters": json.dumps(best.get("parameters") or {}),
        "seed": str(experiment["spec"].get("search", {}).get("seed", 0)),
        **({"estimator": best["estimator"]} if best.get("estimator") else {}),
        **({"declared": "true"} if container else {}),
    }
    metrics = {metric: float(value) for metric, value in (best.get("metrics") or {}).items()}
    outputs, data = {"model": best["model"]}, status.get("data") or {}
    if data.get("featureSets"):
        outputs["data"], facts[FEATURE_SETS] = data["digest"], data["featureSets"]
    return Outcome("Succeeded", "Succeeded", "", outputs, metrics, facts, image=best.get("image"))
