"""The children of a FeatureSet: a Job for each check."""

import json
from typing import Any

from flywheel.core.pods.bounds import bound_time
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config.config import StepConfig
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.featureset.schema.spec import Aggregate, FeatureSetSpec, Lookup, Source
from flywheel.kinds.featureset.schema.status import FeatureSetStatus, LastCheck

FeatureSet = Resource[FeatureSetSpec, FeatureSetStatus]

CHECK = "check"
CAUSE_ANNOTATION = "flywheel.ml/check"  # what a check compares, so that a lost status can be made again from its Job
REQUEST_ANNOTATION = "flywheel.ml/check-requested"
DEFAULT_RESOURCES = Resources(requests={"cpu": "100m", "memory": "256Mi"})


class CheckFeaturesConfig(StepConfig):
    """`params.json` of check-features. `definition`: the features; `tables`: the input with the schema of each Dataset."""

    definition: dict[str, Any]
    tables: dict[str, str]


def check_job(featureset: FeatureSet, check: LastCheck, settings: Settings) -> Child:
    """The Job of one check. It reads the schemas of the Datasets, and none of their rows."""
    inputs = {str(each.name): f"table-{place}" for place, each in enumerate(check.datasets)}
    config = {"definition": definition_document(featureset), "tables": inputs}
    cause = check.model_dump(mode="json", by_alias=True, include={"generation", "request", "datasets"})
    step = Step(
        name=CHECK,
        attempt=check.number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "check-features"),
        params=CheckFeaturesConfig.model_validate(config).document(),
        inputs=tuple(
            Input(inputs[str(each.name)], artifact=str(each.digest), files=("schema.json",)) for each in check.datasets
        ),
        outputs=("definition",),
        timeout=bound_time(None, settings.check_timeout),
        resources=featureset.spec.resources.or_default(DEFAULT_RESOURCES),
        placement=featureset.spec.placement,
        annotations={CAUSE_ANNOTATION: json.dumps(cause, sort_keys=True)},
    )
    return step_job(featureset, step, settings)


def definition_document(featureset: FeatureSet) -> dict[str, Any]:
    """What the features are, as the check reads it: without what is for people, and with seconds in place of texts."""
    spec = featureset.spec
    inputs = [each.model_dump(mode="json", exclude={"description"}, exclude_none=True) for each in spec.inputs]
    return {
        "name": featureset.name,
        "inputs": inputs,
        "eventTime": spec.event_time,
        "rowwise": dict(spec.rowwise),
        "aggregates": [_aggregate(each) for each in spec.aggregates],
        "lookups": [_lookup(each) for each in spec.lookups],
    }


def _aggregate(aggregate: Aggregate) -> dict[str, Any]:
    return {
        "name": str(aggregate.name),
        "from": _source(aggregate.from_),
        "key": dict(aggregate.key),
        "function": aggregate.function,
        **({"column": aggregate.column} if aggregate.column is not None else {}),
        "windowSeconds": aggregate.window.seconds,
        "everySeconds": aggregate.every.seconds,
        "ttlSeconds": (aggregate.ttl or aggregate.window).seconds,
        "missing": aggregate.missing or "Null",
    }


def _lookup(lookup: Lookup) -> dict[str, Any]:
    return {
        "name": str(lookup.name),
        "from": _source(lookup.from_),
        "key": dict(lookup.key),
        "columns": list(lookup.columns),
        "maxAgeSeconds": lookup.max_age.seconds,
        "missing": lookup.missing or "Null",
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        "dataset": str(source.dataset),
        "time": source.time,
        "availableAfterSeconds": source.available_after.seconds if source.available_after else 0,
        **({"ingestionTime": source.ingestion_time} if source.ingestion_time is not None else {}),
    }
