"""The gates' Job: the version and the champion on the version's test rows, in the runtime image."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pending import Diagnosis
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource import names
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.children import ModelVersion

GATES_TIMEOUT = timedelta(minutes=30)
DEFAULT_RESOURCES = Resources(requests={"cpu": "100m", "memory": "512Mi"})


@dataclass(frozen=True)
class MeasurementRequest:
    """What the Model would like to know: these artifacts, these gates. Another question has another Job."""

    model: str
    digest: str
    data: str
    champion: str | None
    champion_digest: str | None
    champion_data: str | None
    gates: tuple[Mapping[str, Any], ...]
    gates_hash: str
    objective: str | None

    @property
    def short(self) -> str:
        """8 digits that tell it from others: a result in the store is found again only for what was asked."""
        return names.digest(
            [self.digest, self.data, self.champion_digest or "", self.champion_data or "", self.gates_hash]
        )[:8]


@dataclass(frozen=True)
class Measurement:
    """The question, the attempt that runs or comes next, and how it ended, or what stands in its way."""

    question: MeasurementRequest
    attempt: int
    outcome: Outcome | None = None
    diagnosis: Diagnosis | None = None


def gates_step(question: MeasurementRequest) -> str:
    """The step's name."""
    return f"gates-{question.short}"


def gates_job(version: ModelVersion, question: MeasurementRequest, attempt: int, settings: Settings) -> Child:
    """The Job of one attempt."""
    spec = version.spec
    inputs = [Input("model", artifact=question.digest), Input("data", artifact=question.data)]
    if question.champion_digest is not None:
        inputs.append(Input("champion", artifact=question.champion_digest))
    if question.champion_data is not None:
        inputs.append(Input("champion-data", artifact=question.champion_data))
    rival = {"version": question.champion, "digest": question.champion_digest} if question.champion_digest else None
    step = Step(
        name=gates_step(question),
        attempt=attempt,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "gates"),
        params={
            "gates": list(question.gates),
            "objective": question.objective,
            "digest": question.digest,
            "champion": rival,
        },
        inputs=tuple(inputs),
        outputs=("gates",),
        timeout=GATES_TIMEOUT,
        resources=spec.resources if spec.resources.requests or spec.resources.limits else DEFAULT_RESOURCES,
        placement=spec.placement,
        pull_secrets=spec.image_pull_secrets,
        audit={
            "model": question.model,
            "entries": [{"event": "Measured", "version": version.name, "digest": question.digest, "champion": rival}],
        },
    )
    return step_job(version, step, settings)
