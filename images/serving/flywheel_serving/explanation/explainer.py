"""A model with its explanation.json: contributions of the data's columns to each prediction, or a reason why there are none."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.linear_shap import LinearShap
from flywheel_serving.explanation.tree_paths import parse_ensemble
from flywheel_serving.explanation.tree_shap import TreeShap
from flywheel_serving.model.graph import CLASSIFIERS, FLOAT
from flywheel_serving.model.onnx_file import read_model
from flywheel_serving.model.onnx_model import read_signature

Array = NDArray[Any]
FILE = "explanation.json"
TREE_NODES = frozenset({b"TreeEnsembleClassifier", b"TreeEnsembleRegressor"})
LINEAR_NODES = frozenset({b"LinearClassifier", b"LinearRegressor"})
PROBABILITY_TOLERANCE = 1e-4  # as of golden rows
TARGET_TOLERANCE = 1e-5  # of the sum of all parts: models compute in 32 bits


class Method(Protocol):
    """What takes the outputs of a node apart: `base` (outputs,), and contributions (rows, outputs, matrix columns)."""

    base: Array

    def shap_values(self, matrix: Array) -> Array: ...


@dataclass(frozen=True)
class Explanation:
    """For each row and output the contributions (rows, outputs, columns) of `columns`; with `base` (outputs,) they add up to `values` (rows, outputs).

    `scale` is LogOdds, Probability or Target: the unit of all of them.
    """

    method: str
    scale: str
    outputs: list[str]
    columns: list[str]
    base: Array
    values: Array
    contributions: Array


class Explainer:
    """Explains rows of one model."""

    def __init__(self, path: Path) -> None:
        """Loads the model at `path` and the files beside it. Raises NotExplained, or ModelRefused for a file that is no model."""
        document = _read_document(path)
        model = read_model(path)
        node = _find_node(model)
        self._matrix = node.input[0].decode()
        model.graph.output.add(name=node.input[0]).type.tensor_type.elem_type = FLOAT
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        signature = read_signature(path.parent / "signature.json")
        extra: Mapping[str, Any] = signature.extra if signature else {}
        self._classes = [str(each) for each in extra.get("classes") or ()]
        self.is_classifier = node.op_type in CLASSIFIERS
        self.method_name = str(document["method"])
        matrix_columns = [str(each) for each in document["columns"]]
        self._post_transform, self._method = _make_method(node, document, len(matrix_columns))
        self.columns = list(dict.fromkeys(matrix_columns))
        self._sums = np.array([[float(each == column) for column in self.columns] for each in matrix_columns])
        self._output = self._session.get_outputs()[1 if self.is_classifier else 0].name

    def explain_rows(self, inputs: Mapping[str, Array]) -> Explanation:
        """The contributions to the predictions of rows, as the model takes them. Raises NotExplained where they do not add up to its answers."""
        predicted, matrix = self._session.run([self._output, self._matrix], dict(inputs))
        if matrix.ndim != 2 or matrix.shape[1] != len(self._sums):
            raise NotExplained(
                "ColumnsDiffer", f"{FILE} has {len(self._sums)} columns, and the model {matrix.shape[1:]}"
            )
        found = self._method.shap_values(matrix)
        values = self._method.base + found.sum(axis=2)
        self._check_additivity(values, np.abs(found).sum(axis=2) + np.abs(self._method.base), predicted)
        outputs = self._output_names()
        kept = slice(values.shape[1] - len(outputs), None)  # of two classes the second alone: the first is its opposite
        return Explanation(
            self.method_name,
            self._scale,
            outputs,
            self.columns,
            self._method.base[kept],
            values[:, kept],
            found[:, kept] @ self._sums,
        )

    @property
    def _scale(self) -> str:
        if not self.is_classifier:
            return "Target"
        return "Probability" if self._post_transform == b"NONE" else "LogOdds"

    def _output_names(self) -> list[str]:
        if not self.is_classifier:
            return ["prediction"]
        return self._classes[1:] if len(self._classes) == 2 else self._classes

    def _check_additivity(self, values: Array, magnitudes: Array, predicted: Array) -> None:
        """Raises NotExplained where `values` (rows, outputs) are not what the model gave."""
        given = predicted.reshape(len(values), -1).astype(np.float64)
        expected = _transform(values, self._post_transform) if self.is_classifier else values
        if expected.shape[1] == 1 and given.shape[1] == 2:
            given = given[:, 1:]
        if expected.shape != given.shape:
            raise NotExplained(
                "NotAdditive", f"its trees have {expected.shape[1]} outputs, and it returns {given.shape[1]}"
            )
        tolerance = PROBABILITY_TOLERANCE if self.is_classifier else TARGET_TOLERANCE * magnitudes
        difference = np.abs(expected - given)
        if not np.all(difference <= tolerance):
            message = f"contributions do not add up to its predictions: they differ by {np.nanmax(difference):.3g}"
            raise NotExplained("NotAdditive", message)


def _read_document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads((path.parent / FILE).read_bytes())
        _ = document["method"], document["columns"]
    except FileNotFoundError as error:
        message = f"the version has no {FILE}: it was brought, trained by an earlier release, or is of a family without an exact method"
        raise NotExplained("MethodUnknown", message) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotExplained("DocumentInvalid", f"{FILE} cannot be read ({type(error).__name__}); train again") from error
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if document.get("model") != digest:
        raise NotExplained("OtherModel", f"{FILE} is of another model, such as the one before quantization")
    return dict(document)


def _find_node(model: Any) -> Any:
    nodes = [node for node in model.graph.node if node.op_type in TREE_NODES | LINEAR_NODES]
    if len(nodes) != 1:
        raise NotExplained("ModelUnknown", f"the model has {len(nodes)} nodes of trees or linear models, and not one")
    return nodes[0]


def _make_method(node: Any, document: Mapping[str, Any], columns: int) -> tuple[bytes, Method]:
    if node.op_type in TREE_NODES:
        ensemble = parse_ensemble(node)
        return ensemble.post_transform, TreeShap(ensemble, columns)
    means = np.array(document.get("means", ()), dtype=np.float64)
    if len(means) != columns:
        raise NotExplained("DocumentInvalid", f"{FILE} has {len(means)} means of {columns} columns; train again")
    transforms = [bytes(attribute.s) for attribute in node.attribute if attribute.name == b"post_transform"]
    return (transforms or [b"NONE"])[0], LinearShap(node, means)


def _transform(values: Array, post_transform: bytes) -> Array:
    """ONNX's `post_transform` of the outputs (rows, outputs)."""
    if post_transform == b"LOGISTIC":
        return np.asarray(1 / (1 + np.exp(-values)))
    if post_transform == b"SOFTMAX":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return values
