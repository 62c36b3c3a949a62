"""Exact counts of every request's values on the baseline's bins: integers, so that windows and pods are merged by addition.

One column is a row of slots: `under`, the bins, `over`, and at the end `missing` (NaN) and `invalid` (infinite). As in the Dataset's profile,
values and edges are compared as 32-bit floats, a bin has its lower edge, and the last bin has its upper edge too.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from flywheel_serving.datatypes import Array
from flywheel_serving.record import frames
from flywheel_serving.record.baseline import Baseline

CHUNK = 8_192  # values compared at once, so that they stay in the processor's cache

Feeds = dict[str, Array]
Numbers = Any  # bytes, or an array that lies in one piece


@dataclass(slots=True)
class Seen:
    """Requests that ran together: their numbers as they lie in memory, input after input; the values of their other inputs; the output with
    their scores."""

    numbers: Numbers
    others: list[list[Any]]
    score: Array | None
    rows: int
    requests: int


class Counts:
    """Counts since the last `take`. `values`: how many values one row has here, the measure of its cost."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self._numbers = _Numbers([*baseline.numbers.values()])
        self._take = frames.taker([*baseline.numbers])
        self._alike: np.dtype[Any] | None = baseline.dtype
        self._texts: dict[str, Counter[str]] = {name: Counter() for name in baseline.texts}
        self._flags: dict[str, Counter[float]] = {name: Counter() for name in baseline.flags}
        self._others = (*baseline.texts, *baseline.flags)
        self._form: object = None
        self._is_plain = False  # requests of that form have all numbers of the baseline, in its order, and nothing else
        self._scores = _Numbers([baseline.predictions], np.float64) if baseline.scores else None
        self.values = max(1, len(baseline.numbers) + len(baseline.texts) + len(baseline.flags))
        self.requests = self.rows = self.predicted = 0

    def seen(
        self,
        feeds: Feeds,
        names: list[str],
        found: list[Array] | None,
        rows: int,
        form: object = None,
        block: Array | None = None,
        requests: int = 1,
    ) -> Seen:
        """What of requests that ran together will be counted, taken at once while its many small arrays are still in the processor's cache.

        `found` are the outputs called `names`; None where another version answered. `block` has all numbers of the feeds, where these are
        of a known `form`.
        """
        scores = self._baseline.scores
        score = found[names.index(scores[0])] if found and scores and scores[0] in names else None
        others = [feeds[name].ravel().tolist() for name in self._others]
        return Seen(self._numbers_of(feeds, form, block), others, score, rows, requests)

    def _numbers_of(self, feeds: Feeds, form: object, block: Array | None) -> Numbers:
        if block is not None:
            if form is not self._form:  # most requests have the same
                self._form, self._is_plain = form, [*feeds] == [*self._baseline.numbers]
            if self._is_plain and block.dtype == self._alike:
                return block
        return frames.joined(self._take(feeds)) if self._alike else self._flat(feeds)

    def add(self, several: Sequence[Seen]) -> None:
        """Count some requests."""
        self.requests += sum([seen.requests for seen in several])
        self.rows += sum([seen.rows for seen in several])
        if self._baseline.numbers:
            single = [seen.numbers for seen in several if seen.rows == 1]
            if single:
                self._numbers.add(self._array(b"".join(single)).reshape(len(single), -1))
            columns = [self._array(seen.numbers).reshape(-1, seen.rows) for seen in several if seen.rows != 1]
            if columns:
                self._numbers.add(np.concatenate(columns, axis=1).T)
        counters: list[Counter[Any]] = [*self._texts.values(), *self._flags.values()]
        for place, counter in enumerate(counters):
            counter.update(chain.from_iterable([seen.others[place] for seen in several]))
        parts = [seen.score for seen in several if seen.score is not None]
        if parts and self._scores is not None:
            flat = self._scores_of(parts)
            self.predicted += len(flat)
            self._scores.add(flat.astype(np.float64).reshape(-1, 1))

    def _scores_of(self, outputs: list[Array]) -> Array:
        together = np.concatenate(outputs)
        last = self._baseline.scores is not None and self._baseline.scores[1]
        # The trainer rounds to 32 bits before it bins.
        return (together[:, -1] if last else together.ravel()).astype(np.float32)

    def _flat(self, feeds: Feeds) -> bytes:
        """As 64-bit floats, where the inputs have several types."""
        arrays = self._take(feeds)
        return np.concatenate(arrays, axis=None).astype(np.float64).tobytes() if arrays else b""

    def _array(self, numbers: Numbers) -> Array:
        return np.frombuffer(numbers, self._alike or np.float64)

    def take(self) -> dict[str, Any]:
        """The counts as the snapshot has them; everything begins at zero again."""
        base = self._baseline
        features: dict[str, Any] = dict(zip(base.numbers, self._numbers.take(), strict=True))
        for name, texts in self._texts.items():
            missing = texts.pop("", 0)  # the server hears null as an empty text
            features[name] = _categories(texts, base.texts[name], missing)
            texts.clear()
        for name, values in self._flags.items():
            missing = sum(count for value, count in values.items() if value != value)
            words = Counter({_WORDS.get(value, str(value)): count for value, count in values.items() if value == value})
            features[name] = _categories(words, base.flags[name], missing)
            values.clear()
        found: dict[str, Any] = {"requests": self.requests, "rows": self.rows, "features": features}
        if self._scores is not None:
            found["predictions"] = {"rows": self.predicted, **self._scores.take()[0]}
        self.requests = self.rows = self.predicted = 0
        return found


_WORDS = {0.0: "false", 1.0: "true"}


class _Numbers:
    """Slots of some columns with edges of their own, counted for all columns in one go."""

    def __init__(self, edges: Sequence[Sequence[float]], dtype: type = np.float32) -> None:
        self._lengths = [len(each) for each in edges]
        longest = max(self._lengths, default=0)
        # Beyond its last edge a column has only infinity, which no finite value reaches.
        padded = [[*each, *([np.inf] * (longest - len(each)))] for each in edges]
        self._edges: Array = np.array(padded, dtype).reshape(len(edges), longest).T[:, np.newaxis, :]
        self._last: Array = np.array([each[-1] if each else np.nan for each in edges], dtype)
        self._slots = longest + 3
        self._first = np.arange(len(edges)) * self._slots
        self._dtype = dtype
        self._counts = np.zeros(len(edges) * self._slots, np.int64)

    def add(self, values: Array) -> None:
        """`values` [rows, columns]."""
        step = max(1, CHUNK // max(1, values.shape[1]))
        for start in range(0, len(values), step):
            self._add(values[start : start + step])

    def _add(self, values: Array) -> None:
        with np.errstate(over="ignore"):
            narrow: Array = values.astype(self._dtype, copy=False)
        reached = (narrow >= self._edges).view(np.uint8)
        slots = np.add.reduce(reached, axis=0, dtype=np.uint16 if len(reached) > 255 else np.uint8).astype(np.intp)
        slots -= narrow == self._last
        if not np.isfinite(narrow).all():
            # What was finite before it became a 32-bit float is too large, not invalid.
            slots[np.isinf(values)] = self._slots - 1
            slots[np.isnan(values)] = self._slots - 2
            slots[np.isinf(narrow) & np.isfinite(values) & (values > 0)] = len(reached)
        slots += self._first
        self._counts += np.bincount(slots.ravel(), minlength=len(self._counts))

    def take(self) -> list[dict[str, Any]]:
        """One document for each column; everything begins at zero again."""
        table = self._counts.reshape(len(self._lengths), self._slots)
        found = [_document(row, length) for row, length in zip(table.tolist(), self._lengths, strict=True)]
        self._counts[:] = 0
        return found


def _document(slots: list[int], edges: int) -> dict[str, Any]:
    *counted, missing, invalid = slots
    # Where padding follows, what is above the last edge stands in the slot of that edge.
    bins, over = counted[1 : max(edges, 1)], sum(counted[max(edges, 1) :])
    return {"missing": missing, "invalid": invalid, "under": counted[0], "over": over, "bins": bins}


def _categories(found: Counter[str], known: Sequence[str], missing: int) -> dict[str, Any]:
    counts = [found[value] for value in known]
    return {"missing": missing, "counts": counts, "other": found.total() - sum(counts)}
