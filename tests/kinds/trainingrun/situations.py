"""A pipeline with its revision, runs of it from their first step to their last, and how their steps end."""

from collections.abc import Callable, Mapping
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import CONTROLLER_REVISION, DATASET, TRAINING_PIPELINE, Api, Manifest
from flywheel.kinds.trainingpipeline.schema.revision import content, digest, revision_name
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingrun.kind import KIND
from flywheel.kinds.trainingrun.schema import TrainingRun
from tests.simulation import resource, terminated_state
from tests.simulation.resources import custom
from tests.simulation.simulator import Simulator

DATA, FLIGHTS, MODEL_BYTES = ("sha256:" + letter * 64 for letter in "abc")
INPUTS = [{"name": "flights", "dataset": "flights"}]
REGISTER = {"name": "version", "register": {"from": "model", "model": "delay"}}
READY = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "Verified", "message": "It is verified."}

Ends = Callable[[str, int], Mapping[str, Any]]
"""How an attempt ends, from its step and its number: {} for well, {"exit": 1}, {"exit": 137, "oom": True}, {"lost": True}, {"missing": True}, {"output": "model", "facts": {…}}."""

IMAGE = "registry.example/work@sha256:" + "a" * 64


def succeeds(_step: str, _attempt: int) -> Mapping[str, Any]:
    """Every attempt ends well."""
    return {}


def container(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """A step in a container that takes the output of each step in `needs`."""
    inputs = [{"name": each, "from": each} for each in needs]
    return {"name": name, "container": {"image": IMAGE, "args": [name], "inputs": inputs, "outputs": ["data"]}, **more}


def run(name: str = "one", **spec: Any) -> TrainingRun:
    """A TrainingRun of pipeline `loop`."""
    made: TrainingRun = resource(KIND, name, {"pipeline": "loop", **spec})
    return made


class Runs(Simulator):
    """Runs of one pipeline, of which the one started last is looked at; their steps end as `ends` says."""

    def __init__(self, template: Mapping[str, Any], ends: Ends = succeeds, crash_after: int | None = None) -> None:
        self.ends = ends
        super().__init__(KIND, *_pipeline(template), crash_after=crash_after)

    def add(self, run: TrainingRun) -> None:
        """Create a run, which is the one to look at from now on."""
        self.put(run)
        self._subject = run.reference

    def start(self, run: TrainingRun) -> TrainingRun:
        """Create a run, and return it as it is when nothing is left to write."""
        self.add(run)
        self.settle()
        return self.now

    def finish(
        self, run: TrainingRun | None = None, choose: Callable[[list[Manifest]], Manifest] = lambda jobs: jobs[0]
    ) -> TrainingRun:
        """Let Jobs end one by one, in the order that is chosen, until the run is over."""
        if run is not None:
            self.add(run)
        self.run(lambda _plan: self.status.result is not None, self.end, choose)
        return self.now

    @property
    def now(self) -> TrainingRun:
        """The run as it is now."""
        found: TrainingRun = self.resource
        return found

    @property
    def created(self) -> list[str]:
        """All Jobs that were created, in their order."""
        return [write.removeprefix("create Job ") for write in self.writes if write.startswith("create Job ")]

    def end(self, job: Manifest) -> None:
        """Let one Job end as `ends` says."""
        labels = job["metadata"]["labels"]
        step, attempt = labels[names.STEP_LABEL], int(labels[names.ATTEMPT_LABEL])
        result = self.ends(step, attempt)
        code, missing = int(result.get("exit", 0)), bool(result.get("missing"))
        fetched: dict[str, Any] = {"v": 1, "reason": "Fetched"}
        if missing:
            fetched = {"v": 1, "reason": "ArtifactMissing", "message": "artifact is gone", "retry": True}
        main = terminated_state(code, "", reason="OOMKilled" if result.get("oom") else None)
        self.end_job(
            job["metadata"]["name"],
            failed=bool(code),
            lost=bool(result.get("lost")),
            main=None if missing else main,
            init={
                "collect": terminated_state(0, _collected(step, result)),
                "fetch": terminated_state(int(missing), fetched),
            },
            phase="Failed" if code else "Succeeded",
        )


def _pipeline(template: Mapping[str, Any]) -> tuple[Manifest, Manifest]:
    """Pipeline `loop` and the ControllerRevision that it has made."""
    parsed = Template.model_validate(template)
    revision = digest(parsed)
    return (
        custom(TRAINING_PIPELINE, "loop", template, status={"revision": revision}),
        {
            "apiVersion": CONTROLLER_REVISION.api_version,
            "kind": CONTROLLER_REVISION.kind,
            "metadata": {
                "name": revision_name("loop", revision),
                "namespace": "default",
                "labels": {names.MANAGED_BY: "flywheel"},
            },
            "data": {"template": content(parsed)},
        },
    )


def _collected(step: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """What collect writes."""
    data = {"digest": "sha256:" + names.digest(f"{step} {result.get('bytes', '')}"), "size": 1, "files": 1}
    return {
        "v": 1,
        "phase": "Finished",
        "complete": not result.get("exit"),
        "repeated": False,
        "timedOut": False,
        "oomKills": int(bool(result.get("oom"))),
        "outputs": {result.get("output", "data"): data},
        "metrics": result.get("metrics", {}),
        "facts": result.get("facts", {}),
        "error": None,
    }


def loop(*steps: Mapping[str, Any], task: str | None = "BinaryClassification", classes: int | None = None) -> Runs:
    """Runs of a pipeline of these steps, on a Dataset with one version."""
    runs = Runs({"inputs": INPUTS, "steps": list(steps)})
    facts = {name: value for name, value in (("task", task), ("classes", classes)) if value is not None}
    version = {"name": "v-1", "digest": FLIGHTS, "imported": "2026-01-01T12:00:00Z", **facts}
    status = {"versions": [version], "conditions": [READY]}
    runs.put(custom(DATASET, "flights", {}, status=status))
    return runs


def made(runs: Runs, api: Api) -> Manifest:
    """The only object of that type."""
    [found] = runs.cluster.objects(api)
    return found
