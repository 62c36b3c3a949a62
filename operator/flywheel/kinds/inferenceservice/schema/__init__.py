"""What a user writes into an InferenceService, and what is read from it: one module for each feature of the spec."""

from flywheel.core.resource.kind import Resource
from flywheel.kinds.inferenceservice.schema.spec import InferenceServiceSpec
from flywheel.kinds.inferenceservice.schema.status import InferenceServiceStatus, answering_versions, versions_in_use

InferenceService = Resource[InferenceServiceSpec, InferenceServiceStatus]

__all__ = [
    "InferenceService",
    "InferenceServiceSpec",
    "InferenceServiceStatus",
    "answering_versions",
    "versions_in_use",
]
