"""What a BatchInference becomes: for each run a plan Job, an Indexed score Job, and a finish Job."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flywheel.core.pods.cron_job import Schedule
from flywheel.core.pods.step_config.batch import BatchConfig
from flywheel.core.pods.store_secret import identity_annotations
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.core.tables import table_config
from flywheel.kinds.batchinference.batch_pod import batch_pod
from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec, S3Input, S3Output
from flywheel.kinds.batchinference.schema.status import BatchInferenceStatus, Run
from flywheel.kinds.featureset.schema.join_inputs import feature_set_params

BatchInference = Resource[BatchInferenceSpec, BatchInferenceStatus]

STEPS = {"Planning": "plan", "Scoring": "score", "Finishing": "finish"}
RUN_ANNOTATION = "flywheel.ml/batch-run"  # the run as its Job was made, so that a lost status can be made again from it
REQUEST_ANNOTATION = "flywheel.ml/run-requested"
MAX_RETRIES_PER_SHARD = 4


def run_job(batch: BatchInference, run: Run, settings: Settings) -> Child:
    """The Job of the run's phase."""
    step = STEPS[run.phase]
    labels = {names.STEP_LABEL: step, names.ATTEMPT_LABEL: str(run.number)}
    recorded = json.dumps(run.model_dump(mode="json", by_alias=True, exclude_defaults=True), sort_keys=True)
    pod = batch_pod(batch, run, step, step_params(batch, run), settings)
    template = {"metadata": {"labels": labels, "annotations": identity_annotations(pod)}, "spec": pod}
    spec = {
        **(_indexed(batch, run) if step == "score" else {"backoffLimit": 0}),
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [*_FAILURES]},
        "template": template,
    }
    metadata = {"labels": labels, "annotations": {RUN_ANNOTATION: recorded}}
    name = names.job(batch, step, run.number)
    return Child(JOB, JOB.manifest(name, metadata=metadata, spec=spec), create_only=True)


_FAILURES = (
    # What can never work in one shard need not be tried in the others.
    {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [2]}},
    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
)


def _indexed(batch: BatchInference, run: Run) -> dict[str, Any]:
    shards = run.shards or 1
    return {
        "completionMode": "Indexed",
        "completions": shards,
        "parallelism": min(batch.spec.parallelism, shards),
        "backoffLimitPerIndex": MAX_RETRIES_PER_SHARD,
    }


def step_params(batch: BatchInference, run: Run) -> dict[str, Any]:
    """`params.json` of the batch steps (images/README.md)."""
    spec = batch.spec
    location = spec.input.location
    source = {"s3": _s3(location, run.input)} if isinstance(location, S3Input) else {"volume": {"path": run.input}}
    output = spec.output.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"s3"})
    config = {
        "input": {
            **source,
            "format": spec.input.format,
            "features": list(spec.input.features),
            **table_config(spec.input.csv, spec.input.ignore),
        },
        "output": {**output, "s3": _s3(spec.output.s3, run.output)},
        "model": {"name": batch.name, "version": run.version, "digest": str(run.digest)},
        "parallelism": spec.parallelism,
        "shards": spec.shards,
        "maxRowErrors": spec.max_row_errors,
        **({"featureSets": _feature_sets(run)} if run.feature_sets else {}),
    }
    return BatchConfig.model_validate(config).document()


def _feature_sets(run: Run) -> list[dict[str, Any]]:
    versions = [[each.model_dump(mode="json") for each in pin.datasets] for pin in run.feature_sets]
    params = feature_set_params(run.feature_sets)
    return [{**each, "datasets": datasets} for each, datasets in zip(params, versions, strict=True)]


def _s3(s3: S3Input | S3Output, uri: str) -> dict[str, Any]:
    secret = str(s3.secret_name) if s3.secret_name is not None else None
    return {"uri": uri, "endpoint": s3.endpoint, "region": s3.region, "foreign": secret is not None, "secret": secret}


def fill_in(text: str, time: datetime, schedule: Schedule | None = None) -> str:
    """The text with `$(run.date)` as 2026-11-21 and `$(run.time)` as 2026-11-21T22-00, in the zone of the time.

    Where clocks go back, a local time of the schedule's zone occurs twice. The second one is 2026-10-25T02-30-again.
    """
    again = "-again" if schedule is not None and _is_repeated(time, schedule.time_zone) else ""
    return text.replace("$(run.date)", f"{time:%Y-%m-%d}").replace("$(run.time)", f"{time:%Y-%m-%dT%H-%M}{again}")


def _is_repeated(time: datetime, zone: str) -> bool:
    """Whether the same local time was an hour or so earlier already."""
    try:
        return time.astimezone(ZoneInfo(zone)).fold == 1
    except (KeyError, ValueError, OSError):  # a zone that the operator's image does not have
        return False


def input_location(spec: BatchInferenceSpec, time: datetime) -> str:
    """Where the rows of a run of that time are: a URI, or a path in the volume."""
    location = spec.input.location
    return fill_in(location.uri if isinstance(location, S3Input) else location.path, time, spec.schedule)
