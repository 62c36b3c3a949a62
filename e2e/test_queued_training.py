"""A trial that waits for its turn in Kueue's queue says why, runs when it is let in, and waits again when it is sent back.

There is no Kueue here. The test plays its part by the letter: its Workload with the Job's uid, the conditions that it writes, and
`suspend` in the Job's spec.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e import kube
from e2e.cluster import images
from e2e.namespace import Namespace
from e2e.waiting import wait_until

WHY = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 1 more needed"
DATASET = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: numbers}
spec: {source: {s3: {uri: "%s"}}, target: odd}
"""
SCRIPT = "import time; from flywheel_runtime import run; time.sleep(8); run.finish({'score': 1})"
WORKLOADS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "workloads.kueue.x-k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, a story"},
    },
    "spec": {
        "group": "kueue.x-k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "Workload", "plural": "workloads", "singular": "workload", "listKind": "WorkloadList"},
        "versions": [
            {
                "name": "v1beta2",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def queued(namespace: Namespace) -> Iterator[Namespace]:
    if kube.kubectl("get", "crd", "workloads.kueue.x-k8s.io", "--ignore-not-found"):
        pytest.skip("this cluster has a Kueue, which would take the Job from us")
    rows = "number,odd\n" + "".join(f"{number},{number % 2}\n" for number in range(100))
    namespace.apply(DATASET % namespace.upload("numbers.csv", rows))
    namespace.wait("fwds", "numbers")
    namespace.apply(json.dumps(experiment()))
    namespace.wait("fwexp", "patient", ready="False", reason="KueueMissing")
    kube.kubectl("apply", "--filename", "-", stdin=json.dumps(WORKLOADS))
    kube.kubectl("wait", "crd/workloads.kueue.x-k8s.io", "--for=condition=Established", "--timeout=30s")
    yield namespace
    kube.kubectl("delete", "crd", "workloads.kueue.x-k8s.io", "--wait=false")


def experiment() -> dict[str, Any]:
    container = {"image": images.recorded()["runtime"]["image"], "command": ["python3", "-c", SCRIPT]}
    return {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "patient"},
        "spec": {
            "dataset": "numbers",
            "trainer": {"container": container},
            "objective": {"metric": "score", "direction": "Maximize"},
            "budget": {"maxTrials": 1},
            "placement": {"queueName": "team"},
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        },
    }


def the_job(namespace: Namespace) -> dict[str, Any]:
    [found] = [
        job for job in kube.list_objects("jobs", namespace.name) if job["metadata"]["name"].startswith("patient-")
    ]
    return found


def test_its_job_waits_for_kueue(queued: Namespace) -> None:
    job = the_job(queued)

    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert "active" not in job["status"]


def test_the_reason_of_kueue_is_in_the_message(queued: Namespace) -> None:
    job = the_job(queued)
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {
            "name": f"job-{job['metadata']['name']}"[:63],
            "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]},
        },
    }
    pending = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": WHY}
    queued.apply(json.dumps(workload))
    patch = json.dumps({"status": {"conditions": [pending]}})
    name = workload["metadata"]["name"]  # type: ignore[index]
    queued.kubectl("patch", "workload", name, "--subresource=status", "--type=merge", "--patch", patch)

    # That there is a Kueue now is noticed within a minute, and a Job in trouble is looked at every 15 s.
    condition = queued.wait("fwexp", "patient", ready="False", reason="Queued", seconds=100)
    wait_until(lambda: WHY in (condition_of(queued) or ""), 60, lambda: str(condition_of(queued)))

    assert "queue 'team'" in condition["message"]


def condition_of(namespace: Namespace) -> str | None:
    return kube.condition(namespace.get("fwexp", "patient")).get("message")


def test_a_trial_that_is_sent_back_waits_again_and_then_runs_as_the_same_attempt(queued: Namespace) -> None:
    name = the_job(queued)["metadata"]["name"]

    let(queued, name, run=True)
    wait_until(lambda: "Running" in phases(queued, name), 60, lambda: phases(queued, name))
    let(queued, name, run=False)
    queued.wait("fwexp", "patient", ready="False", reason="Queued", seconds=60)
    wait_until(lambda: not phases(queued, name), 60, lambda: phases(queued, name))
    let(queued, name, run=True)

    condition = queued.wait("fwexp", "patient")
    assert condition["reason"] == "Trained"
    assert (queued.get("fwexp", "patient") or {})["status"]["best"]["job"] == name


def let(namespace: Namespace, job: str, *, run: bool) -> None:
    """As Kueue admits a Job, and preempts it."""
    patch = json.dumps({"spec": {"suspend": not run}})
    namespace.kubectl("patch", "job", job, "--type=merge", "--patch", patch)


def phases(namespace: Namespace, job: str) -> str:
    selector = f"batch.kubernetes.io/job-name={job}"
    return namespace.kubectl("get", "pods", "--selector", selector, "--output", "jsonpath={.items[*].status.phase}")
