"""Jobs that wait for Kueue: made suspended, with the label by which Kueue takes them. When they start is Kueue's to say, and ours to tell."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.diagnosis.pending import Diagnosis
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.kind import Cluster

KUEUE = "kueue.x-k8s.io"
QUEUE_LABEL = f"{KUEUE}/queue-name"


def queue_labels(queue: str | None) -> dict[str, str]:
    """Of the Job."""
    return {QUEUE_LABEL: str(queue)} if queue else {}


def queue_fields(queue: str | None) -> dict[str, Any]:
    """Of the Job's spec. A Job of ours is written once, so `suspend` is Kueue's from then on."""
    return {"suspend": True} if queue else {}


def is_suspended(job: Manifest) -> bool:
    """Whether a Job has no pods because somebody suspended it, be it before its start or in the middle."""
    return bool(job.get("spec", {}).get("suspend"))


def diagnose_queue(job: Manifest, cluster: Cluster) -> Diagnosis | None:
    """Why a suspended Job does not run, in Kueue's own words; None where nobody holds it."""
    queue = job["metadata"].get("labels", {}).get(QUEUE_LABEL)
    if queue is None or not is_suspended(job):
        return None
    name = job["metadata"]["name"]
    if not cluster.serves(KUEUE):
        return Diagnosis(
            "KueueMissing",
            f"Job '{name}' waits in queue '{queue}', and this cluster has no Kueue, which would start it; install Kueue or leave placement.queueName out.",
        )
    said = next((words for words in map(_pending, cluster.kueue_workloads(job)) if words), None)
    if said is None:
        return Diagnosis(
            "Queued",
            f"Job '{name}' waits in queue '{queue}'; Kueue has said nothing about it yet (see 'kubectl get localqueue {queue}').",
        )
    return Diagnosis("Queued", f"Job '{name}' waits in queue '{queue}': {said}")


# What holds a Workload back: no room, then a check of somebody else's; why it was sent back says least, since that is over.
_GATES = ("QuotaReserved", "Admitted", "Evicted")


def _pending(workload: Manifest) -> str | None:
    """The words of the first condition that holds a Workload back: `couldn't assign flavors to pod set main: insufficient quota …`."""
    conditions: Mapping[str, Mapping[str, Any]] = {
        each["type"]: each for each in workload.get("status", {}).get("conditions") or ()
    }
    for gate in _GATES:
        condition = conditions.get(gate)
        if condition is None or condition.get("status") != ("True" if gate == "Evicted" else "False"):
            continue
        words = str(condition.get("message") or condition.get("reason") or "").strip()
        if words:
            return words if words.endswith((".", "!", "?")) else f"{words}."
    return None
