"""What a user writes into a BatchInference, and what is read from it.

`versions_in_use` says which ModelVersions it needs, so that a version in use is not deleted.
"""

from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec
from flywheel.kinds.batchinference.schema.status import BatchInferenceStatus

__all__ = ["BatchInferenceSpec", "BatchInferenceStatus"]
