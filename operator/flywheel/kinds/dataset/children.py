"""The children of a Dataset: a Job for each check. The CronJob of its schedule is core's."""

import json
from typing import Any, Literal

from flywheel.core.pods.bounds import bound_time
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config import StepConfig
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import ClaimLocation, FileFormat, Resources
from flywheel.core.settings import Settings
from flywheel.core.tables import table_config
from flywheel.kinds.dataset.schema.spec import Check, Column, DatasetSpec, HttpSource, S3Source, Split
from flywheel.kinds.dataset.schema.status import DatasetStatus, LastCheck

Dataset = Resource[DatasetSpec, DatasetStatus]

CHECK = "check"
CAUSE_ANNOTATION = "flywheel.ml/check"  # why a check was made, so that a lost status can be made again from its Job
REQUEST_ANNOTATION = "flywheel.ml/check-requested"
DEFAULT_RESOURCES = Resources(requests={"cpu": "250m", "memory": "512Mi"})


class CheckConfig(StepConfig):
    """`params.json` of check: the spec, as far as it says what the data is; a split without any field is chosen by the target."""

    name: str
    format: FileFormat | None
    target: str | None
    keys: tuple[str, ...]
    event_time: str | None
    columns: tuple[Column, ...]
    checks: tuple[Check, ...]
    split: Split | dict[Literal["by"], Literal["Time"]]
    show_values: bool = False
    csv: dict[str, Any] | None = None
    ignore: tuple[str, ...] = ()


def check_job(dataset: Dataset, check: LastCheck, settings: Settings) -> Child:
    """The Job of one check. It compares with the last good version, but for one that the store has lost."""
    spec = dataset.spec
    previous = dataset.status.digest if check.reason != "ArtifactMissing" else None
    inputs = [source_input(spec, settings)]
    if previous is not None:
        inputs.append(Input("previous", artifact=previous))
    tick = check.tick.isoformat() if check.tick is not None else None
    cause = {"generation": check.generation, "request": check.request, "tick": tick}
    step = Step(
        name=CHECK,
        attempt=check.number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "check"),
        params=check_params(dataset),
        inputs=tuple(inputs),
        outputs=("data",),
        timeout=bound_time(None, settings.check_timeout),
        resources=spec.resources.or_default(DEFAULT_RESOURCES),
        placement=spec.placement,
        annotations={CAUSE_ANNOTATION: json.dumps(cause, sort_keys=True)},
    )
    return step_job(dataset, step, settings)


def source_input(spec: DatasetSpec, settings: Settings) -> Input:
    """Where `fetch` finds the data."""
    match spec.source.location:
        case S3Source() as s3:
            location = s3.model_dump(by_alias=True, exclude_none=True, exclude={"secret_name"}, mode="json")
            return Input("source", s3={**location, "foreign": s3.secret_name is not None}, secret=s3.secret_name)
        case HttpSource() as http:
            allowed = list(settings.allowed_http_hosts)
            return Input("source", http={"url": http.url, "sha256": str(http.sha256), "allowedHosts": allowed})
        case ClaimLocation() as claim:
            return Input("source", volume=claim.path, claim=claim.claim_name)


def check_params(dataset: Dataset) -> dict[str, Any]:
    """`params.json` of the step check (images/README.md)."""
    spec = dataset.spec
    default_split = {"by": "Time"} if spec.event_time else {}
    config = {
        "name": dataset.name,
        **spec.model_dump(mode="json", by_alias=True, include={"target", "keys", "event_time", "format"}),
        "columns": [column.model_dump(mode="json", by_alias=True, exclude_defaults=True) for column in spec.columns],
        "checks": [check.model_dump(mode="json", by_alias=True) for check in spec.checks],
        "split": spec.split.model_dump(mode="json", by_alias=True, exclude_none=True) if spec.split else default_split,
        **({"showValues": True} if spec.show_values else {}),
        **table_config(spec.csv, spec.ignore),
    }
    return CheckConfig.model_validate(config).document()
