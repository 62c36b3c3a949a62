"""The leaves of a tree ensemble of ONNX, each with what its path asks of every column that it reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_serving.explanation.errors import NotExplained

Array = NDArray[Any]
LESS_OR_EQUAL, LEAF = b"BRANCH_LEQ", b"LEAF"
COVER_TOLERANCE = 1e-5  # relative: covers are 32-bit floats
MAX_CONDITIONS = 4_000_000  # of all leaves together: beyond, a row would take seconds


@dataclass(frozen=True)
class Condition:
    """What a path asks of one column: low < value <= high, or whether a missing value goes this way; and the share of training rows that do."""

    low: float = -np.inf
    high: float = np.inf
    missing: bool = True
    share: float = 1.0

    def narrow(self, threshold: float, *, goes_left: bool, missing: bool, share: float) -> "Condition":
        """The condition after one more node of the column."""
        low, high = (self.low, min(self.high, threshold)) if goes_left else (max(self.low, threshold), self.high)
        return Condition(low, high, self.missing and missing, self.share * share)


@dataclass(frozen=True)
class Leaf:
    """A leaf: its conditions by the number of the column, what it adds to each output (outputs,), and the share of training rows in it."""

    conditions: Mapping[int, Condition]
    values: Array
    share: float


@dataclass(frozen=True)
class TreeEnsemble:
    """All leaves, the sum that the outputs begin with (outputs,), and ONNX's `post_transform`."""

    leaves: list[Leaf]
    base_values: Array
    post_transform: bytes

    @property
    def outputs(self) -> int:
        return len(self.base_values)


def parse_ensemble(node: Any, *, needs_covers: bool = True) -> TreeEnsemble:
    """The ensemble of a node TreeEnsembleClassifier or TreeEnsembleRegressor of an onnx_proto.Model; without covers all shares are 1.

    Raises NotExplained.
    """
    attributes = {bytes(attribute.name): attribute for attribute in node.attribute}
    kind = b"class" if b"class_ids" in attributes else b"target"
    aggregate = attributes.get(b"aggregate_function")
    if aggregate is not None and bytes(aggregate.s) != b"SUM":
        raise NotExplained("TreesNotAdded", "the outputs of its trees are not added up")
    try:
        return _Parser(attributes, kind, needs_covers=needs_covers).parse()
    except (KeyError, IndexError, ValueError) as error:
        raise NotExplained("TreesUnreadable", f"its trees cannot be read ({type(error).__name__})") from error


class _Parser:
    """Walks the trees of one node's attributes."""

    def __init__(self, attributes: Mapping[bytes, Any], kind: bytes, *, needs_covers: bool) -> None:
        self._attributes = attributes
        names = (b"treeids", b"nodeids", b"truenodeids", b"falsenodeids", b"featureids")
        trees, nodes, left, right, features = (attributes[b"nodes_" + name].ints for name in names)
        self._keys = list(zip(trees, nodes, strict=True))
        place = {key: number for number, key in enumerate(self._keys)}
        modes = [bytes(mode) for mode in attributes[b"nodes_modes"].strings]
        if set(modes) - {LESS_OR_EQUAL, LEAF}:
            raise NotExplained("BranchUnknown", "its trees have branches other than 'value <= threshold'")
        self._is_leaf = [mode == LEAF for mode in modes]
        children = [
            (-1, -1) if leaf else (place[tree, true], place[tree, false])
            for leaf, tree, true, false in zip(self._is_leaf, trees, left, right, strict=True)
        ]
        self._left, self._right = [each for each, _ in children], [each for _, each in children]
        self._features = list(features)
        self._thresholds = list(attributes[b"nodes_values"].floats)
        missing = attributes.get(b"nodes_missing_value_tracks_true")
        self._missing = [bool(value) for value in missing.ints] if missing else [False] * len(self._keys)
        self._covers = self._read_covers() if needs_covers else [1.0] * len(self._keys)
        self._kind, self._values = kind, self._leaf_values(kind, place)

    def _read_covers(self) -> list[float]:
        hit_rates = self._attributes.get(b"nodes_hitrates")
        covers = list(hit_rates.floats) if hit_rates else []
        inner = [number for number, leaf in enumerate(self._is_leaf) if not leaf]
        if (
            len(covers) != len(self._keys)
            or not all(cover > 0 for cover in covers)
            or any(
                abs(covers[self._left[number]] + covers[self._right[number]] - covers[number])
                > COVER_TOLERANCE * covers[number]
                for number in inner
            )
        ):
            message = "its trees have no covers: they are written since this release; train it again"
            raise NotExplained("CoversMissing", message)
        return covers

    def _leaf_values(self, kind: bytes, place: Mapping[tuple[int, int], int]) -> dict[int, Array]:
        ids = self._attributes[kind + b"_ids"].ints
        self._outputs = self._count_outputs(kind, ids)
        values: dict[int, Array] = {}
        parts = (self._attributes[kind + suffix].ints for suffix in (b"_treeids", b"_nodeids"))
        weights = self._attributes[kind + b"_weights"].floats
        for tree, node, output, weight in zip(*parts, ids, weights, strict=True):
            values.setdefault(place[tree, node], np.zeros(self._outputs))[output] += weight
        return values

    def _count_outputs(self, kind: bytes, ids: Any) -> int:
        """The number of scores; of two classes with one score it is that of the second."""
        if kind == b"target":
            return int(self._attributes[b"n_targets"].i)
        return int(max(ids)) + 1

    def parse(self) -> TreeEnsemble:
        """All leaves by a walk from each root. Raises NotExplained."""
        children = {*self._left, *self._right}
        leaves: list[Leaf] = []
        conditions = visited = 0
        for root in (number for number in range(len(self._keys)) if number not in children):
            waiting: list[tuple[int, dict[int, Condition]]] = [(root, {})]
            while waiting:
                number, path = waiting.pop()
                visited += 1
                if visited > len(self._keys):
                    raise NotExplained("TreesUnreadable", "a node of its trees has several parents")
                left, right = self._left[number], self._right[number]
                if self._is_leaf[number]:
                    values = self._values.get(number, np.zeros(self._outputs))
                    leaves.append(Leaf(path, values, self._covers[number] / self._covers[root]))
                    conditions += len(path)
                else:
                    waiting += [(left, self._step(path, number, left)), (right, self._step(path, number, right))]
                if conditions > MAX_CONDITIONS:
                    message = f"its trees have more than {MAX_CONDITIONS:,} conditions; train fewer or shallower trees"
                    raise NotExplained("TreesTooLarge", message)
        base = self._attributes.get(b"base_values")
        base_values = np.zeros(self._outputs) if base is None else np.array(base.floats, dtype=np.float64)
        if len(base_values) != self._outputs:
            raise NotExplained("TreesUnreadable", "its base values are not one for each output")
        post_transform = self._attributes.get(b"post_transform")
        return TreeEnsemble(leaves, base_values, bytes(post_transform.s) if post_transform else b"NONE")

    def _step(self, path: Mapping[int, Condition], number: int, child: int) -> dict[int, Condition]:
        goes_left = child == self._left[number]
        feature = self._features[number]
        narrowed = path.get(feature, Condition()).narrow(
            self._thresholds[number],
            goes_left=goes_left,
            missing=self._missing[number] == goes_left,
            share=self._covers[child] / self._covers[number],
        )
        return {**path, feature: narrowed}
