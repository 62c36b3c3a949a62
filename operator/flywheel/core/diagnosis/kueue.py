"""Why a Job does not start although nothing is wrong with it: Kueue holds it in a queue."""

from flywheel.core.diagnosis.pod_status import to_sentence
from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource.api import KUEUE, Manifest
from flywheel.core.resource.conditions import find_condition
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.names import QUEUE_LABEL

# The conditions that hold a Workload back, with the status that says so: no quota, then an admission check. Why it was evicted comes last,
# since that is over.
_HOLDING = (("QuotaReserved", "False"), ("Admitted", "False"), ("Evicted", "True"))


def diagnose_queue(job: Manifest, cluster: Cluster) -> Diagnosis | None:
    """Returns why a suspended Job does not run, with Kueue's own message; None where no queue holds it."""
    queue = job["metadata"].get("labels", {}).get(QUEUE_LABEL)
    if queue is None or not job.get("spec", {}).get("suspend"):
        return None
    waits = f"Job '{job['metadata']['name']}' waits in queue '{queue}'"
    if not cluster.serves(KUEUE):
        return Diagnosis(
            "KueueMissing",
            f"{waits}, and this cluster has no Kueue, which would start it; install Kueue or leave placement.queueName out.",
        )
    message = next(filter(None, map(_holding_message, cluster.kueue_workloads(job))), None)
    if message is None:
        see = f"see 'kubectl get localqueue {queue}'"
        return Diagnosis("Queued", f"{waits}; Kueue has said nothing about it yet ({see}).")
    return Diagnosis("Queued", f"{waits}: {message}")


def _holding_message(workload: Manifest) -> str | None:
    """Returns the message of the first condition that holds a Workload: `couldn't assign flavors to pod set main: insufficient quota …`."""
    for type_, status in _HOLDING:
        condition = find_condition(workload, type_)
        message = to_sentence(condition.get("message") or condition.get("reason"))
        if condition.get("status") == status and message:
            return message
    return None
