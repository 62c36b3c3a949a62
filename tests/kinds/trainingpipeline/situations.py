"""Pipeline `loop`, its runs, and what its triggers wait for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flywheel.core.resource.api import (
    DATASET,
    INFERENCE_SERVICE,
    MODEL_MONITOR,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Manifest,
)
from flywheel.kinds.trainingpipeline.kind import KIND
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline, TrainingPipelineStatus
from flywheel.kinds.trainingpipeline.schema.triggers import TriggerStatus
from tests.simulation import resource
from tests.simulation.resources import custom, stamp
from tests.simulation.simulator import Simulator

NIGHTLY = {"name": "nightly", "schedule": {"cron": "0 3 * * *"}}
NEW_DATA = {"name": "new", "newData": {"dataset": "flights", "minNewRows": 100}}
STEPS = [{"name": "work", "container": {"image": "i"}}]


def pipeline(*triggers: Mapping[str, Any], **spec: Any) -> TrainingPipeline:
    """Pipeline `loop` of one step."""
    made: TrainingPipeline = resource(KIND, "loop", {"steps": STEPS, "triggers": list(triggers), **spec})
    return made


class Loop(Simulator):
    """One pipeline; its runs end when a test says so."""

    def __init__(self, start: TrainingPipeline) -> None:
        super().__init__(KIND, start)

    def tick(self, name: str, trigger: str = "nightly", scheduled: datetime | None = None) -> None:
        """Let the CronJob of a trigger make a Job."""
        self.add_tick(name, scheduled, {"flywheel.ml/trigger-name": trigger})

    def add_version(self, version: str, rows: int, *earlier: str, dataset: str = "flights") -> None:
        """Let a Dataset have another version, and retain those before it."""
        ready = [{"type": "Ready", "status": "True", "reason": "Checked", "message": "", "observedGeneration": 1}]
        digest = "sha256:" + "a" * 64
        names = (version, *earlier)
        versions = [{"name": name, "digest": digest, "content": digest, "rows": rows} for name in names]
        self.put(custom(DATASET, dataset, {}, status={"conditions": ready, "versions": versions}))

    def end_runs(self, result: str = "Succeeded", **status: Any) -> None:
        """End all runs that have not ended."""
        ended = {"result": result, "completionTime": stamp(self.cluster.now), **status}
        for run in self.runs():
            if not (run.get("status") or {}).get("result"):
                self.put({**run, "status": ended})

    def find(
        self,
        *findings: Mapping[str, Any],
        monitor: str = "watch",
        uid: str | None = None,
        refused: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        """Let a ModelMonitor of InferenceService `api` have these findings and no others, and `refused` labels."""
        wanted = {"inferenceService": "api", "performance": {"metric": "accuracy"}, **spec}
        status: dict[str, Any] = {"findings": [{"name": "/".join(each.values()), **each} for each in findings]}
        status |= {"refusedLabels": refused} if refused else {}
        self.put(custom(MODEL_MONITOR, monitor, wanted, status=status, uid=uid))

    def serve(self, version: str, **status: Any) -> None:
        """Let InferenceService `api` serve a version."""
        self.put(custom(INFERENCE_SERVICE, "api", {"model": "m"}, status={"version": version, **status}))

    def succeed(self, name: str, pipeline: str = "up", **spec: Any) -> None:
        """Let a run of another pipeline succeed now."""
        status = {"result": "Succeeded", "completionTime": stamp(self.cluster.now)}
        self.put(custom(TRAINING_RUN, name, {"pipeline": pipeline, **spec}, status=status))
        self.put_pipeline(pipeline, name)

    def put_pipeline(self, name: str, last_run: str = "", triggers: Sequence[Mapping[str, Any]] = ()) -> None:
        """Let another pipeline be there."""
        spec = {"steps": STEPS, "triggers": list(triggers), "retention": {"succeeded": 1000}}
        self.put(custom(TRAINING_PIPELINE, name, spec, status={"lastRun": last_run}))

    def runs(self) -> list[Manifest]:
        """The runs of the pipeline that are there."""
        found = self.cluster.referrers(TRAINING_RUN, self.subject)
        return [each for each in found if each["spec"]["pipeline"] == self.subject.name]

    def trigger(self, name: str = "nightly") -> TriggerStatus:
        """What the status says of a trigger."""
        status: TrainingPipelineStatus = self.status
        return next(each for each in status.triggers if each.name == name)
