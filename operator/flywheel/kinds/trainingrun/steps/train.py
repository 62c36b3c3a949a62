"""The step train: an Experiment that belongs to the run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pending import Diagnosis
from flywheel.core.resource import conditions, names
from flywheel.core.resource.api import EXPERIMENT, Manifest, Reference
from flywheel.core.resource.conditions import STALLED, SUCCEEDED
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.steps.executor import Order, Seen

LONGEST_NAME = 52
TEST_TRIALS = 2  # of a test run


@dataclass(frozen=True)
class Training:
    """See Worker."""

    def children(self, run: TrainingRun, order: Order) -> tuple[Child, ...]:
        """An Experiment on the data that was prepared."""
        manifest = {
            "apiVersion": EXPERIMENT.api_version,
            "kind": EXPERIMENT.kind,
            "metadata": {"name": _name(run, order)},
            "spec": _spec(order),
        }
        return (Child(EXPERIMENT, manifest, create_only=True),)

    def identity(self, run: TrainingRun, order: Order) -> Mapping[str, Any] | str:
        """Images of a container trainer must be named by digest, like those of every step."""
        spec = _spec(order)
        image = (spec["trainer"].get("container") or {}).get("image")
        if image is not None and "@sha256:" not in image and image != order.settings.runtime_image:
            return f"image '{image[:60]}' has no digest"
        told = {
            name: value
            for name, value in spec.items()
            if name not in ("placement", "resources", "parallelism", "checkpoint", "artifact")
        }
        return {"image": image or order.settings.runtime_image, "experiment": told, "data": order.taken["data"].digest}

    def read(self, run: TrainingRun, name: str, cluster: Cluster) -> Seen:
        """Its condition Succeeded as an outcome."""
        experiment = cluster.get(Reference(EXPERIMENT, run.namespace, name))
        if experiment is None:
            return Seen(exists=False)
        status = experiment.get("status") or {}
        succeeded, ready = conditions.find_condition(experiment, SUCCEEDED), conditions.find_condition(experiment)
        if succeeded.get("status") == "True":
            return Seen(exists=True, outcome=_outcome(name, experiment, status))
        if (
            succeeded.get("status") == "False"
            and conditions.find_condition(experiment, STALLED).get("status") == "True"
        ):
            words = f"Experiment '{name}': {ready.get('message', '')}"[:512]
            return Seen(exists=True, outcome=Outcome("Failed", str(ready.get("reason", "Failed")), words))
        if ready.get("reason") in ("Pending", "Searching", "Registering", None):
            return Seen(exists=True, note=str(status.get("summary") or ""))
        return Seen(
            exists=True, diagnosis=Diagnosis(str(ready["reason"]), f"Experiment '{name}': {ready.get('message', '')}")
        )


def _name(run: TrainingRun, order: Order) -> str:
    """`<run>-<step>`, with the attempt from the second on."""
    tail = f"-{order.step.name}" + (f"-{order.attempt}" if order.attempt > 1 else "")
    return names.truncate(run.name + tail, LONGEST_NAME)


def _spec(order: Order) -> dict[str, Any]:
    wanted, data = order.step.train, order.taken["data"]
    assert wanted is not None, "chosen by the step's kind"
    spec = wanted.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude={"from_"})
    # A default that the API server fills in anyway, so that the search's own rules see it.
    spec |= {"search": {"algorithm": "TPE", "seed": 0} | spec.get("search", {})}
    spec["trainer"] = wanted.trainer.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
    ) or {"sklearn": {}}
    if order.again:
        spec |= _the_best_alone(spec, order.again)
    if order.sample:
        spec["budget"] = {**spec.get("budget", {}), "maxTrials": TEST_TRIALS}
    known = {name: data.facts[name] for name in ("task",) if data.facts.get(name)}
    classes = {"classes": int(data.facts["classes"])} if data.facts.get("classes") else {}
    version = data.facts.get("version") or f"{data.producer}-{data.digest[7:15]}"
    return {**spec, "artifact": {"digest": data.digest, "version": version, **known, **classes}}


def _the_best_alone(spec: Mapping[str, Any], again: Mapping[str, str]) -> dict[str, Any]:
    """A search's course depends on the order in which trials end, its best trial does not: that is what is done again."""
    parameters = json.loads(again.get("parameters", "{}"))
    trainer = spec["trainer"]
    if "container" in trainer:
        fixed = {**trainer["container"].get("parameters", {}), **parameters}
        left = {name: value for name, value in trainer["container"].items() if name != "search"}
        return {"trainer": {"container": {**left, "parameters": fixed}}, "budget": {"maxTrials": 1}}
    before: Mapping[str, Any] = next(
        (each for each in trainer["sklearn"].get("estimators", ()) if each["name"] == again["estimator"]), {}
    )
    fixed = {**before.get("parameters", {}), **parameters}
    estimator = {"name": again["estimator"], "parameters": fixed}
    return {"trainer": {"sklearn": {**trainer["sklearn"], "estimators": [estimator]}}, "budget": {"maxTrials": 1}}


def _outcome(name: str, experiment: Manifest, status: Mapping[str, Any]) -> Outcome:
    best = status.get("best") or {}
    if not best.get("model"):
        words = f"Experiment '{name}' left no model; a container trainer needs trainer.container.model."
        return Outcome("Failed", "NoModel", words)
    container = experiment["spec"]["trainer"].get("container") or {}
    facts = {
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
    return Outcome("Succeeded", "Succeeded", "", {"model": best["model"]}, metrics, facts, image=best.get("image"))


TRAINING = Training()
