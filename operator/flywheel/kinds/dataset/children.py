"""The children of a Dataset: a Job for each check. The CronJob of its schedule is core's."""

import json
from typing import Any, Literal

from flywheel.core.pods.bounds import bound_time
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config.config import StepConfig
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import ClaimLocation, FileFormat, Resources
from flywheel.core.resource.values import Duration
from flywheel.core.settings import Settings
from flywheel.core.tables import table_config
from flywheel.kinds.dataset.schema.spec import Check, Column, DatasetSpec, HttpSource, S3Source, Split
from flywheel.kinds.dataset.schema.sql_source import SqlSource
from flywheel.kinds.dataset.schema.status import DatasetStatus, LastCheck

Dataset = Resource[DatasetSpec, DatasetStatus]

CHECK = "check"
CAUSE_ANNOTATION = "flywheel.ml/check"  # why a check was made, so that a lost status can be made again from its Job
REQUEST_ANNOTATION = "flywheel.ml/check-requested"
DEFAULT_QUERY_TIMEOUT, DEFAULT_FULL_EVERY = Duration("10m"), Duration("7d")
DEFAULT_RESOURCES = Resources(requests={"cpu": "250m", "memory": "512Mi"})
OVERLAP_SECONDS = 600  # of an incremental source


class CheckConfig(StepConfig):
    """`params.json` of check: the spec, as far as it says what the data is; a split without any field is chosen by the target.
    `sort_by_keys`: the source's rows have no order of their own."""

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
    sort_by_keys: bool = False
    incremental: dict[str, Any] | None = None


def check_job(dataset: Dataset, check: LastCheck, settings: Settings) -> Child:
    """The Job of one check. It compares with the last good version, but for one that the store has lost."""
    spec = dataset.spec
    previous = dataset.status.digest if check.reason != "ArtifactMissing" else None
    inputs = [source_input(spec, settings)]
    if previous is not None:
        inputs.append(Input("previous", artifact=previous))
    is_incremental = spec.source.sql is not None and spec.source.sql.incremental is not None
    if is_incremental and dataset.status.snapshot is not None:
        inputs.append(Input("snapshot", artifact=dataset.status.snapshot, optional=True))
    tick = check.tick.isoformat() if check.tick is not None else None
    cause = {"generation": check.generation, "request": check.request, "tick": tick}
    step = Step(
        name=CHECK,
        attempt=check.number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "check"),
        params=check_params(dataset),
        inputs=tuple(inputs),
        outputs=("data", "snapshot") if is_incremental else ("data",),
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
        case SqlSource() as sql:
            return _database_input(sql, spec, settings)
        case ClaimLocation() as claim:
            return Input("source", volume=claim.path, claim=claim.claim_name)


def _database_input(sql: SqlSource, spec: DatasetSpec, settings: Settings) -> Input:
    place = sql.model_dump(
        by_alias=True, exclude_none=True, exclude={"secret_name", "tls", "timeout", "incremental"}, mode="json"
    )
    bounds = {"tls": sql.tls or "Verify", "timeoutSeconds": (sql.timeout or DEFAULT_QUERY_TIMEOUT).seconds}
    secret = str(sql.secret_name)
    left_out = {"ignore": list(spec.ignore)} if spec.ignore else {}
    every = (sql.incremental.full_every or DEFAULT_FULL_EVERY).seconds if sql.incremental else 0
    column = sql.incremental.column if sql.incremental else None
    since = {"incremental": {"column": column, "fullEverySeconds": every, "keys": [*spec.keys]}} if column else {}
    allowed = {"allowedHosts": list(settings.allowed_http_hosts)}
    return Input("source", sql={**place, **bounds, **left_out, **since, "secret": secret, **allowed}, secret=secret)


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
        **_snapshot_params(spec),
        **table_config(spec.csv, spec.ignore),
    }
    return CheckConfig.model_validate(config).document()


def _snapshot_params(spec: DatasetSpec) -> dict[str, Any]:
    """What check does with the rows of a database before it reads them."""
    if spec.source.sql is None:
        return {}
    incremental = spec.source.sql.incremental
    if incremental is None:
        return {"sortByKeys": True}
    overlap = incremental.overlap.seconds if incremental.overlap else OVERLAP_SECONDS
    return {"sortByKeys": True, "incremental": {"column": incremental.column, "overlapSeconds": overlap}}
