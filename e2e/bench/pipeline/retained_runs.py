"""An API server with a thousand TrainingRuns that have ended, and an operator that starts beside them."""

import tempfile
from pathlib import Path

from e2e.bench.operator import figures, installation, resources
from e2e.bench.operator.api import Object, path
from e2e.bench.targets import Figures
from flywheel.core.resource.api import TRAINING_PIPELINE, TRAINING_RUN
from flywheel.kinds.trainingpipeline.schema.revision import digest
from flywheel.kinds.trainingpipeline.schema.template import Template

STEPS = 20
NAMESPACE = resources.NAMESPACE


def measure_retained_runs(runs: int) -> Figures:
    """Peak and present memory once the operator has looked at all of them, and what it wrote."""
    with tempfile.TemporaryDirectory(prefix="flywheel-bench-") as folder, installation.running(Path(folder)) as here:
        here.apply([(TRAINING_PIPELINE, _pipeline(runs))])
        here.apply((TRAINING_RUN, _run(number)) for number in range(runs))
        for number in range(runs):
            where = path(TRAINING_RUN, NAMESPACE, f"run-{number}", "status")
            here.server.merge(where, {"status": _status(number)})
        with figures.operator(here) as process:
            figures.settle(here, process)  # the first look at each may write conditions
        return figures.restart(here, runs + 1)


def _spec() -> Object:
    steps = [{"name": f"step-{number}", "container": {"image": "i"}} for number in range(STEPS)]
    return {"steps": steps}


def _pipeline(runs: int) -> Object:
    kept = {"succeeded": min(runs, 1000), "failed": 1000}
    return {
        "apiVersion": TRAINING_PIPELINE.api_version,
        "kind": TRAINING_PIPELINE.kind,
        "metadata": {"name": "loop", "namespace": NAMESPACE},
        "spec": {**_spec(), "retention": kept},
    }


def _run(number: int) -> Object:
    return {
        "apiVersion": TRAINING_RUN.api_version,
        "kind": TRAINING_RUN.kind,
        "metadata": {"name": f"run-{number}", "namespace": NAMESPACE},
        "spec": {"pipeline": "loop"},
    }


def _status(number: int) -> Object:
    """As a run of 20 steps leaves it."""
    steps = [
        {
            "name": f"step-{each}",
            "state": "Succeeded",
            "attempt": 1,
            "cache": "Miss",
            "cacheReason": "never done before with this content",
            "key": f"{number * STEPS + each:032x}",
            "job": f"run-{number}-step-{each}-1-0f1e2d3c",
            "outputs": {"data": f"sha256:{number * STEPS + each:064x}"},
            "metrics": {"roc_auc": "0.742", "rows": "327346"},
            "image": "registry.example/work@sha256:" + "a" * 64,
            "started": "2026-01-01T12:00:00Z",
            "finished": "2026-01-01T12:01:00Z",
        }
        for each in range(STEPS)
    ]
    times = {"startTime": "2026-01-01T12:00:00Z", "completionTime": "2026-01-01T12:20:00Z"}
    ended = {"result": "Succeeded", "reason": "Succeeded", "message": "All steps ended well: 20/20 steps."}
    return {"revision": digest(Template.model_validate(_spec())), "steps": steps, **times, **ended}
