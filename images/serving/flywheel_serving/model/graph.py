"""What a model's graph says beyond its tensors: ranks that it leaves open, class names, and ZipMap, which is replaced."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from flywheel_serving.model.onnx_file import read_model
from flywheel_serving.model.signature import Signature

ML_DOMAIN = b"ai.onnx.ml"
FLOAT = 1  # of TensorProto.DataType
DEFAULT_OPSET = 13  # for a model that names none of the default domain, in which Identity is
CLASSIFIERS = frozenset({b"TreeEnsembleClassifier", b"LinearClassifier", b"SVMClassifier"})
INTEGER_LABELS = (b"classlabels_int64s", b"classlabels_ints")
TEXT_LABELS = b"classlabels_strings"


def read_graph(path: Path) -> tuple[Any, list[str]]:
    """The file's onnx_proto.Model, in which tensors take the place of ZipMap's lists of maps, and its class names. Raises ModelRefused."""
    model = read_model(path)
    classes = class_names(model)
    replace_zipmaps(model)
    return model, classes


def replace_zipmaps(model: Any) -> bool:
    """Makes the scores before a ZipMap the output in its place, [rows, classes]; whether there was one.

    A list of one map for each row has no datatype in the protocol. The order of the scores is that of `class_names`.
    """
    outputs = {output.name: output for output in model.graph.output}
    found = False
    for node in model.graph.node:
        if node.op_type != b"ZipMap" or node.domain != ML_DOMAIN or node.output[0] not in outputs:
            continue
        found = True
        output, classes = outputs[node.output[0]], len(_labels(node))
        node.op_type = b"Identity"
        node.ClearField("domain")
        node.ClearField("attribute")
        output.ClearField("type")
        output.type.tensor_type.elem_type = FLOAT
        shape = output.type.tensor_type.shape
        shape.dim.add()
        shape.dim.add().dim_value = classes
    if found:
        _require_default_domain(model)
    return found


def _require_default_domain(model: Any) -> None:
    if not any(opset.domain in (b"", b"ai.onnx") for opset in model.opset_import):
        model.opset_import.add(domain=b"", version=DEFAULT_OPSET)


def class_names(model: Any) -> list[str]:
    """The classes of the ZipMap, else of the one classifier in the graph, in the order of the scores; empty if there is none, or several.

    The classifiers inside an ensemble of scikit-learn may have the numbers of its classes, where the ZipMap has their names.
    """
    nodes = [node for node in model.graph.node if node.domain == ML_DOMAIN]
    zipmaps = [node for node in nodes if node.op_type == b"ZipMap"]
    found = zipmaps or [node for node in nodes if node.op_type in CLASSIFIERS]
    return _labels(found[0]) if len(found) == 1 else []


def add_class_names(signature: Signature, classes: list[str]) -> Signature:
    """`signature` with the graph's classes, where signature.json names none and one output has as many scores."""
    has_scores = any(len(spec.shape) == 2 and spec.shape[1] == len(classes) for spec in signature.outputs)
    if not classes or signature.extra.get("classes") or not has_scores:
        return signature
    return replace(signature, extra={**signature.extra, "classes": classes})


def _labels(node: Any) -> list[str]:
    for attribute in node.attribute:
        if attribute.name in INTEGER_LABELS and attribute.ints:
            return [str(label) for label in attribute.ints]
        if attribute.name == TEXT_LABELS and attribute.strings:
            return [label.decode("utf-8", "replace") for label in attribute.strings]
    return []


def unranked_tensors(model: Any) -> frozenset[str]:
    """The graph's inputs and outputs that say nothing of their rank."""
    tensors = [value for value in (*model.graph.input, *model.graph.output) if value.type.HasField("tensor_type")]
    return frozenset(
        value.name.decode("utf-8", "replace") for value in tensors if not value.type.tensor_type.HasField("shape")
    )
