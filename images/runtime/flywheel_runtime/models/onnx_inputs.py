"""The first nodes of an exported model: from one input for each column to the matrix that the fitted pipeline takes.

month   (FP64 [n,1]) ─── Concat ── Cast to FP32 ── too large: NaN ───┐
        (timestamps are scaled before the Cast)                      │
carrier (text [n,1]) ─── LabelEncoder ── code ───────────────────────┤
tail    (text [n,1]) ─── LabelEncoder ── mean target ────────────────┤ Concat
remarks (text [n,1]) ─── lower case ── Tokenizer ── TfIdfVectorizer ─┤
sched   (FP64 [n,1]) ─── the graph of rowwise features ──────────────┘
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.datasets.features import UNKNOWN, Data, Feature, Front
from flywheel_runtime.datasets.texts import TOKEN
from flywheel_runtime.datasets.types import MAX_LEARNT
from flywheel_runtime.models.encoders import MIN_NORM, CategoryEncoder, TextVectorizer

LOCALE = "C.UTF-8"  # in every image with glibc, whose lower case is the same everywhere; without a locale Ä stays Ä
FEATURE_MATRIX = "features"
FRONT_NODE = "rowwise/"  # begins the names of the nodes that make rowwise features
NO_TEXT = "\u0000"  # a text that no client can send
Array = NDArray[Any]


class InputGraph:
    """Nodes, constants and inputs in the making; names of ours begin with `mark`, which no column's does.

    A method that adds nodes returns the name of their result (rows, columns).
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def declare_input(self, feature: Feature) -> str:
        """The input (rows, 1) of a column: text, or a 64-bit number."""
        from onnx import TensorProto, helper

        kind = TensorProto.STRING if feature.is_text else TensorProto.DOUBLE
        self.inputs.append(helper.make_tensor_value_info(feature.name, kind, [None, 1]))
        return feature.name

    def add_front(self, front: Front) -> str:
        """The matrix (rows, features) that a graph of rowwise features makes of the inputs that it shares with the model.

        Its nodes have names, by which quantization leaves them alone.
        """
        graph = front.model.graph
        inputs = {each.name for each in graph.input}
        renamed = {name: name if name in inputs else f"{self.mark}rowwise {name}" for name in _tensor_names(graph)}
        for number, node in enumerate(graph.node):
            added = type(node)()
            added.CopyFrom(node)
            added.name = f"{FRONT_NODE}{number}"
            added.input[:] = [renamed.get(name, name) for name in node.input]
            added.output[:] = [renamed[name] for name in node.output]
            self.nodes.append(added)
        for constant in graph.initializer:
            added = type(constant)()
            added.CopyFrom(constant)
            added.name = renamed[constant.name]
            self.constants.append(added)
        return renamed[graph.output[0].name]

    def take_columns(self, matrix: str, width: int, places: Sequence[int]) -> str:
        """Some columns of a matrix that has `width`."""
        if list(places) == list(range(width)):
            return matrix
        return self._add("Gather", [matrix, self._constant(np.array(places, dtype=np.int64))], axis=1)

    def limit_numbers(self, narrow: str) -> str:
        """32-bit floats, of which those that are infinite or too large are missing."""
        is_too_large = self._add("Greater", [self._add("Abs", [narrow]), self._constant(np.float32(MAX_LEARNT))])
        return self._add("Where", [is_too_large, self._constant(np.float32(np.nan)), narrow])

    def add_numbers(self, features: Sequence[Feature]) -> str:
        """Numbers as 32-bit floats; what is infinite or too large is missing, as in datasets/features.py."""
        from onnx import TensorProto

        wide = self._add("Concat", [each.name for each in features], axis=1)
        if any(each.is_timestamp for each in features):
            # A number minus 0, divided by 1, is itself.
            centers = np.array([[each.center for each in features]])
            ranges = np.array([[each.half_range for each in features]])
            wide = self._add("Div", [self._add("Sub", [wide, self._constant(centers)]), self._constant(ranges)])
        return self.limit_numbers(self._add("Cast", [wide], to=TensorProto.FLOAT))

    def add_codes(self, column: str, feature: Feature) -> str:
        """The code of a known category, else -1."""
        categories = feature.categories or ()
        codes = [float(code) for code in range(len(categories))]
        return self._add_lookup(column, feature, categories, codes, UNKNOWN)

    def add_means(self, column: str, feature: Feature, encoder: CategoryEncoder, number: int) -> str:
        """What `encoder` has for a known category of its feature `number`, one column for each class of several."""
        known = [int(code) for code in encoder.categories_[number]]
        categories = feature.categories or ()
        width = len(encoder.encodings_) // len(encoder.categories_)
        means = np.broadcast_to(np.asarray(encoder.target_mean_, dtype=np.float64), (width,))
        columns = []
        for place in range(width):
            encoding = dict(zip(known, encoder.encodings_[number * width + place].tolist(), strict=True))
            default = encoding.get(int(UNKNOWN), float(means[place]))
            values = [float(encoding.get(code, default)) for code in range(len(categories))]
            columns.append(self._add_lookup(column, feature, categories, values, default))
        return columns[0] if width == 1 else self._add("Concat", columns, axis=1)

    def add_terms(self, column: str, vectorizer: TextVectorizer) -> str:
        """The counts or weights of the terms of `vectorizer`."""
        terms = vectorizer.terms_
        if not terms:
            return self._add_labels(column, [NO_TEXT], [0.0], 0.0)
        flat = self._add("Reshape", [column, self._constant(np.array([-1], dtype=np.int64))])
        low = self._add("StringNormalizer", [flat], case_change_action="LOWER", is_case_sensitive=1, locale=LOCALE)
        # Marks, so that a batch of empty texts has tokens too: control characters, which are in no term.
        tokens = self._add(
            "Tokenizer", [low], domain="com.microsoft", mark=1, pad_value=" ", mincharnum=1, tokenexp=TOKEN
        )
        counts = self._add("TfIdfVectorizer", [tokens], **_vectorizer_attributes(terms))
        if vectorizer.weighting == "Count":
            return counts
        weighted = self._add("Mul", [counts, self._constant(vectorizer.idf_)])
        norm = self._add("ReduceL2", [weighted, self._constant(np.array([1], dtype=np.int64))], keepdims=1)
        return self._add("Div", [weighted, self._add("Max", [norm, self._constant(np.float32(MIN_NORM))])])

    def join(self, columns: Sequence[str], name: str) -> None:
        """All columns side by side, as `name`."""
        from onnx import helper

        self.nodes.append(helper.make_node("Concat", list(columns), [name], axis=1))

    def insert_into(self, graph: Any) -> None:
        """Put all of it before the nodes of `graph`."""
        graph.input.extend(self.inputs)
        graph.initializer.extend(self.constants)
        for position, node in enumerate(self.nodes):
            graph.node.insert(position, node)

    def _add_lookup(
        self, column: str, feature: Feature, categories: Sequence[str], values: list[float], default: float
    ) -> str:
        if feature.is_text:
            return self._add_labels(column, list(categories) or [NO_TEXT], values or [default], default)
        from onnx import TensorProto

        narrow = self._add("Cast", [column], to=TensorProto.FLOAT)
        keys = [float(value) for value in categories] or [float("inf")]
        return self._add(
            "LabelEncoder", [narrow], domain="ai.onnx.ml", keys_floats=keys, values_floats=values or [default],
            default_float=default,
        )  # fmt: skip

    def _add_labels(self, column: str, keys: list[str], values: list[float], default: float) -> str:
        return self._add(
            "LabelEncoder",
            [column],
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_floats=values,
            default_float=default,
        )

    def _add(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = f"{self.mark}{operator} {len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def _constant(self, value: Array | np.float32) -> str:
        from onnx import numpy_helper

        name = f"{self.mark}constant {len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _tensor_names(graph: Any) -> list[str]:
    """The names of all tensors of a graph."""
    made = [name for node in graph.node for name in node.output]
    return [*(each.name for each in graph.input), *(each.name for each in graph.initializer), *made]


def _vectorizer_attributes(terms: Sequence[str]) -> dict[str, Any]:
    """The pool of terms: all single tokens, then all pairs, each with the number of its column."""
    singles = [(number, term.split(" ")) for number, term in enumerate(terms) if " " not in term]
    pairs = [(number, term.split(" ")) for number, term in enumerate(terms) if " " in term]
    return {
        "mode": "TF",
        "min_gram_length": 1,
        "max_gram_length": 2 if pairs else 1,
        "max_skip_count": 0,
        "ngram_counts": [0, len(singles)] if pairs else [0],
        "ngram_indexes": [number for number, _ in (*singles, *pairs)],
        "pool_strings": [token for _, tokens in (*singles, *pairs) for token in tokens],
    }


def add_inputs(graph: Any, data: Data, encode: Any, mark: str) -> None:
    """An input for each column, and what makes the fitted pipeline's matrix of them: plain features, mean targets, terms.

    `encode` is the pipeline's step of that name, None if it has no columns with mean targets or terms.
    """
    inputs = InputGraph(mark)
    names = {feature.name: inputs.declare_input(feature) for feature in data.sent.features}
    made = _FrontColumns(inputs, data.front)
    names |= {each.name: made.take([each.name]) for each in data.features if each.name in made and not _is_number(each)}
    plain = [each for each in data.features if not each.is_free_text and not each.has_many_categories]
    columns = _plain_columns(inputs, plain, names, made)
    means = [each for each in data.features if each.has_many_categories]
    columns += [
        inputs.add_means(names[each.name], each, encode.named_transformers_["means"], number)
        for number, each in enumerate(means)
    ]
    columns += [
        inputs.add_terms(names[each.name], encode.named_transformers_[f"text {place}"])
        for place, each in enumerate(data.features)
        if each.is_free_text
    ]
    inputs.join(columns, mark + FEATURE_MATRIX)
    inputs.insert_into(graph)


def _is_number(feature: Feature) -> bool:
    return feature.categories is None and not feature.is_free_text


class _FrontColumns:
    """The columns of the matrix of rowwise features, which is added to the graph once."""

    def __init__(self, inputs: InputGraph, front: Front | None) -> None:
        self._inputs = inputs
        self._names = front.names if front else ()
        self._matrix = inputs.add_front(front) if front else ""

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def take(self, names: Sequence[str]) -> str:
        """Some of the columns, side by side."""
        places = [self._names.index(name) for name in names]
        return self._inputs.take_columns(self._matrix, len(self._names), places)


def _plain_columns(
    inputs: InputGraph, features: Sequence[Feature], names: Mapping[str, str], made: _FrontColumns
) -> list[str]:
    """Numbers, which are made narrow together as long as no category stands between them, and codes; in the order of `features`."""
    columns = []
    for (is_number, is_made), found in itertools.groupby(features, lambda each: (_is_number(each), each.name in made)):
        each_of = list(found)
        if is_number and is_made:
            columns.append(inputs.limit_numbers(made.take([each.name for each in each_of])))
        elif is_number:
            columns.append(inputs.add_numbers(each_of))
        else:
            columns += [inputs.add_codes(names[each.name], each) for each in each_of]
    return columns
