"""Preprocessing by the data: what each kind of column needs before an estimator can take it."""

from typing import Any

import numpy as np

from flywheel_runtime.datasets.features import Feature
from flywheel_runtime.models.estimators import Estimator


def build_pipeline(features: tuple[Feature, ...], estimator: Estimator, model: Any) -> Any:
    """An unfitted scikit-learn Pipeline over the matrix of features.py, columns by number.

    Missing numbers take the median, unless the estimator handles them; unknown and missing categories are code -1, which
    is no column of a one-hot encoding and a code of its own for trees.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [i for i, feature in enumerate(features) if feature.categories is None]
    codes = [i for i, feature in enumerate(features) if feature.categories is not None]
    steps: list[tuple[str, Any]] = []
    if not estimator.missing:
        # A column without any value keeps its place, or the export would count columns wrongly.
        steps.append(("median", SimpleImputer(strategy="median", keep_empty_features=True)))
    if estimator.scaled:
        steps.append(("scale", StandardScaler()))
    scaling = Pipeline(steps) if steps else "passthrough"
    transformers: list[tuple[str, Any, list[int]]] = [("numbers", scaling, numbers)] if numbers else []
    if codes and estimator.encoding == "OneHot":
        known = [np.arange(len(features[i].categories or ()), dtype=np.float32) for i in codes]
        encoder = OneHotEncoder(categories=known, handle_unknown="ignore", dtype=np.float32)
        transformers.append(("categories", encoder, codes))
    elif codes:
        transformers.append(("categories", "passthrough", codes))
    return Pipeline([("columns", ColumnTransformer(transformers)), ("model", model)])
