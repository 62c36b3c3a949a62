"""A model with its explanation.json: contributions of the data's columns to each prediction, or a reason why there are none."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime

from flywheel_serving.explanation.background.interventional_shap import InterventionalShap
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.explained_rows import Array, Explanation, check_deadline
from flywheel_serving.explanation.linear_shap import LinearShap
from flywheel_serving.explanation.tree_paths import parse_ensemble
from flywheel_serving.explanation.tree_shap import TreeShap
from flywheel_serving.model.graph import CLASSIFIERS, FLOAT, class_names
from flywheel_serving.model.onnx_file import read_model
from flywheel_serving.model.onnx_model import read_signature
from flywheel_serving.model.signature import TensorSpec, column_names

FILE = "explanation.json"
INTERVENTIONAL = "InterventionalTreeSHAP"
TREE_NODES = frozenset({b"TreeEnsembleClassifier", b"TreeEnsembleRegressor"})
LINEAR_NODES = frozenset({b"LinearClassifier", b"LinearRegressor"})
PROBABILITY_TOLERANCE = 1e-4  # as of golden rows
STEP_ROWS = 10  # after which the deadline is read
TARGET_TOLERANCE = 1e-5  # of the sum of all parts: models compute in 32 bits


class Method(Protocol):
    """What takes the outputs of a node apart: `base` (outputs,), and contributions (rows, outputs, matrix columns)."""

    base: Array

    def shap_values(self, matrix: Array) -> Array: ...


class Explainer:
    """Explains rows of one model by its graph: trees with covers and linear models, or trees with kept rows."""

    def __init__(self, path: Path, background: Mapping[str, Array] | None = None) -> None:
        """Loads the model at `path` and the files beside it; with `background`, rows as the model takes them, covers are not needed.

        Raises NotExplained, or ModelRefused for a file that is no model.
        """
        document = _read_document(path) if background is None else None
        model = read_model(path)
        node = _find_node(model)
        self._matrix = node.input[0].decode()
        self._session = _open_session(model, node.input[0])
        signature = read_signature(path.parent / "signature.json")
        extra: Mapping[str, Any] = signature.extra if signature else {}
        self._classes = [str(each) for each in extra.get("classes") or class_names(model)]
        self.is_classifier = node.op_type in CLASSIFIERS
        if document is None:
            matrix_columns, parts = _make_interventional(node, background or {})
        else:
            matrix_columns = [str(each) for each in document["columns"]]
            parts = _make_method(node, document, len(matrix_columns))
        self.method_name, self._post_transform, self._method = parts
        self.columns = list(dict.fromkeys(matrix_columns))
        self._sums = np.array([[float(each == column) for column in self.columns] for each in matrix_columns])
        self._output = self._session.get_outputs()[1 if self.is_classifier else 0].name

    def explain_rows(self, inputs: Mapping[str, Array], deadline: float = math.inf) -> Explanation:
        """The contributions to the predictions of rows, as the model takes them.

        Raises NotExplained where they do not add up to its answers, and after `deadline` (time.monotonic's clock).
        """
        if self._matrix in inputs:
            [predicted], matrix = self._session.run([self._output], dict(inputs)), inputs[self._matrix]
        else:
            predicted, matrix = self._session.run([self._output, self._matrix], dict(inputs))
        if matrix.ndim != 2 or matrix.shape[1] != len(self._sums):
            raise NotExplained(
                "ColumnsDiffer", f"{FILE} has {len(self._sums)} columns, and the model {matrix.shape[1:]}"
            )
        found = np.zeros((len(matrix), len(self._method.base), len(self._sums)))
        for at in range(0, len(matrix), STEP_ROWS):
            check_deadline(deadline)
            found[at : at + STEP_ROWS] = self._method.shap_values(matrix[at : at + STEP_ROWS])
        values = self._method.base + found.sum(axis=2)
        self._check_additivity(values, np.abs(found).sum(axis=2) + np.abs(self._method.base), predicted)
        outputs = self._output_names()
        shown = slice(
            values.shape[1] - len(outputs), None
        )  # of two classes the second alone: the first is its opposite
        return Explanation(
            self.method_name,
            self._scale,
            outputs,
            self.columns,
            self._method.base[shown],
            values[:, shown],
            found[:, shown] @ self._sums,
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
        has_method = "columns" in document or "background" not in document
        _ = document["method"], has_method and document["columns"]
    except FileNotFoundError as error:
        message = f"the version has no {FILE}: it was brought, or trained by an earlier release"
        raise NotExplained("MethodUnknown", message) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotExplained("DocumentInvalid", f"{FILE} cannot be read ({type(error).__name__}); train again") from error
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if document.get("model") != digest:
        raise NotExplained("OtherModel", f"{FILE} is of another model, such as the one before quantization")
    if not has_method:
        raise NotExplained("MethodUnknown", "the model is of a family without an exact method")
    return dict(document)


def _find_node(model: Any) -> Any:
    nodes = [node for node in model.graph.node if node.op_type in TREE_NODES | LINEAR_NODES]
    if len(nodes) != 1:
        raise NotExplained("ModelUnknown", f"the model has {len(nodes)} nodes of trees or linear models, and not one")
    return nodes[0]


def _open_session(model: Any, matrix: bytes) -> Any:
    """The model with the matrix as another output."""
    if matrix not in [each.name for each in model.graph.input]:
        model.graph.output.add(name=matrix).type.tensor_type.elem_type = FLOAT
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _make_method(node: Any, document: Mapping[str, Any], columns: int) -> tuple[str, bytes, Method]:
    """The exact method's name, the `post_transform`, and the method."""
    name = str(document["method"])
    if node.op_type in TREE_NODES:
        ensemble = parse_ensemble(node)
        return name, ensemble.post_transform, TreeShap(ensemble, columns)
    means = np.array(document.get("means", ()), dtype=np.float64)
    if len(means) != columns:
        raise NotExplained("DocumentInvalid", f"{FILE} has {len(means)} means of {columns} columns; train again")
    transforms = [bytes(attribute.s) for attribute in node.attribute if attribute.name == b"post_transform"]
    return name, (transforms or [b"NONE"])[0], LinearShap(node, means)


def _make_interventional(node: Any, background: Mapping[str, Array]) -> tuple[list[str], tuple[str, bytes, Method]]:
    """The columns, and the same of trees whose matrix is the model's own input, so that its columns are known."""
    name = node.input[0].decode()
    if node.op_type not in TREE_NODES or name not in background or background[name].ndim != 2:
        raise NotExplained("ModelUnknown", "the model has no trees that read its input as it is")
    rows = background[name]
    ensemble = parse_ensemble(node, needs_covers=False)
    columns = column_names(TensorSpec(name, "FP32", (-1, rows.shape[1])))
    return columns, (INTERVENTIONAL, ensemble.post_transform, InterventionalShap(ensemble, rows))


def _transform(values: Array, post_transform: bytes) -> Array:
    """ONNX's `post_transform` of the outputs (rows, outputs)."""
    if post_transform == b"LOGISTIC":
        return np.asarray(1 / (1 + np.exp(-values)))
    if post_transform == b"SOFTMAX":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return values
