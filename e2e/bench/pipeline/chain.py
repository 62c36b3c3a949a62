"""On the development cluster: 20 steps in a chain that do nothing, and the same run again."""

import itertools
import statistics
from datetime import datetime
from typing import Any

from e2e import kube, pipelines
from e2e.bench.targets import Figures
from e2e.namespace import Namespace

STEPS = 20
# Each tells when it began and ended, by its own clock; the interpreter's start (0.1 s) counts as overhead.
WORK = "import time; began = time.time(); from flywheel_runtime import run; run.finish({'began': began, 'ended': time.time()})"


def measure_chain() -> dict[str, Figures]:
    """In a namespace of its own, which goes afterwards."""
    namespace = Namespace("bench-pipeline")
    namespace.create()
    try:
        namespace.apply(_pipeline())
        namespace.wait("fwpipe", "chain", reason="Live")
        pipelines.start_run(namespace, "first", "chain")
        first = pipelines.wait_for_run(namespace, "first", 600)
        pipelines.start_run(namespace, "again", "chain")
        again = pipelines.wait_for_run(namespace, "again", 60)
        pods = [
            pod
            for pod in kube.list_objects("pods", namespace.name)
            if pod["metadata"]["labels"]["flywheel.ml/name"] == "again"
        ]
        return {"chain": _gaps(first), "cached": _cached(namespace, again, len(pods))}
    finally:
        namespace.delete()


def _pipeline() -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for number in range(STEPS):
        before = [steps[-1]["name"]] if steps else []
        container = {
            "image": pipelines.runtime_image(),
            "command": ["python3", "-c", WORK],
            "parameters": {"number": number},
        }
        steps.append({"name": f"step-{number:02}", "container": container, "dependsOn": before})
    return {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "TrainingPipeline",
        "metadata": {"name": "chain"},
        "spec": {"steps": steps},
    }


def _gaps(status: dict[str, Any]) -> Figures:
    """From the end of one step's main to the first line of the next one's."""
    assert status["result"] == "Succeeded", status
    times = [(float(step["metrics"]["began"]), float(step["metrics"]["ended"])) for step in status["steps"]]
    gaps = sorted(later[0] - earlier[1] for earlier, later in itertools.pairwise(times))
    return {
        "steps": len(times),
        "overhead_p50_seconds": round(statistics.median(gaps), 2),
        "overhead_max_seconds": round(gaps[-1], 2),
        "run_seconds": round(times[-1][1] - times[0][0], 1),
    }


def _cached(namespace: Namespace, status: dict[str, Any], pods: int) -> Figures:
    made = (namespace.get("fwrun", "again") or {})["metadata"]["creationTimestamp"]
    seconds = datetime.fromisoformat(status["completionTime"]) - datetime.fromisoformat(made)
    hits = sum(step.get("cache") == "Hit" for step in status["steps"])
    return {"seconds": seconds.total_seconds(), "hits": hits, "pods": pods}
