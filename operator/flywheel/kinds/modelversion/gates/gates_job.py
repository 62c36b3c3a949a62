"""The gates' Job: the version and the champion on the version's test rows, in the runtime image."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flywheel.core.diagnosis.attempt_state import AttemptState
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config.promotion import GatesConfig
from flywheel.core.resource import names
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.children import ModelVersion
from flywheel.kinds.modelversion.gates.preparations import OwnPreparation
from flywheel.kinds.modelversion.gates.traffic import Traffic

GATES_TIMEOUT = timedelta(minutes=30)
TABLE_FILES = ("schema.json", "train.parquet", "validation.parquet", "test.parquet")
DEFAULT_RESOURCES = Resources(requests={"cpu": "100m", "memory": "512Mi"})


@dataclass(frozen=True)
class MeasurementRequest:
    """What the Model needs measured: these artifacts and these gates. Another request has another Job.

    `own`: how the champion's rows are made, where its training prepared them in another way.
    `data` is None where the version's lineage names none, and no gate needs it. `traffic` is None where no gate reads logged requests.
    """

    model: str
    digest: str
    data: str | None
    champion: str | None
    champion_digest: str | None
    champion_data: str | None
    gates: tuple[Mapping[str, Any], ...]
    gates_hash: str
    objective: str | None
    own: OwnPreparation | None = None
    traffic: Traffic | None = None

    @property
    def short(self) -> str:
        """8 digits that distinguish it: a result in the store is found again only for the same request."""
        asked = [self.digest, self.data or "", self.champion_digest or "", self.champion_data or "", self.gates_hash]
        return names.digest([*asked, self.own.key] if self.own is not None else asked)[:8]


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
    own = {"own": _own_config(request.own)} if request.own is not None else {}
    config = {
        "gates": list(request.gates),
        "objective": request.objective,
        "digest": request.digest,
        "champion": {**champion, **own} if champion is not None else None,
        **({"traffic": request.traffic.config()} if request.traffic is not None else {}),
    }
    step = Step(
        name=gates_step(request),
        attempt=attempt,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "gates"),
        params=GatesConfig.model_validate(config).document(),
        inputs=(
            *(Input(name, artifact=digest) for name, digest in artifacts.items() if digest is not None),
            *_raw_tables(request.own),
            *(request.traffic.inputs() if request.traffic is not None else ()),
        ),
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


def _raw_tables(own: OwnPreparation | None) -> tuple[Input, ...]:
    """The raw tables of the champion's preparation. One that the store has lost leaves its gate unmeasured, and no other."""
    tables = own.tables if own is not None else {}
    return tuple(
        Input(f"table-{name}", artifact=digest, files=TABLE_FILES, optional=True) for name, digest in tables.items()
    )


def _own_config(own: OwnPreparation) -> dict[str, Any]:
    preparation = {
        "tables": {name: f"table-{name}" for name in own.tables},
        "queries": [{"name": each.name, "from": list(each.reads), "sql": each.sql} for each in own.queries],
        "parameters": dict(own.parameters),
        "run": {"date": own.date} if own.date is not None else {},
    }
    return {"direct": own.direct, "finding": own.finding, "preparation": preparation if own.tables else None}
