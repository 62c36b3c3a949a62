"""What is read from a FeatureSet: its definition, the Datasets that it was checked against, and the models that need it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.resource.schema import InternalErrorCount, LongText, NameText, Schema, ShortText, Status
from flywheel.core.resource.values import Digest
from flywheel.kinds.featureset.schema.pins import MAX_DATASETS, DatasetPin

MAX_MODELS = 50


class LastCheck(Schema):
    """The current check, or the last one."""

    number: int = Field(description="Number of the attempt; each attempt is a separate Job.")
    generation: int = Field(description="The generation of the spec that it checks.")
    request: str | None = Field(
        None, max_length=256, description="The value of annotation flywheel.ml/check-requested that caused it."
    )
    datasets: tuple[DatasetPin, ...] = Field(
        (), max_length=MAX_DATASETS, description="The versions of the Datasets that it checks against."
    )
    result: Literal["Running", "Passed", "Failed", "Retrying"] = Field(description="Its result.")
    reason: ShortText | None = Field(None, description="Why it failed, as one CamelCase word.")
    message: LongText | None = Field(None, description="Why it failed, as a sentence.")
    retries: int = Field(description="Number of retries after failures that neither the spec nor the data caused.")
    internal_errors: InternalErrorCount = None
    not_before: datetime | None = Field(None, description="Time of the next attempt.")
    finished_at: datetime | None = Field(None, description="Time when it finished.")


class FeatureSetStatus(Status):
    """The definition to use now, and the last check."""

    version: NameText | None = Field(
        None, description="The FeatureSet's name and 8 digits of the digest: the same features are the same version."
    )
    digest: Digest | None = Field(None, description="Digest of its definition, the artifact with feature_set.json.")
    generation: int | None = Field(None, description="The generation of the spec whose definition it is.")
    looked_up: int | None = Field(None, description="Number of features that are looked up.")
    rowwise: int | None = Field(None, description="Number of features by SQL over one row.")
    datasets: tuple[DatasetPin, ...] = Field(
        (), max_length=MAX_DATASETS, description="The versions of the Datasets that the definition was checked against."
    )
    check: LastCheck | None = Field(None, description="The current check, or the last one.")
    models: tuple[Annotated[str, Field(max_length=253)], ...] = Field(
        (), max_length=MAX_MODELS, description="Models with a version that pins a definition of this FeatureSet."
    )
    needed_by: tuple[Annotated[str, Field(max_length=253)], ...] = Field(
        (),
        max_length=MAX_MODELS,
        description="Those whose champion does. The FeatureSet cannot be deleted while there is one.",
    )
