"""On the development cluster, where pods run: how long a trial takes to begin, and a server to be Ready.

Times of the cluster are those at which a watch here hears of them; times of pods are their own clocks'. Both must be one machine's, as in
the development cluster.
"""

import json
import statistics
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from e2e import kube
from e2e.bench.operator.api import Object
from e2e.bench.operator.watch_log import WatchLog
from e2e.bench.targets import Figures
from e2e.local_operator import DEPLOYMENT as OPERATOR
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from flywheel.core.resource.api import INFERENCE_SERVICE, JOB, POD
from flywheel.core.resource.names import NAME_LABEL, UID_LABEL

TRIALS = 3  # as many failed trials' Jobs stay for their logs
ROUNDS = 2
STARTS = 5
CSV = "distance,late\n" + "".join(f"{number},{number % 2}\n" for number in range(1000))
# A trial that fails stays, with its log.
FIRST_LINE = "date +%s.%N; exit 1"
DATASET: Object = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Dataset", "metadata": {"name": "lines"}}
# What the pod waits for, and nothing else: the file that the startup probe of `collect` asks for.
NOTHING = {"collect": "mkdir -p /flywheel/run && touch /flywheel/run/collecting && sleep 600"}
AGE = """
import os, pathlib, time
ticks = os.sysconf("SC_CLK_TCK")
servers = [each for each in pathlib.Path("/proc").glob("[0-9]*") if b"flywheel_serving" in (each / "cmdline").read_bytes()]
first = min(servers, key=lambda each: int(each.name))
began = int((first / "stat").read_text().rpartition(")")[2].split()[19]) / ticks
print(time.time() - (float(pathlib.Path("/proc/uptime").read_text().split()[0]) - began))
"""


def measure_startup() -> dict[str, Figures]:
    """In a namespace of its own, which goes afterwards."""
    namespace = Namespace("bench")
    namespace.create()
    try:
        return {"trial": trials(namespace), "server": servers(namespace)}
    finally:
        namespace.delete()


def trials(namespace: Namespace) -> Figures:
    """Trials whose first line is the time, and then the same Jobs without Flywheel's parts."""
    source = {"source": {"s3": {"uri": namespace.upload("lines.csv", CSV)}}, "target": "late"}
    namespace.apply({**DATASET, "spec": source})
    namespace.wait("fwds", "lines")
    ours, idle = list[float](), list[float]()
    with WatchLog(JOB, namespace.name) as jobs:
        for number in range(ROUNDS):
            name = f"begin-{number}"
            namespace.apply(experiment(name))
            namespace.wait("fwexp", name, ready="False", reason="TrialsFailed", seconds=180)
            made = kube.list_objects("jobs", namespace.name, f"{NAME_LABEL}={name}")
            ours += [said(namespace, job) - jobs.first(job["metadata"]["name"], _is_there) for job in made]
            for job in made:
                twin = doing_nothing(job)
                namespace.kubectl("create", "--filename", "-", stdin=json.dumps(twin))
                namespace.kubectl("wait", "--for=condition=Failed", f"job/{twin['metadata']['name']}", "--timeout=120s")
                idle.append(said(namespace, twin) - jobs.first(twin["metadata"]["name"], _is_there))
    trial, nothing = statistics.median(ours), statistics.median(idle)
    return {
        "samples": len(ours),
        "first_line_seconds": round(trial, 2),
        "nothing_seconds": round(nothing, 2),
        "overhead_seconds": round(trial - nothing, 2),
    }


def experiment(name: str) -> Object:
    """Trials in the runtime image, one after another."""
    [operator] = json.loads(kube.kubectl("get", *OPERATOR, "--output", "json"))["spec"]["template"]["spec"][
        "containers"
    ]
    image = next(each["value"] for each in operator["env"] if each["name"] == "FLYWHEEL_RUNTIME_IMAGE")
    spec = {
        "dataset": "lines",
        "objective": {"metric": "f1"},
        "trainer": {"container": {"image": image, "command": ["sh", "-c", FIRST_LINE]}},
        "parallelism": 1,
        "budget": {"maxTrials": TRIALS, "maxFailedTrials": TRIALS},
    }
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Experiment", "metadata": {"name": name}, "spec": spec}


def doing_nothing(job: Object) -> Object:
    """The same pod, with containers that do nothing but what lets the next one start; nobody's but ours."""
    pod = json.loads(json.dumps(job["spec"]["template"]["spec"]))
    for container in pod["initContainers"]:
        container["command"] = ["sh", "-c", NOTHING.get(container["name"], "true")]
    template = {"metadata": {"labels": {"bench": "nothing"}}, "spec": pod}
    metadata = {"name": f"nothing-{sha256(job['metadata']['name'].encode()).hexdigest()[:8]}"}
    spec = {"backoffLimit": 0, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def said(namespace: Namespace, job: Object) -> float:
    """The time that main of a Job's pod said in its first line."""
    return float(namespace.kubectl("logs", f"job/{job['metadata']['name']}", "--container", "main").split()[0])


def servers(namespace: Namespace) -> Figures:
    """A server whose pod is deleted, again and again: from its process's start to the pod's and the InferenceService's Ready."""
    model = linear([1.0, 2.0, 3.0], bias=0.5)
    namespace.apply(own_model(namespace, model))
    namespace.wait("fwsvc", "fraud")
    service = namespace.get("fwsvc", "fraud") or {}
    selector = f"{UID_LABEL}={service['metadata']['uid']}"
    pod_ready, service_ready = list[float](), list[float]()
    for _ in range(STARTS):
        with (
            WatchLog(POD, namespace.name) as pods,
            WatchLog(INFERENCE_SERVICE, namespace.name) as services,
        ):
            namespace.kubectl("delete", "pods", "--selector", selector, "--wait")
            lost = services.first("fraud", _has_ready("False"))
            ready = services.first("fraud", _has_ready("True"), after=lost)
            [pod] = kube.list_objects("pods", namespace.name, selector)
            name = pod["metadata"]["name"]
            began = float(namespace.kubectl("exec", name, "--container", "server", "--", "python3", "-c", AGE))
            pod_ready.append(pods.first(name, _has_ready("True")) - began)
            service_ready.append(ready - began)
    return {
        "samples": STARTS,
        "ready_seconds": round(statistics.median(pod_ready), 2),
        "service_ready_seconds": round(statistics.median(service_ready), 2),
    }


def _is_there(_thing: Object) -> bool:
    return True


def _has_ready(status: str) -> Callable[[Object], bool]:
    def has(thing: dict[str, Any]) -> bool:
        return kube.condition(thing).get("status") == status

    return has
