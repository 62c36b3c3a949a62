"""Which ModelVersions a BatchInference scores with."""

from flywheel.core.resource.api import Manifest
from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec
from flywheel.kinds.batchinference.schema.status import ENDED, BatchInferenceStatus


def versions_at_work(batch: Manifest) -> set[str]:
    """ModelVersions that a BatchInference scores with now or will: that of its run, or one that it names and has not ended with, or comes back to."""
    spec = BatchInferenceSpec.model_validate(batch["spec"])
    run = BatchInferenceStatus.model_validate(batch.get("status") or {}).run
    now = run.version if run is not None and run.phase not in ENDED else None
    will = spec.version if spec.schedule is not None or run is None else None
    known = {str(name) for name in (now, will) if name}
    return set() if "deletionTimestamp" in batch["metadata"] else known
