"""A ModelMonitor in its cluster, and how its Jobs end."""

import json
from datetime import UTC, datetime
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import INFERENCE_SERVICE, JOB, MODEL_VERSION, Manifest, Reference
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.kind import KIND
from tests.simulation import oom_killed_state, resource, terminated_state, waiting_state
from tests.simulation.resources import custom, params
from tests.simulation.simulator import Simulator

DIGEST, REPORT, STATE = ("sha256:" + digit * 64 for digit in "abc")
SPEC: dict[str, Any] = {"inferenceService": "delays"}
QUIET: dict[str, Any] = {
    "v": 1,
    "rows": 12408,
    "requests": 9100,
    "completeness": 0.998,
    "versions": {"delay-1": 12408},
    "signals": {
        "dataQuality": {"state": "True", "message": "all values are as in the reference"},
        "drift": {"state": "True", "message": "nothing drifts"},
    },
    "findings": [],
    "budget": {"alarms": 0, "since": "2026-01-01T10:00:00Z", "left": 0.0002},
    "features": [["distance", 0.0123456], ["month", 0.004]],
}
DRIFT: dict[str, Any] = {
    **QUIET,
    "signals": {**QUIET["signals"], "drift": {"state": "False", "reason": "Drifted", "message": "'distance' drifts"}},
    "findings": [
        {"signal": "featureDrift", "subject": "distance", "version": "delay-1", "measure": "psi", "effect": 0.42187, "threshold": 0.1,
         "since": "2026-01-01T09:00:00Z", "evidence": 31.4, "share": 1.0}
    ],
    "findingCount": 1,
    "budget": {"alarms": 1, "since": "2026-01-01T10:00:00Z", "left": 0},
}  # fmt: skip
FEW: dict[str, Any] = {
    **QUIET,
    "rows": 12,
    "requests": 12,
    "signals": {"dataQuality": {"state": "Unknown", "reason": "NotEnoughRows", "message": "12 rows, 300 are needed"}},
}
STORE_DOWN = {"v": 1, "reason": "StoreUnreachable", "message": "The store does not respond.", "retry": True}
BROKEN = {"v": 1, "reason": "StateInvalid", "message": "state.json cannot be read.", "retry": False}


def service(**spec: Any) -> Manifest:
    given = {"model": "delay", "auth": {"open": {}}, "logging": {}, **spec}
    status = {"version": "delay-1", "digest": DIGEST}
    return custom(
        INFERENCE_SERVICE, "delays", {key: value for key, value in given.items() if value is not None}, status=status
    )


def version(name: str = "delay-1", digest: str = DIGEST, **source: Any) -> Manifest:
    spec = {"model": "delay", "source": source or {"artifact": {"digest": digest}}}
    return custom(MODEL_VERSION, name, spec, status={"digest": digest})


class Monitor(Simulator):
    """ModelMonitor `drift` on InferenceService `delays`, at noon, and how its Jobs end."""

    def __init__(self, *manifests: Manifest, **changes: Any) -> None:
        start: ModelMonitor = resource(KIND, "drift", {**SPEC, **changes})
        super().__init__(KIND, start, *(manifests or (service(), version())))

    @property
    def runs(self) -> list[str]:
        """The names of the Jobs of runs."""
        labelled = (each["metadata"] for each in self.jobs())
        return [each["name"] for each in labelled if each["labels"].get(names.STEP_LABEL) == "monitor"]

    @property
    def condition(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition."""
        return {each.type: (each.status, each.reason) for each in self.status.conditions}

    def job(self, number: int) -> Any:
        """The Job of a run."""
        return self.manifest(Reference(JOB, self.subject.namespace, names.job(self.resource, "monitor", number)))

    def params(self, number: int) -> Any:
        """What main of a run finds in params.json."""
        return params(self.job(number))

    def inputs(self, number: int) -> dict[str, Any]:
        """What fetch of a run brings, by the names of the inputs."""
        [fetch] = [
            each for each in self.job(number)["spec"]["template"]["spec"]["initContainers"] if each["name"] == "fetch"
        ]
        environment = {each["name"]: each.get("value") for each in fetch["env"]}
        return {each["name"]: each for each in json.loads(environment["FLYWHEEL_FETCH"])["inputs"]}

    def end(self, number: int, facts: dict[str, Any]) -> None:
        """Let a run succeed with these facts."""
        outputs = {"report": {"digest": REPORT}, "state": {"digest": STATE}}
        message = {"v": 1, "phase": "Finished", "complete": True, "outputs": outputs, "metrics": {}, "facts": facts}
        done = {"fetch": terminated_state(0), "collect": terminated_state(0, message)}
        self.end_job(names.job(self.resource, "monitor", number), main=terminated_state(0), init=done)

    def run_out_of_memory(self, number: int) -> None:
        """Let the main container of a run be killed for its memory."""
        name = names.job(self.resource, "monitor", number)
        self.end_job(name, failed=True, main=oom_killed_state(), init={"fetch": terminated_state(0)}, phase="Failed")

    def fail(self, number: int, report: dict[str, Any]) -> None:
        """Let fetch of a run end with that report."""
        code = 1 if report["retry"] else 2
        fetch = {"fetch": terminated_state(code, report)}
        name = names.job(self.resource, "monitor", number)
        self.end_job(name, failed=True, main=waiting_state(), init=fetch, phase="Failed")

    def tick_and_run(self, facts: dict[str, Any], tick: str = "drift-1") -> "Monitor":
        """One tick, and its run with these facts."""
        self.add_tick(tick)
        self.settle()
        self.end(self.status.run.number, facts)
        self.settle()
        return self


def at(hour: int, minute: int = 0, day: int = 1) -> datetime:
    """A time of January 2026."""
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)
