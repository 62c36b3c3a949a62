"""Exact counts of every request's values in the baseline's bins: integers, so that windows and pods add up.

A column is counted in cells: `under`, the bins, `over`, then `missing` (NaN) and `invalid` (infinite). As in the
Dataset's profile, values and edges are compared as 32-bit floats, a bin includes its lower edge, and the last bin
includes its upper edge too.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_serving.infer.requests import InputLayout
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import Signature
from flywheel_serving.prediction_log.baseline import Baseline, BaselineInvalid, read_baseline
from flywheel_serving.prediction_log.batches import join_arrays, value_getter

log = logging.getLogger(__name__)

# So many values are counted at once: enough to share numpy's fixed costs, too few for a client to wait 0.1 ms for it. Their comparisons
# with all edges stay in the processor's cache.
CHUNK_VALUES = 16_384

Feeds = dict[str, Array]
RawNumbers = Any  # bytes, or a contiguous array


class _ObservedValues:
    """Values that are not in bins yet, copied one after the other: arrays that stay alive would be out of the cache when they are counted."""

    def __init__(self, categorical_columns: int) -> None:
        self.numbers: dict[int, bytearray] = {}  # by the rows of their requests, one input after the other
        self.categories: list[list[Any]] = [[] for _ in range(categorical_columns)]
        self.scores, self.score_rows = bytearray(), 0
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
        self._most_pending_rows = CHUNK_VALUES // max(1, len(baseline.numbers) + len(self._categorical))
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
        if layout is not self._last_layout:  # most requests have the same
            self._use_layout(layout, feeds, block)
        if output_names is not self._last_outputs:
            self._use_outputs(output_names)
        observed, index = self._observed, self._score_index
        numbers: RawNumbers = block if self._block_is_numbers else self._raw_numbers(feeds)
        categories = [self._known(name, feeds[name]) for name in self._categorical] if self._categorical else ()
        if outputs is not None and index is not None:
            output = outputs[index]
            try:
                observed.scores.extend(output)  # numpy's arrays without a copy between
            except (BufferError, TypeError):  # it is not contiguous
                observed.scores.extend(output.tobytes())
            observed.score_rows, observed.score_type = observed.score_rows + rows, output.dtype
        content = observed.numbers.get(rows)
        if content is None:
            content = observed.numbers[rows] = bytearray()
        content.extend(numbers)
        if categories:
            for values, found in zip(observed.categories, categories, strict=True):
                values += found
        observed.requests += requests
        observed.rows += rows
        return observed.rows >= self._most_pending_rows

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
            for rows, content in observed.numbers.items():
                numbers = np.frombuffer(content, self._dtype or np.float64).reshape(-1, columns, max(rows, 1))
                self._numbers.add(numbers.transpose(1, 0, 2).reshape(columns, -1))
        for (name, categories), values in zip(self._categorical.items(), observed.categories, strict=True):
            is_flag = name in self._baseline.flags
            self._categories[name].update(_flag_categories(values, categories) if is_flag else values)
        if observed.score_rows:
            scores = self._scores_in(observed)
            self.predicted_rows += len(scores)
            self._scores.add(scores.astype(np.float64).reshape(1, -1))

    def _scores_in(self, observed: _ObservedValues) -> Array:
        output = np.frombuffer(observed.scores, observed.score_type).reshape(observed.score_rows, -1)
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


_FLAGS = {0.0: "false", 1.0: "true"}
_MISSING = ""  # the server decodes null as an empty text
_OTHER = None  # the category of all values that the baseline does not know


class _BinCounts:
    """Cells of several columns, each with its own edges, counted for all columns at once."""

    def __init__(self, edges: Sequence[Sequence[float]], dtype: type = np.float32) -> None:
        self._lengths = [len(each) for each in edges]
        longest = max(self._lengths, default=0)
        # A column's edges are padded with infinity, which no finite value reaches; its last bin includes its upper edge.
        padded = [
            [*each[:-1], *np.nextafter(np.array(each[-1:], dtype), np.inf), *([np.inf] * (longest - len(each)))]
            for each in edges
        ]
        # The rows of a column lie side by side, so that an edge is compared with many values in one instruction.
        self._edges: Array = np.array(padded, dtype).reshape(len(edges), longest).T[:, :, np.newaxis].copy()
        self._cells = longest + 3
        self._cell_type = np.uint16 if longest > 255 else np.uint8
        self._first = np.arange(len(edges))[:, np.newaxis] * self._cells
        self._dtype = dtype
        self._counts = np.zeros(len(edges) * self._cells, np.int64)
        self._max_rows = max(1, CHUNK_VALUES // max(1, len(edges)))  # of a chunk
        # A fresh array of this size would come from the system for every chunk, page by page.
        self._reached = np.empty(self._edges.size * self._max_rows, np.bool_)

    def add(self, values: Array) -> None:
        """Counts `values` [columns, rows]."""
        rows = values.shape[1]
        chunks = -(-rows // self._max_rows) or 1
        step = -(-rows // chunks) or 1
        for start in range(0, rows, step):
            self._add(values[:, start : start + step])

    def _add(self, values: Array) -> None:
        with np.errstate(over="ignore"):
            narrow: Array = np.ascontiguousarray(values, self._dtype)
        shape = len(self._edges), *narrow.shape
        is_reached = self._reached[: self._edges.size * narrow.shape[1]].reshape(shape)
        np.greater_equal(narrow, self._edges, out=is_reached)
        cells = np.add.reduce(is_reached.view(np.uint8), axis=0, dtype=self._cell_type) + self._first
        if not np.isfinite(narrow).all():
            # A value that was finite before it became a 32-bit float is too large, not invalid.
            for at, cell in (
                (np.isinf(values), self._cells - 1),
                (np.isnan(values), self._cells - 2),
                (np.isinf(narrow) & np.isfinite(values) & (values > 0), len(self._edges)),
            ):
                np.copyto(cells, self._first + cell, where=at)
        self._counts += np.bincount(cells.ravel(), minlength=len(self._counts))

    def pop_documents(self) -> list[dict[str, Any]]:
        """One document for each column; then all counts are zero."""
        table = self._counts.reshape(len(self._lengths), self._cells)
        documents = [_document(row, length) for row, length in zip(table.tolist(), self._lengths, strict=True)]
        self._counts[:] = 0
        return documents


def _document(cells: list[int], edges: int) -> dict[str, Any]:
    *counted, missing, invalid = cells
    # If padding follows, values above the last edge are in the cell of that edge.
    bins, over = counted[1 : max(edges, 1)], sum(counted[max(edges, 1) :])
    return {"missing": missing, "invalid": invalid, "under": counted[0], "over": over, "bins": bins}


def _flag_categories(values: Sequence[float], categories: Sequence[str]) -> list[str | None]:
    """The category of each flag; not a number is missing."""
    names = {value: _MISSING if value != value else _FLAGS.get(value, str(value)) for value in values}
    return [name if (name := names[value]) in categories or name == _MISSING else _OTHER for value in values]


def _count_document(counter: Counter[str | None], categories: Sequence[str]) -> dict[str, Any]:
    missing = counter[_MISSING]
    counts = [0 if category == _MISSING else counter[category] for category in categories]
    return {"missing": missing, "counts": counts, "other": counter.total() - missing - sum(counts)}
