"""The Jobs of a run as they will be, whatever the model and the input: `flywheel test` has the API server validate them in advance."""

from collections.abc import Iterable
from datetime import UTC

from flywheel.core.pods.cron_job import cron_jobs
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.plan import Child
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.batchinference import children
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.progress import Start, new_run
from flywheel.kinds.featureset.schema.pins import FeatureSetPin


def preview(batch: BatchInference, settings: Settings) -> Iterable[Child]:
    """The CronJob where there is a schedule, and the Jobs of plan, score and finish."""
    created, digest = batch.created.astimezone(UTC), Digest(f"sha256:{'0' * 64}")
    model = ResolvedVersion(batch.spec.version or "stand-in", digest)
    planned = new_run(batch, Start(created), model, None, created)
    if batch.spec.features is not None:
        pin = FeatureSetPin(name=batch.spec.features.from_ or "stand-in", digest=digest)
        planned = planned.model_copy(update={"feature_sets": (pin,)})
    shards = {"plan": digest, "shards": batch.spec.shards or 1}
    scored = planned.model_copy(update={"number": 2, "phase": "Scoring", **shards})
    finished = planned.model_copy(update={"number": 3, "phase": "Finishing", **shards})
    jobs = (children.run_job(batch, run, settings) for run in (planned, scored, finished))
    return (*cron_jobs(batch, batch.spec.schedule, suspend=batch.spec.suspend), *jobs)
