"""Preprocessing by the data: what each kind of column needs before an estimator can take it."""

from typing import Any

import numpy as np

from flywheel_runtime.contract import cgroup
from flywheel_runtime.datasets.features import Data, Feature
from flywheel_runtime.models.estimators import ESTIMATORS, Estimator, member_estimators

MAX_WEIGHTS, MAX_COUNTS = (
    1000,
    300,
)  # terms of a column of text: TF-IDF weights for models that add up, counts for trees
TERM_MEMORY_FRACTION = 0.05  # of the pod, for the terms of all rows
MIN_TERMS = 50
FLOAT_BYTES = 4
ENCODING_FOLDS = 5


def build_pipeline(data: Data, estimator: Estimator, model: Any, seed: int) -> Any:
    """An unfitted scikit-learn Pipeline over the matrix of features.py, columns by number.

    Missing numbers take the median, unless the estimator handles them; unknown and missing categories are code -1, which
    is no column of a one-hot encoding and a code of its own for trees. Steps: `encode`, if there are columns whose encoding is learnt
    (many categories: their mean targets; text: its terms), then `columns` and `model`. The members of an average have `columns` each.
    """
    from sklearn.pipeline import Pipeline

    encode = _encode_step(data, estimator, seed)
    steps = [("encode", encode)] if encode is not None else []
    members = member_estimators(estimator, classes=len(data.classes))
    if members:
        allowed = ESTIMATORS[data.schema["task"]]
        prepared = [
            (name, Pipeline([("columns", _columns_step(data, allowed[members[name]])), ("model", each)]))
            for name, each in model.estimators
        ]
        return Pipeline([*steps, ("model", model.set_params(estimators=prepared))])
    return Pipeline([*steps, ("columns", _columns_step(data, estimator)), ("model", model)])


def _encode_step(data: Data, estimator: Estimator, seed: int) -> Any | None:
    """Features as they are, then mean targets, then terms: the order that `encoded_order` gives. None where all stay as they are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.model_selection import KFold

    from flywheel_runtime.models.encoders import CategoryEncoder, TextVectorizer, Weighting

    plain, means, texts = _positions(data.features)
    if not means and not texts:
        return None
    classes = len(data.classes)
    transformers: list[tuple[str, Any, list[int]]] = [("plain", "passthrough", plain)] if plain else []
    if means:
        kind = "continuous" if not classes else "binary" if classes == 2 else "multiclass"
        folds = KFold(ENCODING_FOLDS, shuffle=True, random_state=seed)
        transformers.append(("means", CategoryEncoder(target_type=kind, cv=folds), means))
    weighting: Weighting = "TFIDF" if estimator.encoding == "OneHot" else "Count"
    most = MAX_WEIGHTS if estimator.encoding == "OneHot" else MAX_COUNTS
    for position in texts:
        terms = TextVectorizer(data.texts, weighting, _affordable_terms(data, most, len(texts)), bool(classes))
        transformers.append((f"text {position}", terms, [position]))
    return ColumnTransformer(transformers, sparse_threshold=0)


def _affordable_terms(data: Data, most: int, columns: int) -> int:
    rows = data.count("train") + data.count("validation")
    memory = cgroup.memory_limit_bytes() * TERM_MEMORY_FRACTION
    return min(most, max(MIN_TERMS, int(memory / (FLOAT_BYTES * max(rows, 1) * columns))))


def _columns_step(data: Data, estimator: Estimator) -> Any:
    """Over the columns of `_encode_step`: terms come last and stay as they are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    plain, means, texts = _positions(data.features)
    order = [data.features[position] for position in plain]
    numbers = [place for place, feature in enumerate(order) if feature.categories is None]
    codes = [place for place, feature in enumerate(order) if feature.categories is not None]
    width = len(data.classes) if len(data.classes) > 2 else 1  # of a mean target: one for each class of several
    numbers += range(len(plain), len(plain) + width * len(means))
    steps: list[tuple[str, Any]] = []
    if not estimator.missing:
        # A column without any value keeps its place, or the export would count columns wrongly.
        steps.append(("median", SimpleImputer(strategy="median", keep_empty_features=True)))
    if estimator.scaled:
        steps.append(("scale", StandardScaler()))
    scaling = Pipeline(steps) if steps else "passthrough"
    transformers: list[tuple[str, Any, list[int]]] = [("numbers", scaling, numbers)] if numbers else []
    if codes and estimator.encoding == "OneHot":
        known = [np.arange(len(order[place].categories or ()), dtype=np.float32) for place in codes]
        encoder = OneHotEncoder(categories=known, handle_unknown="ignore", dtype=np.float32)
        transformers.append(("categories", encoder, codes))
    elif codes:
        transformers.append(("categories", "passthrough", codes))
    return ColumnTransformer(transformers, remainder="passthrough" if texts else "drop")


def _positions(features: tuple[Feature, ...]) -> tuple[list[int], list[int], list[int]]:
    """The positions of features that stay as they are, of those with a mean target, and of text."""
    texts = [place for place, feature in enumerate(features) if feature.is_free_text]
    means = [place for place, feature in enumerate(features) if feature.has_many_categories]
    plain = [place for place in range(len(features)) if place not in texts and place not in means]
    return plain, means, texts
