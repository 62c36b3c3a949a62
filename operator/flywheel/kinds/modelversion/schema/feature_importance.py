"""Which columns the model needs, as its training measured it."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from flywheel.core.resource.schema import NameText, NumberText, Schema
from flywheel.core.resource.values import number_text

MAX_FEATURES = 10


class FeatureImportance(Schema):
    """The permutation importance of one column."""

    name: NameText = Field(description="Name of the column.")
    importance: NumberText = Field(
        description="How much worse the metric is on test rows when the values of the column are shuffled, in the unit of the metric."
    )


class FeatureImportances(Schema):
    """Permutation importances on test rows. permutation_importance.json of the artifact has those of all columns."""

    metric: NameText = Field(description="The metric by which they are measured.")
    features: tuple[FeatureImportance, ...] = Field(
        (), max_length=MAX_FEATURES, description="The columns with the largest importance, highest first."
    )


def parse_feature_importance(fact: Mapping[str, Any] | None) -> FeatureImportances | None:
    """The importances in the facts of a verify Job: a metric, and pairs of a name and a number; None without readable ones."""
    try:
        pairs = list((fact or {})["features"])[:MAX_FEATURES]
        features = [{"name": name, "importance": number_text(float(value))} for name, value in pairs]
        return FeatureImportances.model_validate({"metric": (fact or {})["metric"], "features": features})
    except (KeyError, TypeError, ValueError, ValidationError):
        return None
