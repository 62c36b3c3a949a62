"""The gates' Job: the version and the champion on the version's test rows, in the runtime image."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flywheel.core.diagnosis.attempt_state import AttemptState
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config import GatesConfig
from flywheel.core.resource import names
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.children import ModelVersion

GATES_TIMEOUT = timedelta(minutes=30)
DEFAULT_RESOURCES = Resources(requests={"cpu": "100m", "memory": "512Mi"})


@dataclass(frozen=True)
class MeasurementRequest:
    """What the Model needs measured: these artifacts and these gates. Another request has another Job."""

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
        """8 digits that distinguish it: a result in the store is found again only for the same request."""
        return names.digest(
            [self.digest, self.data, self.champion_digest or "", self.champion_data or "", self.gates_hash]
        )[:8]


@dataclass(frozen=True, kw_only=True)
class Measurement(AttemptState):
    """A request, and the attempt that runs or comes next."""

    request: MeasurementRequest
    attempt: int


def gates_step(request: MeasurementRequest) -> str:
    """The step's name."""
    return f"gates-{request.short}"


def gates_job(version: ModelVersion, request: MeasurementRequest, attempt: int, settings: Settings) -> Child:
    """The Job of one attempt."""
    spec = version.spec
    artifacts = {
        "model": request.digest,
        "data": request.data,
        "champion": request.champion_digest,
        "champion-data": request.champion_data,
    }
    champion = {"version": request.champion, "digest": request.champion_digest} if request.champion_digest else None
    config = {
        "gates": list(request.gates),
        "objective": request.objective,
        "digest": request.digest,
        "champion": champion,
    }
    step = Step(
        name=gates_step(request),
        attempt=attempt,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "gates"),
        params=GatesConfig.model_validate(config).document(),
        inputs=tuple(Input(name, artifact=digest) for name, digest in artifacts.items() if digest is not None),
        outputs=("gates",),
        timeout=GATES_TIMEOUT,
        resources=spec.resources.or_default(DEFAULT_RESOURCES),
        placement=spec.placement,
        pull_secrets=spec.image_pull_secrets,
        audit={
            "model": request.model,
            "entries": [{"event": "Measured", "version": version.name, "digest": request.digest, "champion": champion}],
        },
    )
    return step_job(version, step, settings)
