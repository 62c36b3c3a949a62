"""Transformers of scikit-learn for columns of text that are no small category; models/onnx_inputs.py writes the same as ONNX nodes.

Both give 32-bit floats, so that a tree cuts where the exported model compares.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.preprocessing import TargetEncoder

from flywheel_runtime.datasets.texts import TextPool, split_terms

Array = NDArray[Any]
Weighting = Literal["TFIDF", "Count"]
MIN_NORM = 1e-12
MAX_CANDIDATES = 5_000
MIN_TEXTS = 2  # that have a term: others are typing errors and names


class TextVectorizer(BaseEstimator):  # type: ignore[misc]
    """Counts or TF-IDF weights (rows, terms) of texts that `pool` has by the numbers in the one column of `x`.

    TFIDF is that of scikit-learn's TfidfVectorizer: smoothed, each row of length 1. Count is for trees, which compare numbers: counts are
    whole, while the last digit of a weight depends on the machine. At most `max_terms` terms are used: those that alone tell the
    most about the target, of the 5,000 that are in the most train texts.
    """

    def __init__(self, pool: TextPool, weighting: Weighting, max_terms: int, is_classification: bool) -> None:
        self.pool = pool
        self.weighting = weighting
        self.max_terms = max_terms
        self.is_classification = is_classification

    def fit(self, x: Array, y: Array) -> "TextVectorizer":
        """Choose the terms from texts `x` (rows, 1) and targets `y` (rows,)."""
        texts = [split_terms(text) for text in self.pool.texts_of(x[:, 0])]
        frequencies = frequent_terms(texts)
        self.terms_ = list(frequencies)
        if len(self.terms_) > self.max_terms:
            chosen = self._most_telling(self._count(texts), y)
            self.terms_ = [self.terms_[number] for number in chosen]
        in_texts = np.array([frequencies[term] for term in self.terms_], dtype=np.float64)
        self.idf_ = (np.log((1 + len(texts)) / (1 + in_texts)) + 1).astype(np.float32)
        return self

    def fit_transform(self, x: Array, y: Array) -> Array:
        return self.fit(x, y).transform(x)

    def transform(self, x: Array) -> Array:
        """The weights (rows, terms) of texts `x` (rows, 1); one column of 0 where there is no term."""
        if not self.terms_:
            return np.zeros((len(x), 1), dtype=np.float32)
        counts = self._count([split_terms(text) for text in self.pool.texts_of(x[:, 0])])
        if self.weighting == "TFIDF":
            counts = counts.multiply(self.idf_).tocsr()
            norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1), dtype=np.float32))
            counts = counts.multiply(1 / np.maximum(norms, np.float32(MIN_NORM)))
        dense: Array = np.asarray(counts.toarray(), dtype=np.float32)
        return dense

    def _count(self, texts: list[list[str]]) -> Any:
        """A sparse matrix (texts, terms) of how often each has each term."""
        from scipy.sparse import csr_matrix

        column_of = {term: number for number, term in enumerate(self.terms_)}
        columns: list[int] = []
        ends = [0]
        for terms in texts:
            columns += [column for term in terms if (column := column_of.get(term)) is not None]
            ends.append(len(columns))
        found = csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(texts), len(self.terms_)))
        found.sum_duplicates()
        return found

    def _most_telling(self, counts: Any, y: Array) -> list[int]:
        from sklearn.feature_selection import f_classif, f_regression

        with np.errstate(all="ignore"):
            scores = np.nan_to_num((f_classif if self.is_classification else f_regression)(counts, y)[0], posinf=1e30)
        return sorted(np.argsort(-scores, kind="stable")[: self.max_terms].tolist())


class CategoryEncoder(TargetEncoder):  # type: ignore[misc]
    """Encodes category codes by their mean target, shrunk to that of all rows, as 32-bit floats.

    Train rows are encoded by folds that they are not in, so that a rare category does not give its target away.
    """

    def fit_transform(self, x: Array, y: Array) -> Array:
        encoded: Array = super().fit_transform(x, y).astype(np.float32)
        return encoded

    def transform(self, x: Array) -> Array:
        encoded: Array = super().transform(x).astype(np.float32)
        return encoded


def frequent_terms(texts: Iterable[Sequence[str]]) -> dict[str, int]:
    """The terms that are in at least two of the texts and in how many, the most frequent first; at most 5,000."""
    found: Counter[str] = Counter()
    for terms in texts:
        found.update(set(terms))
    ordered = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return {term: count for term, count in ordered[:MAX_CANDIDATES] if count >= MIN_TEXTS}
