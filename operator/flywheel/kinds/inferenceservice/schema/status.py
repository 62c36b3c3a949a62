"""What is read from an InferenceService."""

from pydantic import Field

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.schema import MessageText, NameText, Status
from flywheel.core.resource.values import Digest
from flywheel.kinds.inferenceservice.schema.rollout import IN_PROGRESS, RolloutStatus
from flywheel.kinds.inferenceservice.schema.spec import InferenceServiceSpec


class InferenceServiceStatus(Status):
    """Which version is served, where, and by how many servers."""

    url: str | None = Field(
        None,
        max_length=256,
        description="The address of the REST API inside the cluster; gRPC is port 8081 of the same host.",
    )
    version: NameText | None = Field(None, description="The ModelVersion that the servers serve.")
    digest: Digest | None = Field(None, description="The version's artifact.")
    replicas: int | None = Field(None, description="The number of servers.")
    ready_replicas: int | None = Field(None, description="The number of servers that are ready.")
    selector: MessageText | None = Field(None, description="The label selector of the servers, for autoscalers.")
    slot: str | None = Field(
        None, max_length=1, description="The slot that the Service selects, if it is the second one."
    )
    rollout: RolloutStatus | None = Field(None, description="The current or last rollout.")


def answering_versions(service: Manifest) -> set[str]:
    """The ModelVersions that answer requests of an InferenceService: the one that it serves, and the challenger of a rollout under way."""
    status = InferenceServiceStatus.model_validate(service.get("status") or {})
    rollout = status.rollout if status.rollout and status.rollout.phase in IN_PROGRESS else None
    return {str(name) for name in (status.version, rollout.challenger if rollout else None) if name}


def versions_in_use(service: Manifest) -> set[str]:
    """The ModelVersions that an InferenceService serves, wants or has in a rollout; none while it is being deleted."""
    spec = InferenceServiceSpec.model_validate(service["spec"])
    status = InferenceServiceStatus.model_validate(service.get("status") or {})
    in_rollout = (status.rollout.challenger, status.rollout.champion) if status.rollout else ()
    known = {str(name) for name in (spec.version, status.version, *in_rollout) if name}
    return set() if "deletionTimestamp" in service["metadata"] else known
