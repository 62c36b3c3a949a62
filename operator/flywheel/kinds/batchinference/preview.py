"""The Jobs of a run as they will be, whatever the model and the input: `flywheel test` has the API server validate them in advance."""

from collections.abc import Iterable
from datetime import UTC

from flywheel.core.pods.schedule import cron_job
from flywheel.core.resource.plan import Child
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.batchinference import children
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.schema.status import Run


def preview(batch: BatchInference, settings: Settings) -> Iterable[Child]:
    """The CronJob where there is a schedule, and the Jobs of plan, score and finish."""
    clock = cron_job(batch, batch.spec.schedule, suspend=batch.spec.suspend)
    created, digest = batch.created.astimezone(UTC), Digest(f"sha256:{'0' * 64}")
    planned = Run(
        number=1,
        phase="Planning",
        spec="",
        time=created,
        version=batch.spec.version or "stand-in",
        digest=digest,
        input=children.input_location(batch.spec, created),
        output=children.fill_in(batch.spec.output.s3.uri, created),
        retries=0,
        started_at=created,
    )
    shards = {"plan": digest, "shards": batch.spec.shards or 1}
    scored = planned.model_copy(update={"number": 2, "phase": "Scoring", **shards})
    finished = planned.model_copy(update={"number": 3, "phase": "Finishing", **shards})
    jobs = (children.run_job(batch, run, settings) for run in (planned, scored, finished))
    return (*((clock,) if clock is not None else ()), *jobs)
