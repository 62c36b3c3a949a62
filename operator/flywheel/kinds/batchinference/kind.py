"""BatchInference as the engine sees it."""

from collections.abc import Iterable

from flywheel.core.resource.api import (
    BATCH_INFERENCE,
    CRON_JOB,
    DATASET,
    FEATURE_SET,
    JOB,
    MODEL,
    MODEL_VERSION,
    Reference,
)
from flywheel.core.resource.kind import Kind
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.decide import decide
from flywheel.kinds.batchinference.observe import Seen, observe
from flywheel.kinds.batchinference.preview import preview
from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec
from flywheel.kinds.batchinference.schema.status import BatchInferenceStatus


def references(batch: BatchInference) -> Iterable[Reference]:
    """What it scores with and looks up in, and what a run under way does."""
    run = batch.status.run
    if run is not None and not run.is_over:
        yield Reference(MODEL_VERSION, batch.namespace, run.version)
        for name in {dataset.name for pin in run.feature_sets for dataset in pin.datasets}:
            yield Reference(DATASET, batch.namespace, name)
    if batch.spec.features is not None and batch.spec.features.from_ is not None:
        yield Reference(FEATURE_SET, batch.namespace, batch.spec.features.from_)
    if batch.spec.model is not None:
        yield Reference(MODEL, batch.namespace, batch.spec.model)
    if batch.spec.version is not None:
        yield Reference(MODEL_VERSION, batch.namespace, batch.spec.version)


KIND: Kind[BatchInferenceSpec, BatchInferenceStatus, Seen] = Kind(
    api=BATCH_INFERENCE,
    short_name="fwbatch",
    spec=BatchInferenceSpec,
    status=BatchInferenceStatus,
    observe=observe,
    decide=decide,
    owns=(CRON_JOB, JOB),
    removes=(BATCH_INFERENCE,),
    references=references,
    bounded=True,
    preview=preview,
    normal_reasons=frozenset(
        (
            "NoChampion",
            "VersionNotReady",
            "DatasetNotReady",
            "Planning",
            "Scoring",
            "Finishing",
            "Scored",
            "Scheduled",
            "TimeIsOver",
        )
    ),
)
