"""What is read from a ModelVersion: what verification found, and whether it may be served."""

from datetime import datetime

from pydantic import Field

from flywheel.core.resource.schema import (
    InternalErrorCount,
    LongText,
    MessageText,
    NameText,
    NumberText,
    Schema,
    ShortText,
    Status,
)
from flywheel.core.resource.values import Digest
from flywheel.kinds.modelversion.schema.feature_importance import FeatureImportances
from flywheel.kinds.modelversion.schema.gate_results import ApprovalStatus, GatesResult, GatesRetry
from flywheel.kinds.modelversion.schema.quantization import Quantization
from flywheel.kinds.modelversion.schema.rowwise_features import RowwiseFeatures


class Tensor(Schema):
    """One input or output of the model."""

    name: NameText = Field(description="Name of the tensor; for a tabular model, the name of the column.")
    datatype: str = Field(max_length=16, description="Open Inference Protocol's datatype, such as FP32.")
    shape: tuple[int, ...] = Field((), max_length=16, description="Its shape; -1 is any length.")


class Signature(Schema):
    """What the model takes and gives."""

    inputs: tuple[Tensor, ...] = Field((), max_length=256, description="The inputs.")
    outputs: tuple[Tensor, ...] = Field((), max_length=64, description="The outputs.")
    classes: tuple[LongText, ...] = Field(
        (),
        max_length=512,
        description="Classes in the order of the probabilities; empty if it has none, or they are unknown.",
    )
    left_out: tuple[NameText, ...] = Field(
        (),
        max_length=256,
        description="Columns of the training data that the model does not take, since they had one value or none. A request may have them, and they are ignored.",
    )


class GoldenReplay(Schema):
    """The replay of golden rows, whose predictions were recorded when the model was made."""

    rows: int = Field(description="Number of rows.")
    max_difference: NumberText = Field(description="Maximum difference from the expected values.")


class VerificationFailure(Schema):
    """How the last verification failed."""

    reason: ShortText = Field(description="Reason for the failure, as one CamelCase word.")
    message: LongText = Field(description="Message about the failure.")
    generation: int = Field(description="Generation of the spec that failed. A new generation is verified at once.")
    in_a_row: int = Field(description="Number of consecutive failed attempts, which determines the backoff.")
    internal_errors: InternalErrorCount = None
    retry_at: datetime | None = Field(
        None,
        description="Time of the next attempt. Absent if only a change of the spec or a request can start another verification.",
    )


class Rejection(Schema):
    """The rejection of a version by a rollout, or for what a monitor found."""

    service: NameText = Field(
        description="InferenceService whose rollout rejected it, or whose traffic the monitor saw."
    )
    monitor: NameText | None = Field(
        None, description="ModelMonitor that found the problem, as spec.rollback of the Model names it."
    )
    at: datetime = Field(description="Time of the rollback.")
    message: MessageText = Field("", description="Message with the measurements.")
    # Absent, never empty: where a map of ours loses all its keys, server-side apply makes it null, which no schema takes.
    numbers: dict[str, NumberText] | None = Field(None, max_length=24, description="Measurements of the analysis.")


class MonitoredProblem(Schema):
    """What a ModelMonitor found of the version while it was champion, and whether it was taken back for it."""

    monitor: NameText = Field(description="The ModelMonitor.")
    kind: ShortText = Field(description="Errors, NotFinite, ConstantOutput or LabelledLoss.")
    since: datetime = Field(description="Since when, as the finding says.")
    at: datetime = Field(description="Time when the operator decided.")
    rolled_back: bool = Field(description="Whether the version was taken back.")
    reason: ShortText = Field(
        description="RolledBack; or why not: Pinned, Returned (it was champion before, or pinned), BakeTimeOver, NoPreviousChampion, Tolerated (the finding is in status.tolerated of the Model), Cleared (the rejection for this finding was cleared) or LabelsRefused (labels do not count that might have said so)."
    )
    message: MessageText = Field(description="The finding and what was done, in a sentence.")


class RejectionClearing(Schema):
    """A user cleared a rejection, so that the version may be champion again."""

    value: str = Field(max_length=128, description="Value of the annotation flywheel.ml/clear-rejection.")
    at: datetime = Field(description="Time when the operator observed it. Only later rollbacks count.")


class ModelVersionStatus(Status):
    """What verification found."""

    digest: Digest | None = Field(None, description="Digest of the artifact that is served.")
    metrics: dict[str, NumberText] = Field(
        default_factory=dict,
        max_length=64,
        description="Test metrics under their own names, and p50_ms, p95_ms and size_bytes as measured in the serving image.",
    )
    test_digest: str | None = Field(
        None,
        max_length=71,
        description="Digest of the test data of the metrics, or the Dataset version if the artifact does not contain it. Versions are comparable if it is equal.",
    )
    signature: Signature | None = Field(None, description="Inputs and outputs of the model. Absent if it is too long.")
    golden: GoldenReplay | None = Field(None, description="Result of the golden rows, if the artifact has some.")
    row_mixing: str | None = Field(
        None,
        max_length=256,
        description="Why a row's output may depend on other rows of a call, so that requests do not share calls of the model. Absent if they may.",
    )
    note: str | None = Field(
        None,
        max_length=400,
        description="What verification found and did not refuse: outputs that are left out since they have no row for each row, or that no synthetic row was accepted.",
    )
    isolated: str | None = Field(
        None,
        max_length=64,
        description="Operator for which servers compute the model in worker processes, since it might end or occupy theirs. Empty, they compute it themselves. Absent, verification did not look for one, as in earlier releases.",
    )
    explanation: str | None = Field(
        None,
        max_length=64,
        description="Method by which servers explain the model's answers, such as PathDependentTreeSHAP. Empty, none fits. Absent, verification did not look for one, as in earlier releases.",
    )
    quantization: Quantization | None = Field(None, description="What spec.quantize did to the model.")
    feature_importance: FeatureImportances | None = Field(
        None,
        description="Columns that the model needs most. Absent for a version that was trained before this was measured, was brought, or was quantized.",
    )
    rowwise: RowwiseFeatures | None = Field(
        None, description="Features by SQL that the model computes of its inputs. Absent if it has none."
    )
    verified_at: datetime | None = Field(
        None, description="Time when verification last succeeded. Absent if a later verification failed."
    )
    attempts: int | None = Field(None, description="Number of finished verify Jobs.")
    failure: VerificationFailure | None = Field(
        None, description="Failure of the last verification. Absent after a success."
    )
    verify_requested: str | None = Field(
        None, max_length=128, description="Last value of the annotation flywheel.ml/verify-requested that was handled."
    )
    gates: GatesResult | None = Field(
        None, description="Last result of the gates Job. It is valid only for these artifacts and gates."
    )
    gates_retry: GatesRetry | None = Field(None, description="Failed attempts of the gates Job.")
    approval: ApprovalStatus | None = Field(
        None, description="Valid approval of this artifact. An approval of another digest is void and not listed."
    )
    served_by: tuple[NameText, ...] = Field(
        (),
        max_length=50,
        description="InferenceServices that serve or reference it. It cannot be deleted while there are any.",
    )
    scored_by: tuple[NameText, ...] = Field(
        (),
        max_length=50,
        description="BatchInferences that use or will use it. It cannot be deleted while there are any.",
    )
    rejection: Rejection | None = Field(
        None,
        description="Rejection by a rollout or for what a ModelMonitor found; the version cannot be champion. Set the annotation flywheel.ml/clear-rejection to a new value to clear it.",
    )
    problem: MonitoredProblem | None = Field(
        None, description="The last problem that a ModelMonitor found of it and that spec.rollback of the Model names."
    )
    rejection_cleared: RejectionClearing | None = Field(None, description="Last clearing of a rejection.")

    @property
    def is_verified(self) -> bool:
        """Whether the last verification that had a result was a success."""
        return self.verified_at is not None
