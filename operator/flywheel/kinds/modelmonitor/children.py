"""The children of a ModelMonitor: a Job for each run. The CronJob of its schedule is core's."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from flywheel.core.pods.bounds import bound_time
from flywheel.core.pods.fetch import DAY, HOUR, Input, hour_folders
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config.monitoring import MonitorConfig
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import Digest, format_time
from flywheel.core.settings import Settings
from flywheel.kinds.modelmonitor.schema.estimated_performance import METRICS_OF_ROWS, EstimatedPerformance
from flywheel.kinds.modelmonitor.schema.ground_truth import Performance
from flywheel.kinds.modelmonitor.schema.service_levels import seconds_of
from flywheel.kinds.modelmonitor.schema.spec import ModelMonitorSpec
from flywheel.kinds.modelmonitor.schema.status import ModelMonitorStatus, Run
from flywheel.kinds.modelmonitor.targets.batch_runs import BatchRun, runs_between

ModelMonitor = Resource[ModelMonitorSpec, ModelMonitorStatus]

MONITOR = "monitor"
NOTIFY_PREFIX = "notify-"  # of the steps that notify the webhook, before the number of the run
RUN_ANNOTATION = (
    "flywheel.ml/monitor-run"  # the run as its Job was made, so that a lost status can be made again from it
)
REQUEST_ANNOTATION = "flywheel.ml/run-requested"
DEFAULT_RESOURCES = Resources(requests={"cpu": "100m", "memory": "256Mi"})
VERSION_FILES = (
    "baseline.json",
    "evaluation.json",
    "golden.json",
    "loss_model.json",
    "loss_model.onnx",
    "permutation_importance.json",
    "signature.json",
)
# Documents that reach the store after their window was tested are still merged for so long.
LATENESS = HOUR
RETRY_PERIOD = DAY  # for which frozen windows wait for labels that can be read
OUTPUTS = ("report", "state")
SPLIT_FILES = ("train.parquet", "validation.parquet", "test.parquet")  # of a Dataset's artifact


def monitor_job(
    monitor: ModelMonitor,
    run: Run,
    versions: dict[str, Digest],
    settings: Settings,
    labels: Digest | None = None,
    *,
    counts_rows: bool = False,
    labels_only: Collection[str] = (),
    stored_rows: str = "",
    batch_runs: Sequence[BatchRun] = (),
) -> Child:
    """The Job of one run. `versions` are those whose traffic it compares, with their artifacts; `labels` is that of a Dataset.

    `counts_rows`: a server counts nothing, since its model was brought without a baseline, so that the logged rows are counted.
    `labels_only`: versions without traffic, for which labels may still come. `stored_rows`: rows of the store are counted, as observed.
    """
    spec, runs = monitor.spec, dict(runs_between(batch_runs, run.from_, run.until))
    inputs = [*(each.input(name) for name, each in runs.items()), *_stored_inputs(monitor, versions)]
    if not stored_rows:
        inputs.append(Input("counts", folder={"path": f"predictions/{spec.target}/counts/", "parts": hours(run)}))
    inputs += _label_inputs(monitor, run, labels)
    if stored_rows != "Batch" and _reads_rows(spec, counts_rows=counts_rows or stored_rows == "Log"):
        inputs.append(Input("rows", folder={"path": f"predictions/{spec.target}/rows/", "parts": hours(run)}))
    recorded = json.dumps(run.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=True)
    step = Step(
        name=MONITOR,
        attempt=run.number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", MONITOR),
        params=monitor_params(monitor, run, versions, labels_only, stored_rows_config(stored_rows, runs)),
        inputs=tuple(inputs),
        outputs=OUTPUTS,
        timeout=bound_time(spec.timeout, settings.check_timeout),
        resources=spec.resources.or_default(DEFAULT_RESOURCES),
        placement=spec.placement,
        annotations={RUN_ANNOTATION: recorded},
    )
    return step_job(monitor, step, settings)


def _stored_inputs(monitor: ModelMonitor, versions: Mapping[str, Digest]) -> Iterator[Input]:
    """The state of the run before, and the files of the versions."""
    state = monitor.status.state
    if state is not None:
        yield Input("state", artifact=str(state.digest), optional=True)
    for name, digest in sorted(versions.items()):
        yield Input(f"version-{name}", artifact=str(digest), files=VERSION_FILES, optional=True)


def _reads_rows(spec: ModelMonitorSpec, *, counts_rows: bool) -> bool:
    """Whether the logged rows of the windows are read, unless those are for labels or groups anyway."""
    return (counts_rows or _estimates_by_rows(spec)) and spec.ground_truth is None and spec.fairness is None


def _estimates_by_rows(spec: ModelMonitorSpec) -> bool:
    estimated = spec.estimated_performance
    return estimated is not None and estimated.metric in METRICS_OF_ROWS


def _label_inputs(monitor: ModelMonitor, run: Run, labels: Digest | None) -> Iterator[Input]:
    """The logged rows of all windows that are open, frozen now or not tested yet, and the labels for them; without labels those of the run's windows."""
    spec, truth = monitor.spec, monitor.spec.ground_truth
    folder = f"predictions/{spec.target}"
    if truth is None:
        if spec.fairness is not None:
            yield Input("rows", folder={"path": f"{folder}/rows/", "parts": hours(run)})
        return
    parts = hours(run, truth.delay.max.timedelta + spec.window.timedelta + _retry_period(monitor))
    yield Input("rows", folder={"path": f"{folder}/rows/", "parts": parts})
    if truth.dataset is None:
        yield Input("labels", folder={"path": f"{folder}/labels/", "parts": parts})
    elif labels is not None:
        yield Input("dataset", artifact=str(labels), files=SPLIT_FILES, optional=True)


def _retry_period(monitor: ModelMonitor) -> timedelta:
    """How long before a run the windows may be frozen that it tests yet, where labels could not be read."""
    windows = monitor.status.label_windows
    return RETRY_PERIOD if windows is not None and windows.waiting else timedelta(0)


def hours(run: Run, lateness: timedelta = LATENESS) -> list[str]:
    """The folders of the hours that the windows of a run touch, and of those before, whose documents or labels may have come late."""
    return hour_folders(run.from_ - lateness, run.until)


def stored_rows_config(source: str, runs: Mapping[str, BatchRun]) -> dict[str, Any]:
    """What params.json says of the rows that are counted; empty where count documents are read."""
    if not source:
        return {}
    described = [
        {
            "input": name,
            "version": each.version,
            "digest": str(each.digest),
            "finishedAt": format_time(each.finished_at),
        }
        for name, each in runs.items()
    ]
    return {"storedRows": {"source": source, **({"runs": described} if described else {})}}


def monitor_params(
    monitor: ModelMonitor,
    run: Run,
    versions: dict[str, Digest],
    labels_only: Collection[str] = (),
    stored_rows: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`params.json` of the step monitor (images/README.md)."""
    spec = monitor.spec
    drifts = {"featureDrift": spec.feature_drift, "predictionDrift": spec.prediction_drift}
    config = {
        "service": spec.target,
        "namespace": monitor.namespace,
        "from": format_time(run.from_),
        "until": format_time(run.until),
        "windowSeconds": spec.window.seconds,
        "minRows": spec.min_rows,
        "skipped": run.skipped or 0,
        "falseAlarms": {"count": spec.false_alarms.count, "perSeconds": spec.false_alarms.per.seconds},
        **({"method": spec.method} if spec.method != "Sequential" else {}),
        **({"reference": {"seasonal": spec.reference.seasonal}} if spec.reference is not None else {}),
        "signals": {
            "dataQuality": {"maxShare": str(spec.data_quality.max_share)},
            **{name: {"psi": str(drift.psi)} for name, drift in drifts.items() if not drift.disabled},
            **_metric("estimatedPerformance", spec.estimated_performance),
            **_metric("performance", spec.performance),
            **_service(spec),
            **_fairness(spec),
        },
        **_ground_truth(monitor),
        "versions": [
            {"name": name, "digest": str(digest), **({"labelsOnly": True} if name in labels_only else {})}
            for name, digest in sorted(versions.items())
        ],
        **(stored_rows or {}),
        **({"stateExpected": True} if monitor.status.state is not None else {}),
    }
    return MonitorConfig.model_validate(config).document()


def _metric(signal: str, given: EstimatedPerformance | Performance | None) -> dict[str, Any]:
    return {} if given is None else {signal: {"metric": given.metric, "maxDrop": str(given.max_drop)}}


def _service(spec: ModelMonitorSpec) -> dict[str, Any]:
    levels = spec.service
    if levels is None:
        return {}
    latency = levels.latency
    limit = (
        None if latency is None else {"quantile": str(latency.quantile), "maxSeconds": f"{seconds_of(latency.max):g}"}
    )
    share = None if levels.max_error_share is None else str(levels.max_error_share)
    given = {"maxErrorShare": share, "latency": limit}
    return {"service": {name: each for name, each in given.items() if each is not None}}


def _fairness(spec: ModelMonitorSpec) -> dict[str, Any]:
    given = spec.fairness
    if given is None:
        return {}
    positive = {} if given.positive is None else {"positive": given.positive}
    columns = [str(each) for each in given.by]
    return {"fairness": {"by": columns, "measure": given.measure, "maxGap": str(given.max_gap), **positive}}


def _ground_truth(monitor: ModelMonitor) -> dict[str, Any]:
    truth, retry = monitor.spec.ground_truth, _retry_period(monitor)
    if truth is None:
        return {}
    delay = {"maxDelaySeconds": truth.delay.max.seconds}
    if truth.delay.min is not None:
        delay["minDelaySeconds"] = truth.delay.min.seconds
    if retry:
        delay["retrySeconds"] = int(retry.total_seconds())
    columns = {"key": truth.key, "column": truth.column, "probability": truth.probability}
    given = {name: column for name, column in columns.items() if truth.dataset is not None and column is not None}
    guards = truth.guards.config() if truth.guards is not None else {}
    return {"groundTruth": {**given, **delay, **guards}}
