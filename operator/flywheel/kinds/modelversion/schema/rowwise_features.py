"""Which features the model computes itself by SQL, as its training compared them with DuckDB."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from flywheel.core.resource.schema import NameText, NumberText, Schema
from flywheel.core.resource.values import number_text

MAX_FEATURES = 64


class RowwiseFeatures(Schema):
    """Features by SQL that are part of the model. features.json of the artifact has the expressions."""

    features: tuple[NameText, ...] = Field(
        (), max_length=MAX_FEATURES, description="Names of the features, or the first of them where they are long."
    )
    largest_difference: NumberText = Field(
        description="Largest difference between the model and DuckDB on the rows that training compared, in units in the last place: 0 where all functions are exact."
    )


def parse_rowwise_features(fact: Mapping[str, Any] | None) -> RowwiseFeatures | None:
    """The features in the facts of a verify Job; None without readable ones."""
    try:
        names = list((fact or {})["features"])[:MAX_FEATURES]
        largest = number_text(float((fact or {})["largestDifference"]))
        return RowwiseFeatures.model_validate({"features": names, "largestDifference": largest})
    except (KeyError, TypeError, ValueError, ValidationError):
        return None
