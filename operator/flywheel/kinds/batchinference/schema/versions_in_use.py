"""Which ModelVersions a BatchInference scores with."""

from flywheel.core.resource.api import Manifest
from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec
from flywheel.kinds.batchinference.schema.status import BatchInferenceStatus


def versions_in_use(batch: Manifest) -> set[str]:
    """The ModelVersion of the run that is under way, and the one that the spec names, unless its only run has ended."""
    spec = BatchInferenceSpec.model_validate(batch["spec"])
    run = BatchInferenceStatus.model_validate(batch.get("status") or {}).run
    now = run.version if run is not None and not run.is_over else None
    will = spec.version if spec.schedule is not None or run is None else None
    known = {str(name) for name in (now, will) if name}
    return set() if "deletionTimestamp" in batch["metadata"] else known
