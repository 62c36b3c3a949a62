"""An Experiment on a Dataset, from its first trial to its last, and how its trials end."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from flywheel.core.resource.api import DATASET, Manifest
from flywheel.core.resource.plan import Plan
from flywheel.kinds.experiment.children import TRIAL_ANNOTATION, Experiment
from flywheel.kinds.experiment.kind import KIND
from tests.simulation import resource, terminated_state, waiting_state
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

DIGEST = "sha256:" + "a" * 64
FLIGHTS = custom(
    DATASET,
    "flights",
    {"source": {}, "target": "late"},
    status={
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Checked", "message": "", "observedGeneration": 1}
        ],
        "versions": [
            {"name": "flights-3f9a1c2e", "digest": DIGEST, "content": DIGEST, "task": "Classification", "classes": 2}
        ],
    },
)

Ends = Callable[[int, int, list[float]], Mapping[str, Any]]
"""How an attempt ends, from its trial, its number and its point: {"metrics": {…}}, {"exit": 1, "reason": …, "message": …}, {"pruned": {"step", "value"}} or {"lost": True}."""


def experiment(spec: Mapping[str, Any] | None = None, **more: Any) -> Experiment:
    """The Experiment `flight-delay` on Dataset `flights`; `spec` adds to the short form."""
    short = {"dataset": "flights", "trainer": {"sklearn": {}}}
    found: Experiment = resource(KIND, "flight-delay", {**short, **(spec or {})}, **more)
    return found


def succeeds(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    """Boosting at a rate near 0.1 is best."""
    value = 0.8 - abs(point[2] - 0.1) if len(point) > 2 else 0.6
    return {"metrics": {"roc_auc": round(value, 6)}}


def sometimes_fails(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    """Trial 2 fails by its own fault; the first attempt of every third trial is lost."""
    if trial == 2:
        return {"exit": 1, "reason": "ParameterRefused", "message": "LogisticRegression refused C=-1 ('C' must be > 0)"}
    return {"lost": True} if trial % 3 == 0 and attempt == 1 else succeeds(trial, attempt, point)


class Search(Simulator):
    """One Experiment whose trials end as `ends` says.

    `ends_while_dead`: all trials that run end before a killed operator starts again.
    """

    def __init__(
        self, start: Experiment, ends: Ends, crash_after: int | None = None, *, ends_while_dead: bool = False
    ) -> None:
        self.ends = ends
        self.ends_while_dead = ends_while_dead
        self.repeat = 1  # of the Job that ends now
        super().__init__(KIND, start, FLIGHTS, crash_after=crash_after)

    def finish(self, choose: Callable[[list[Manifest]], Manifest] = lambda jobs: jobs[0]) -> Plan:
        """Let Jobs end one by one, in the order that is chosen, until the search is over or stalled."""
        return self.run(lambda plan: bool(plan.ready or plan.stalled), self.end, choose)

    def while_dead(self) -> None:
        """See Simulator."""
        for job in self.running() if self.ends_while_dead else ():
            self.end(job)

    @property
    def history(self) -> tuple[Any, ...]:
        """What the status says of all trials, and of the best."""
        status = self.status
        return status.history, status.best and status.best.trial, status.best and status.best.value

    @property
    def created(self) -> list[str]:
        """The names of all that was created."""
        return sorted(write for write in self.writes if write.startswith("create"))

    def end(self, job: Manifest) -> None:
        """Let one Job end as `ends` says."""
        labels = job["metadata"]["labels"]
        number, _, repeat = labels["flywheel.ml/step"].removeprefix("trial-").partition("-r")
        trial, attempt = int(number), int(labels["flywheel.ml/attempt"])
        self.repeat = int(repeat or 1)
        result = self.ends(trial, attempt, json.loads(job["metadata"]["annotations"][TRIAL_ANNOTATION])["point"])
        code = 143 if "pruned" in result else int(result.get("exit", 0))
        error = {key: result[key] for key in ("reason", "message") if key in result}
        fetched = {"v": 1, "reason": "Fetched"}
        if "ours" in result:
            fetched = {"v": 1, "reason": "InternalError", "message": result["ours"], "retry": True}
        self.end_job(
            job["metadata"]["name"],
            failed=bool(code or result.get("lost") or "ours" in result),
            lost=bool(result.get("lost")),
            main=waiting_state() if "ours" in result else terminated_state(code, error),
            phase="Failed" if "ours" in result else None,
            init={
                "collect": terminated_state(
                    0, self._collected(job, trial, result, complete=not code and "ours" not in result)
                ),
                "fetch": terminated_state(int("ours" in result), fetched),
            },
        )

    def _collected(self, job: Manifest, trial: int, result: Mapping[str, Any], *, complete: bool) -> dict[str, Any]:
        """What collect writes."""
        model = {"digest": "sha256:" + f"{trial + 4096 * (self.repeat - 1):064x}", "size": 1, "files": 1}
        metrics = result.get("metrics", {})
        message = {
            "v": 1,
            "phase": "Finished",
            "complete": complete,
            "repeated": False,
            "timedOut": False,
            "oomKills": 0,
            "outputs": {"model": model} if _is_retained(job, metrics) else {},
            "metrics": metrics,
            "facts": {},
            "error": None,
            "usage": {"cpuSeconds": 12.3, "memoryPeakBytes": 312000000},
        }
        if "pruned" in result:
            error = {"reason": "Pruned", "message": "roc_auc was worse than the median", "retry": False}
            message |= {"outputs": {}, "metrics": {}, "pruned": result["pruned"], "error": error}
        return message


def _is_retained(job: Manifest, metrics: Mapping[str, float]) -> bool:
    """As collect decides (images/README.md, "Keeping the best")."""
    containers = {each["name"]: each for each in job["spec"]["template"]["spec"]["initContainers"]}
    environment = {each["name"]: each.get("value", "") for each in containers["collect"]["env"]}
    keep = json.loads(environment["FLYWHEEL_COLLECT"]).get("keep")
    if keep is None:
        return True
    value = metrics[keep["metric"]]
    return bool(value >= keep["reach"] if keep["maximize"] else value <= keep["reach"])


THREE = {"repeats": 3, "budget": {"maxTrials": 4}, "register": "m"}
SPREAD = {1: -0.04, 2: 0.01, 3: 0.06}  # around a mean that the second is nearest to


def repeated(spec: Mapping[str, Any] | None = None, **more: Any) -> Search:
    """Repeats that differ by SPREAD; the first attempt of every third Job is lost."""
    search = Search(experiment({**THREE, **(spec or {})}), succeeds, **more)

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        if (trial + search.repeat) % 3 == 0 and attempt == 1:
            return {"lost": True}
        value = succeeds(trial, attempt, point)["metrics"]["roc_auc"] + SPREAD[search.repeat]
        return {"metrics": {"roc_auc": value, "of": search.repeat}}

    search.ends = ends
    return search
