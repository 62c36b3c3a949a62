"""What is read from a ModelVersion: what verification found, and whether it may be served."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from flywheel.core.resource.schema import Schema, Status
from flywheel.core.resource.values import Digest
from flywheel.kinds.modelversion.schema.gate_results import ApprovalStatus, GatesResult, GatesRetry
from flywheel.kinds.modelversion.schema.quantization import Quantization


class Tensor(Schema):
    """One input or output of the model."""

    name: str = Field(
        max_length=253, description="The tensor's name, which is the column's where the model is tabular."
    )
    datatype: str = Field(max_length=16, description="Open Inference Protocol's datatype, such as FP32.")
    shape: tuple[int, ...] = Field((), max_length=16, description="Its shape; -1 is any length.")


class Signature(Schema):
    """What the model takes and gives."""

    inputs: tuple[Tensor, ...] = Field((), max_length=256, description="The inputs.")
    outputs: tuple[Tensor, ...] = Field((), max_length=64, description="The outputs.")


class GoldenReplay(Schema):
    """The replay of golden rows, whose predictions were recorded when the model was made."""

    rows: int = Field(description="How many rows were predicted.")
    max_difference: str = Field(
        max_length=32, description="The greatest difference of any number from the recorded one."
    )


class VerificationFailure(Schema):
    """How the last verification failed."""

    reason: str = Field(max_length=63, description="Why, as one CamelCase word.")
    message: str = Field(max_length=1024, description="Why, as a sentence.")
    generation: int = Field(description="The generation of the spec that failed; another one is verified at once.")
    in_a_row: int = Field(description="How many attempts failed one after the other; the pause grows with them.")
    retry_at: datetime | None = Field(
        None, description="When it is retried; absent where only another spec or a request starts another verification."
    )


class Rejection(Schema):
    """The rejection of a version by a rollout."""

    service: str = Field(max_length=253, description="The InferenceService whose rollout it failed.")
    at: datetime = Field(description="When it was rolled back.")
    message: str = Field("", max_length=512, description="What was found, with the numbers.")
    # Absent, never empty: where a map of ours loses all its keys, server-side apply makes it null, which no schema takes.
    numbers: dict[str, Annotated[str, Field(max_length=32)]] | None = Field(
        None, max_length=24, description="What the judge measured."
    )


class RejectionClearing(Schema):
    """A user cleared a rejection, so that the version may be champion again."""

    value: str = Field(max_length=128, description="The value of annotation flywheel.ml/clear-rejection then.")
    at: datetime = Field(description="When it was seen; only a later rollback counts.")


class ModelVersionStatus(Status):
    """What verification found."""

    digest: Digest | None = Field(None, description="The artifact that is served.")
    metrics: dict[str, Annotated[str, Field(max_length=32)]] = Field(
        default_factory=dict,
        max_length=64,
        description="Test metrics under their plain names, and p50_ms, p95_ms and size_bytes, as measured in the serving image.",
    )
    test_digest: str | None = Field(
        None,
        max_length=71,
        description="The test data behind the metrics, or the Dataset version where the artifact does not say; only equal ones compare.",
    )
    signature: Signature | None = Field(None, description="What the model takes and gives; left out where it is long.")
    golden: GoldenReplay | None = Field(None, description="The replay of golden rows, where the artifact has some.")
    quantization: Quantization | None = Field(None, description="What spec.quantize did to the model.")
    verified_at: datetime | None = Field(
        None, description="When verification last succeeded; absent once a later one found fault."
    )
    attempts: int | None = Field(None, description="How many verify Jobs have ended.")
    failure: VerificationFailure | None = Field(
        None, description="How the last verification failed; absent after a good one."
    )
    verify_requested: str | None = Field(
        None, max_length=128, description="The value of annotation flywheel.ml/verify-requested that was last verified."
    )
    gates: GatesResult | None = Field(
        None, description="What the gates' Job measured last; it counts for those artifacts and gates alone."
    )
    gates_retry: GatesRetry | None = Field(None, description="Why the gates' Job could not measure yet.")
    approval: ApprovalStatus | None = Field(
        None, description="The approval of this very artifact; one of another digest is void and not here."
    )
    served_by: tuple[Annotated[str, Field(max_length=253)], ...] = Field(
        (),
        max_length=50,
        description="InferenceServices that serve it or are about to. While there are any, it cannot be deleted.",
    )
    scored_by: tuple[Annotated[str, Field(max_length=253)], ...] = Field(
        (),
        max_length=50,
        description="BatchInferences that score with it now or will. While there are any, it cannot be deleted.",
    )
    rejection: Rejection | None = Field(
        None,
        description="A rollout found it bad: it cannot be champion. Annotation flywheel.ml/clear-rejection, set to a new value, clears this.",
    )
    rejection_cleared: RejectionClearing | None = Field(None, description="When a rejection was last cleared.")

    @property
    def is_verified(self) -> bool:
        """Whether the last verification that had a result was a success."""
        return self.verified_at is not None
