"""The fitted pipeline as ONNX, with one input for each column (onnx_inputs.py), and a comparison that both give the same predictions."""

import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure, one_line
from flywheel_runtime.datasets.features import Data, Feature
from flywheel_runtime.models.explanation.tree_covers import write_covers
from flywheel_runtime.models.golden_rows import Tensors, run_model
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, get_output, name_outputs

# Opsets that onnxruntime has had since 1.15, so that servers of the last years can read the model.
OPSETS = {"": 18, "ai.onnx.ml": 3}
TEXT_OPSETS = {"com.microsoft": 1}  # of the Tokenizer, which ONNX itself does not have
FRONT_METADATA = "flywheel.rowwise"  # the digest in features.json
TOLERANCE = 1e-4  # of a probability, or of the target's scale
MAX_COMPARED_ROWS = 2000


@dataclass(frozen=True)
class ExportedModel:
    """A model in ONNX, its greatest difference from the pipeline in units of `scale`, and the number of rows that were compared.

    `has_covers`: its nodes of trees have the weight of the training rows that reached them.
    """

    content: bytes
    difference: float
    compared: int
    scale: float = 1.0
    has_covers: bool = False

    def run(self, inputs: Tensors) -> Tensors:
        """Predict rows as a server would: `inputs` maps each column to an array (rows, 1). Raises Failure."""
        return run_model(self.content, inputs)


def export_pipeline(pipeline: Any, data: Data) -> ExportedModel:
    """Export and compare; Failure ParityFailed (exit 1) where their predictions differ."""
    content, has_covers = _convert(pipeline, data)
    split = "test" if data.count("test") else "train"
    return replace(_compare(content, pipeline, data, split), has_covers=has_covers)


def _convert(pipeline: Any, data: Data) -> tuple[bytes, bool]:
    """The model, and whether it has the covers of its trees."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    from flywheel_runtime.models.onnx_inputs import FEATURE_MATRIX, add_inputs  # which import scikit-learn

    is_classifier = data.schema["task"] == "Classification"
    learnt, width = _learnt_steps(pipeline, len(data.features))
    _register_converters()
    try:
        with warnings.catch_warnings():
            # skl2onnx writes a boolean where protobuf 7 wants an int; hence the pin below 7.
            warnings.simplefilter("ignore", DeprecationWarning)
            model = to_onnx(
                learnt,
                initial_types=[(FEATURE_MATRIX, FloatTensorType([None, width]))],
                options={id(learnt): {"zipmap": False}} if is_classifier else None,
                target_opset=OPSETS | _front_opsets(data, ("", "ai.onnx.ml")),
            )
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        message = (
            f"The fitted pipeline cannot be exported to ONNX with these parameters: {one_line(error)}; change them."
        )
        raise Failure("ExportFailed", message, retry=True) from error
    _round_thresholds_down(model.graph, pipeline[-1])
    has_covers = write_covers(model.graph, pipeline[-1])
    _remove_unused_constants(model.graph)
    _declare_opsets(model, data)
    mark = _unused_mark((*data.features, *data.sent.features))
    outputs = _hide_names(model.graph, mark)
    add_inputs(model.graph, data, pipeline.named_steps.get("encode"), mark)
    _name_outputs(model.graph, outputs, data, mark)
    return bytes(model.SerializeToString()), has_covers


def _declare_opsets(model: Any, data: Data) -> None:
    """Declare the opsets that our nodes need: skl2onnx declares the lowest ones for its own."""
    from onnx import helper

    del model.opset_import[:]
    opsets = OPSETS | (TEXT_OPSETS if any(feature.is_free_text for feature in data.features) else {})
    opsets |= _front_opsets(data, {node.domain for node in data.front.model.graph.node} if data.front else ())
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in opsets.items())
    if data.front:
        model.ir_version = max(model.ir_version, data.front.model.ir_version)
        helper.set_model_props(model, {FRONT_METADATA: data.front.digest})


def _front_opsets(data: Data, domains: Collection[str]) -> dict[str, int]:
    """The versions of these domains that the graph of rowwise features is written in."""
    found = data.front.model.opset_import if data.front else ()
    return {each.domain: each.version for each in found if each.domain in domains}


def _learnt_steps(pipeline: Any, features: int) -> tuple[Any, int]:
    """The steps that skl2onnx converts, and the width of their matrix: all but `encode`, which is written as nodes here."""
    if "encode" not in pipeline.named_steps:
        return pipeline, features
    return pipeline[1:], int(pipeline[1:].n_features_in_)


def _round_thresholds_down(graph: Any, model: Any) -> None:
    """HistGradientBoosting compares 32-bit numbers with 64-bit thresholds, halfway between two of them.

    skl2onnx rounds a threshold to the nearest 32-bit number; of two neighbours that may be the upper one, which `<=` then sends to the
    other side (measured on load_diabetes: probabilities off by 0.07).

    Rounded down, all numbers go the same way: there is no 32-bit number between a threshold and the next one below it.
    """
    for boosting in _find_boosting(model):
        exact = np.concatenate([tree.nodes["num_threshold"] for trees in boosting._predictors for tree in trees])
        for node in graph.node:
            if not node.op_type.startswith("TreeEnsemble"):
                continue
            values = next(attribute for attribute in node.attribute if attribute.name == "nodes_values")
            found = np.array(values.floats, dtype=np.float32)
            if len(found) != len(exact) or not np.allclose(found, exact, rtol=1e-6, atol=0):
                continue  # another member's, or the nodes stand in another order; the predictions are compared in any case
            too_high = found.astype(np.float64) > exact
            found[too_high] = np.nextafter(found[too_high], np.float32(-np.inf))
            values.floats[:] = found.tolist()


def _find_boosting(model: Any) -> list[Any]:
    """The HistGradientBoosting that a fitted model is, or has among the members of its average."""
    found = [member[-1] for member in model.estimators_] if hasattr(model, "named_estimators_") else [model]
    return [each for each in found if type(each).__name__.startswith("HistGradientBoosting")]


def _register_converters() -> None:
    """Let skl2onnx convert the network of an average as the MLPRegressor that it is once it is fitted."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes
    from skl2onnx.operator_converters.multilayer_perceptron import convert_sklearn_mlp_regressor

    from flywheel_runtime.models.networks import StandardizedTargetMLPRegressor

    update_registered_converter(
        StandardizedTargetMLPRegressor,
        "FlywheelStandardizedTargetMLPRegressor",
        calculate_linear_regressor_output_shapes,
        convert_sklearn_mlp_regressor,
    )


def _remove_unused_constants(graph: Any) -> None:
    """Remove the initializers that no node reads: onnxruntime warns of each whenever it loads the model."""
    read = {name for node in graph.node for name in node.input}
    used = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(used)


def _unused_mark(features: tuple[Feature, ...]) -> str:
    """What no column's name begins with."""
    mark = "#"
    while any(feature.name.startswith(mark) for feature in features):
        mark += "#"
    return mark


def _hide_names(graph: Any, mark: str) -> list[str]:
    """Begin every name inside the graph with `mark`, so that a column may be called anything; return those of the outputs."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [mark + name if name else name for name in names]
    for value in graph.initializer:
        value.name = mark + value.name
    found = [mark + output.name for output in graph.output]
    del graph.output[:], graph.input[:], graph.value_info[:]
    return found


def _name_outputs(graph: Any, found: list[str], data: Data, mark: str) -> None:
    from onnx import TensorProto, helper, numpy_helper

    names = name_outputs([feature.name for feature in data.sent.features])
    if data.schema["task"] == "Regression":
        shape = numpy_helper.from_array(np.array([-1], dtype=np.int64), f"{mark}flat shape")
        graph.initializer.append(shape)
        graph.node.append(helper.make_node("Reshape", [found[0], f"{mark}flat shape"], [names[PREDICTION]]))
        graph.output.append(helper.make_tensor_value_info(names[PREDICTION], TensorProto.FLOAT, [None]))
        return
    values = class_values(data)
    kind = TensorProto.STRING if values.dtype == object else TensorProto.INT64
    graph.initializer.append(numpy_helper.from_array(values, f"{mark}class values"))
    # scikit-learn was fitted to class numbers; the output is the class itself.
    _rename(graph, found[0], f"{mark}class number")
    graph.node.append(helper.make_node("Gather", [f"{mark}class values", f"{mark}class number"], [names[LABEL]]))
    graph.output.append(helper.make_tensor_value_info(names[LABEL], kind, [None]))
    _rename(graph, found[1], names[PROBABILITIES])
    graph.output.append(helper.make_tensor_value_info(names[PROBABILITIES], TensorProto.FLOAT, [None, None]))


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new


def class_values(data: Data) -> NDArray[Any]:
    """The classes as the model predicts them: numbers for an Integer target, 0 and 1 for a Boolean, else text."""
    if data.target_type == "Integer":
        return np.array([int(name) for name in data.classes], dtype=np.int64)
    if data.target_type == "Boolean":
        return np.arange(len(data.classes), dtype=np.int64)
    return np.array(data.classes, dtype=object)


def target_scale(values: NDArray[Any], predictions: NDArray[Any]) -> float:
    """The unit of differences between predictions: the standard deviation of the target's train `values` (rows,).

    A hundredth of the largest prediction is added for 32-bit outputs, which round a value of 2,000 that varies by 1 to 1e-4. A unit
    of 1 + |prediction|, row by row, would refuse a sound model of a target in millions for a row that is predicted near 0, and let any
    model of a target in millionths pass.
    """
    return float(np.std(values) + np.max(np.abs(predictions)) / 100)


def _compare(content: bytes, pipeline: Any, data: Data, split: str) -> ExportedModel:
    """The greatest difference on up to 2,000 rows that go their own way in: text as text, never through our codes."""
    rows = data.read(split).x[:MAX_COMPARED_ROWS]
    outputs = run_model(content, data.sent.raw(split, MAX_COMPARED_ROWS))
    scale = 1.0
    if data.schema["task"] == "Regression":
        expected = pipeline.predict(rows).astype(np.float64)
        scale = target_scale(data.read_targets("train"), expected)
        difference = float(np.max(np.abs(get_output(outputs, PREDICTION) - expected))) / scale
    else:
        expected = pipeline.predict_proba(rows)
        difference = float(np.max(np.abs(get_output(outputs, PROBABILITIES) - expected)))
        ordered = np.sort(expected, axis=1)
        is_tie = ordered[:, -1] - ordered[:, -2] <= 2 * TOLERANCE
        labels = class_values(data)[pipeline.predict(rows).astype(int)]
        wrong = int(np.sum((get_output(outputs, LABEL) != labels) & ~is_tie))
        difference = 1.0 if wrong else difference
    if not difference <= TOLERANCE:
        unit = "" if scale == 1.0 else f" of the target's scale, {scale:.4g}"
        message = (
            f"The ONNX model of {type(pipeline[-1]).__name__} and the fitted pipeline differ by {difference:.2g} (allowed "
            f"{TOLERANCE:g}){unit} on {len(rows):,} rows of the {split} split; use another estimator or other parameters."
        )
        raise Failure("ParityFailed", message, retry=True)
    return ExportedModel(content, difference, len(rows), scale)
