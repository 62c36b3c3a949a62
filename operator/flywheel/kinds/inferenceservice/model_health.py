"""Whether servers report that calls of their model run into the time limit or end their worker.

A server has no right to write to the API server. Its health port fails a readiness probe with a status that says why (images/README.md,
"Time limit and workers"), and the kubelet's event holds that status.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from flywheel.core.diagnosis.workload_diagnosis import Diagnosis, EventLookup
from flywheel.core.resource.api import Manifest

# Events are not watched. Each check is a request for each pod, and calls of a model in the server's own process end rarely.
CHECK_INTERVAL = timedelta(seconds=30)
IN_PROCESS_CHECK_INTERVAL = timedelta(minutes=3)
RECENT = timedelta(minutes=5)
PROBE_FAILURE = "Readiness probe failed: HTTP probe failed with statuscode: "
MESSAGES = {
    "504": (
        "ModelStuck",
        "In pod '{pod}', calls of the model ran into their time limit and were ended (last seen at {time} UTC); their clients got 504. "
        "Raise spec.requestTimeout, or serve a model that computes for less time.",
    ),
    "500": (
        "ModelCrashed",
        "In pod '{pod}', the model runtime ended a worker process (last seen at {time} UTC); the clients of its requests got 500. "
        "See the log of container 'server', and export the model again, such as with another opset.",
    ),
}


def diagnose_model(pods: Sequence[Manifest], events: EventLookup, now: datetime) -> Diagnosis | None:
    """Returns the latest report of the first pod that has a recent one, or None."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        for event in reversed(events(str(pod["metadata"]["uid"]))):
            diagnosis = _read_event(event, str(pod["metadata"]["name"]), now)
            if diagnosis is not None:
                return diagnosis
    return None


def _read_event(event: Manifest, pod: str, now: datetime) -> Diagnosis | None:
    status = str(event.get("message") or "").removeprefix(PROBE_FAILURE)
    time = event.get("lastTimestamp") or event.get("eventTime")
    if event.get("reason") != "Unhealthy" or status not in MESSAGES or not time:
        return None
    if now - datetime.fromisoformat(time) > RECENT:
        return None
    reason, message = MESSAGES[status]
    return Diagnosis(reason, message.format(pod=pod, time=str(time)[11:16]))
