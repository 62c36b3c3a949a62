"""Exact counts of every request's values in the baseline's bins: integers, so that windows and pods add up.

A column is counted in cells: `under`, the bins, `over`, then `missing` (NaN) and `invalid` (infinite). As in the
Dataset's profile, values and edges are compared as 32-bit floats, a bin includes its lower edge, and the last bin
includes its upper edge too.

A request's values are copied into buffers. When these have some thousand rows, and at a window's end, all of them are counted at once.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_serving.infer.requests import InputLayout
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import Signature
from flywheel_serving.prediction_log.baseline import Baseline, BaselineInvalid, read_baseline
from flywheel_serving.prediction_log.batches import join_arrays, value_getter

log = logging.getLogger(__name__)

# What waits to be counted: few values, which are in the processor's cache and counted in half a millisecond.
MAX_PENDING_VALUES, MAX_PENDING_ROWS = 131_072, 3_600
MAX_PENDING_SCORE_BYTES = 1024 * 1024  # the outputs of a model with many classes

Feeds = dict[str, Array]
RawNumbers = Any  # bytes, or a contiguous array


class _ObservedValues:
    """Values that are not in bins yet, copied one after the other: arrays that stay alive would be out of the cache when they are counted."""

    def __init__(self, categorical_columns: int) -> None:
        # By the rows of their requests, one input after the other.
        self.numbers: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.categories: list[list[Any]] = [[] for _ in range(categorical_columns)]
        self.scores, self.unscored_rows = bytearray(), 0
        self.score_type: np.dtype[Any] | None = None  # that all outputs of the model have
        self.requests = self.rows = 0


class Counts:
    """Counts since the last `pop_document`."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self._numbers = _BinCounts([*baseline.numbers.values()])
        self._get_numbers = value_getter([*baseline.numbers])
        self._dtype: np.dtype[Any] | None = baseline.dtype
        self._categorical = {**baseline.texts, **baseline.flags}
        self._categories: dict[str, Counter[str | None]] = {name: Counter() for name in self._categorical}
        # The texts of requests are not kept: a client may send long ones, and each another.
        self._get_category = {
            name: {_MISSING: _MISSING, **{each: each for each in texts}}.get for name, texts in baseline.texts.items()
        }
        self._last_layout: InputLayout | None = None
        self._block_is_numbers = False  # a block of that layout is just the baseline's numbers, in its order and type
        self._last_outputs: list[str] = []
        self._score_index: int | None = None  # of the score among those outputs
        self._scores = _BinCounts([baseline.predictions], np.float64)
        self._score_output: str | None
        self._score_output, self._is_last_column = baseline.score or (None, False)
        self._observed = _ObservedValues(len(self._categorical))
        columns = len(baseline.numbers) + len(self._categorical)
        self._most_pending_rows = min(MAX_PENDING_ROWS, MAX_PENDING_VALUES // max(1, columns))
        self.requests = self.rows = self.predicted_rows = 0

    @property
    def observed(self) -> tuple[int, int]:
        """The requests and rows that were observed, and are not counted yet."""
        return self._observed.requests, self._observed.rows

    def observe(
        self,
        feeds: Feeds,
        output_names: list[str],
        outputs: list[Array] | None,
        rows: int,
        layout: InputLayout | None = None,
        block: Array | None = None,
        requests: int = 1,
    ) -> bool:
        """Copies the values of requests that ran together, and returns whether so many wait that they should be counted.

        They are copied while their many small arrays are in the processor's cache. `outputs` are those named `output_names`, None if
        another version answered. `block` has all numbers of the feeds if these are of a known `layout`.
        """
        if layout is not self._last_layout or output_names is not self._last_outputs:  # most requests have the same
            self._use_layout(layout, feeds, block)
            self._use_outputs(output_names)
        observed, index = self._observed, self._score_index
        numbers: RawNumbers = block if self._block_is_numbers else self._raw_numbers(feeds)
        categories = [self._known(name, feeds[name]) for name in self._categorical] if self._categorical else None
        if outputs is None or index is None:
            observed.unscored_rows += rows
        else:
            output = outputs[index]
            try:
                observed.scores.extend(output)  # numpy's arrays without a copy between
            except (BufferError, TypeError):  # it is not contiguous
                observed.scores.extend(output.tobytes())
            if observed.score_type is None:
                observed.score_type = output.dtype
        observed.numbers[rows].extend(numbers)
        if categories:
            for values, found in zip(observed.categories, categories, strict=True):
                values += found
        observed.requests += requests
        observed.rows += rows
        return observed.rows >= self._most_pending_rows or len(observed.scores) >= MAX_PENDING_SCORE_BYTES

    def _use_layout(self, layout: InputLayout | None, feeds: Feeds, block: Array | None) -> None:
        self._last_layout = layout
        self._block_is_numbers = (
            block is not None and block.dtype == self._dtype and [*feeds] == [*self._baseline.numbers]
        )

    def _use_outputs(self, names: list[str]) -> None:
        self._last_outputs = names
        self._score_index = names.index(self._score_output) if self._score_output in names else None

    def _known(self, name: str, values: Array) -> list[Any]:
        """The category of each text, or the flag of each row as it came."""
        get, found = self._get_category.get(name), values.ravel().tolist()
        return found if get is None else list(map(get, found))

    def _raw_numbers(self, feeds: Feeds) -> bytes:
        return join_arrays(self._get_numbers(feeds)) if self._dtype else self._as_float64(feeds)

    def count_observed(self) -> None:
        """Puts the observed values into their bins."""
        observed, self._observed = self._observed, _ObservedValues(len(self._categorical))
        self.requests += observed.requests
        self.rows += observed.rows
        if columns := len(self._baseline.numbers):
            dtype = self._dtype or np.float64
            blocks = [
                np.frombuffer(content, dtype).reshape(-1, columns, rows).transpose(1, 0, 2).reshape(columns, -1)
                for rows, content in observed.numbers.items()
                if rows
            ]
            if blocks:
                self._numbers.add(np.concatenate(blocks, axis=1) if len(blocks) > 1 else blocks[0])
        for (name, categories), values in zip(self._categorical.items(), observed.categories, strict=True):
            is_flag = name in self._baseline.flags
            self._categories[name].update(_flag_categories(values, categories) if is_flag else values)
        if score_rows := observed.rows - observed.unscored_rows:
            scores = self._scores_in(observed, score_rows)
            self.predicted_rows += len(scores)
            self._scores.add(scores.astype(np.float64).reshape(1, -1))

    def _scores_in(self, observed: _ObservedValues, rows: int) -> Array:
        output = np.frombuffer(observed.scores, observed.score_type).reshape(rows, -1)
        # The trainer rounds to 32 bits before it bins.
        return (output[:, -1] if self._is_last_column else output.ravel()).astype(np.float32)

    def _as_float64(self, feeds: Feeds) -> bytes:
        """The numbers as 64-bit floats, for inputs of several types."""
        arrays = self._get_numbers(feeds)
        return np.concatenate(arrays, axis=None).astype(np.float64).tobytes() if arrays else b""

    def pop_document(self) -> dict[str, Any]:
        """The counts of all observed values as the window's document has them; then all counts are zero."""
        self.count_observed()
        features: dict[str, Any] = dict(zip(self._baseline.numbers, self._numbers.pop_documents(), strict=True))
        for name, counter in self._categories.items():
            features[name] = _count_document(counter, self._categorical[name])
            counter.clear()
        document: dict[str, Any] = {"requests": self.requests, "rows": self.rows, "features": features}
        if self._score_output is not None:
            document["predictions"] = {"rows": self.predicted_rows, **self._scores.pop_documents()[0]}
        self.requests = self.rows = self.predicted_rows = 0
        return document


def counts_of_baseline(model_folder: Path, signature: Signature) -> tuple[Counts | None, str]:
    """The counts in the baseline's bins, and its digest; None and "" without a usable baseline."""
    try:
        baseline = read_baseline(model_folder / "baseline.json", signature)
    except BaselineInvalid as error:
        log.warning("requests are not counted: %s", error)
        return None, ""
    if baseline is None:
        log.info("requests are not counted: this model has no baseline.json; one trained by Flywheel has")
        return None, ""
    return Counts(baseline), baseline.digest


# A column's comparisons with twenty edges are 80 KiB. With fewer than about 2,730 rows, a third of its buffer, numpy copies the operands of a
# comparison first, which takes three times as long.
MAX_CHUNK_ROWS = 2 * 8 * 255  # sums of so many comparisons fit into two words
_FLAGS = {0.0: "false", 1.0: "true"}
_MISSING = ""  # the server decodes null as an empty text
_OTHER = None  # the category of all values that the baseline does not know


class _BinCounts:
    """Counts of several columns, each with its own edges: how many values reach each edge, from which the cells follow."""

    def __init__(self, edges: Sequence[Sequence[float]], dtype: type = np.float32) -> None:
        self._lengths = [len(each) for each in edges]
        longest = max([1, *self._lengths])
        # A column's edges are padded with infinity, which no finite value reaches; its last bin includes its upper edge.
        padded = [
            [*each[:-1], *np.nextafter(np.array(each[-1:], dtype), np.inf), *([np.inf] * (longest - len(each)))]
            for each in edges
        ]
        self._edges: Array = np.array(padded, dtype).reshape(len(edges), longest, 1)
        self._reached = np.zeros((len(edges), longest), np.int64)
        self._missing, self._invalid = np.zeros(len(edges), np.int64), np.zeros(len(edges), np.int64)
        self._rows = 0
        # Fresh arrays of these sizes would come from the system each time, page by page.
        self._column: Array = np.empty(MAX_CHUNK_ROWS, dtype)
        self._is_reached = np.empty(longest * MAX_CHUNK_ROWS, np.bool_)
        self._sums = np.zeros((len(edges), longest, 2), np.uint64)

    def add(self, values: Array) -> None:
        """Counts `values` [columns, rows]."""
        rows = values.shape[1]
        chunks = -(-rows // MAX_CHUNK_ROWS) or 1
        step = -(-rows // chunks) or 1
        with np.errstate(over="ignore"):  # a number of 64 bits may be infinite in 32: it is above or below all edges
            for start in range(0, rows, step):
                self._add(values[:, start : start + step])

    def _add(self, values: Array) -> None:
        """Compares one column at a time with its edges, so that the comparisons stay in the processor's cache.

        Eight of them are summed in one addition: they are bytes of 0 or 1, of which 255 fit into a byte of the sum.
        """
        rows = values.shape[1]
        padded = -(-rows // 16) * 16
        column = self._column[:padded]
        column[rows:] = np.nan  # which reaches no edge
        is_reached = self._is_reached[: self._edges.shape[1] * padded].reshape(-1, padded)
        words, given = is_reached.view(np.uint64).reshape(len(is_reached), 2, -1), column[:rows]
        for numbers, edges, sums in zip(values, self._edges, self._sums, strict=True):
            given[:] = numbers
            np.greater_equal(column, edges, is_reached)
            np.add.reduce(words, 2, out=sums)
        self._reached += np.add.reduce(self._sums.view(np.uint8), axis=2, dtype=np.int64)
        self._rows += rows
        if not np.isfinite(values).all():
            self._missing += np.isnan(values).sum(axis=1)
            self._invalid += np.isinf(values).sum(axis=1)
            self._reached -= np.isposinf(values).sum(axis=1)[:, np.newaxis]

    def pop_documents(self) -> list[dict[str, Any]]:
        """One document for each column; then all counts are zero."""
        finite = self._rows - self._missing - self._invalid
        columns = zip(
            self._lengths,
            self._reached.tolist(),
            finite.tolist(),
            self._missing.tolist(),
            self._invalid.tolist(),
            strict=True,
        )
        documents = [_document(*column) for column in columns]
        for each in (self._reached, self._missing, self._invalid):
            each[:] = 0
        self._rows = 0
        return documents


def _document(edges: int, reached: list[int], finite: int, missing: int, invalid: int) -> dict[str, Any]:
    del reached[max(edges, 1) :]  # of the padding
    bins = [lower - upper for lower, upper in pairwise(reached)]
    return {"missing": missing, "invalid": invalid, "under": finite - reached[0], "over": reached[-1], "bins": bins}


def _flag_categories(values: Sequence[float], categories: Sequence[str]) -> list[str | None]:
    """The category of each flag; not a number is missing."""
    names = {value: _MISSING if value != value else _FLAGS.get(value, str(value)) for value in values}
    return [name if (name := names[value]) in categories or name == _MISSING else _OTHER for value in values]


def _count_document(counter: Counter[str | None], categories: Sequence[str]) -> dict[str, Any]:
    missing = counter[_MISSING]
    counts = [0 if category == _MISSING else counter[category] for category in categories]
    return {"missing": missing, "counts": counts, "other": counter.total() - missing - sum(counts)}
