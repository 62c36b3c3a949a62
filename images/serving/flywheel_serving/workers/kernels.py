"""Which models may be computed in the server's own process: those whose kernels are all defined and bounded by their inputs' size.

Read from the graph alone, before onnxruntime opens it. These are lists of what is known to be safe, so an operator that is
new, of another domain, or in a body (Loop, If, Scan, a function) sends its model to a worker process.
"""

import mmap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flywheel_serving.errors import ModelRefused
from flywheel_serving.model.onnx_file import _fields, check_onnx_file

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# Operators whose work is bounded by the size of their inputs. Others (Loop, Range, Tile, ...) may compute for minutes on a
# small input, since an input's value decides how long.
BOUNDED_OPERATORS = frozenset(
    """
    Abs Add And ArgMax ArgMin ArrayFeatureExtractor AveragePool BatchNormalization Binarizer BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Cast Ceil Clip Concat Constant Conv ConvInteger Cos DequantizeLinear DictVectorizer Div Dropout
    DynamicQuantizeLinear Elu Equal Erf Exp FeatureVectorizer Flatten Floor GRU Gather Gelu Gemm GlobalAveragePool Greater
    GreaterOrEqual HardSigmoid Identity Imputer IsInf IsNaN LSTM LabelEncoder LayerNormalization LeakyRelu Less LessOrEqual
    LinearClassifier LinearRegressor Log LogSoftmax MatMul MatMulInteger Max MaxPool Mean Min Mod Mul Neg Normalizer Not
    OneHotEncoder Or Pow QLinearConv QLinearMatMul QuantizeLinear RNN ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Round SVMClassifier SVMRegressor Scaler Selu Shape Sigmoid Sign Sin Slice Softmax
    Softplus Split Sqrt Squeeze Sub Sum Tanh Transpose TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor Unsqueeze
    Where Xor
    """.split()  # noqa: SIM905  a list would be a page with one word on each line
)
# For integers, some operands have no result, and onnxruntime ends the process on them. For reals every operand has one.
INTEGER_PARTIAL_OPERATORS = frozenset({"Div", "Mod"})
# Whose first output has the type of their first input,
SAME_TYPE_OPERATORS = frozenset(
    """
    Abs Add ArrayFeatureExtractor Clip Concat Div Flatten Gather Gemm Identity MatMul Max Mean Min Mod Mul Neg Pow ReduceL2
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Reshape Slice Squeeze Sub Sum Transpose Unsqueeze
    """.split()  # noqa: SIM905
)
# whose outputs are always reals, and whose second output is.
REAL_OPERATORS = frozenset(
    """
    AveragePool BatchNormalization Conv Elu Erf Exp FeatureVectorizer Gelu LayerNormalization LeakyRelu LinearRegressor Log
    LogSoftmax Normalizer SVMRegressor Scaler Selu Sigmoid Softmax Softplus Sqrt Tanh TreeEnsemble TreeEnsembleRegressor
    """.split()  # noqa: SIM905
)
SCORING_OPERATORS = frozenset({"LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"})

# Field numbers of onnx.proto, and the element types of reals: FLOAT, FLOAT16, DOUBLE, BFLOAT16.
MODEL_GRAPH, MODEL_FUNCTION = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_TYPED = 1, 5, frozenset({11, 12, 13})
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_INTEGER, ATTRIBUTE_TENSOR = 1, 3, 5
TENSOR_TYPE, TENSOR_NAME = 2, 8
TYPED_NAME, TYPED_TYPE, TYPE_TENSOR, ELEMENT_TYPE = 1, 2, 1, 1
REAL_TYPES = frozenset({1, 10, 11, 16})

Span = tuple[int, int]  # where a message or a value lies in the file


@dataclass
class _Node:
    operator: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    real_attribute: bool = False  # Cast to a real, or a constant of reals


def needs_isolation(path: Path) -> str:
    """Why the model in `path` must be computed in a worker process: its operator; empty if it may be computed anywhere.

    Raises ModelRefused if the file is no ONNX model.
    """
    check_onnx_file(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _unsafe_operator(content)
    except (EOFError, ValueError) as error:
        raise ModelRefused("NotONNX", f"{path.name} is not a valid ONNX model ({error}); export it again") from error


def _unsafe_operator(content: mmap.mmap) -> str:
    reals: set[str] = set()
    nodes: list[_Node] = []
    for number, *span in _fields(content, 0, len(content)):
        if number == MODEL_FUNCTION:
            return "a function of its own"
        if number == MODEL_GRAPH:
            _read_graph(content, span[0], span[1], reals, nodes)
    reals.discard("")  # an operand that is left out
    for node in nodes:
        if node.domain not in DOMAINS or node.operator not in BOUNDED_OPERATORS:
            return node.operator
        _infer_reals(node, reals)
        if node.operator in INTEGER_PARTIAL_OPERATORS and not reals & {*node.inputs, *node.outputs}:
            return f"{node.operator} of integers"
    return ""


def _infer_reals(node: _Node, reals: set[str]) -> None:
    """Adds the outputs of `node` that are known to be reals. Nodes come in the order in which they are computed."""
    operands = node.inputs[1:] if node.operator == "Where" else node.inputs[:1]
    if (
        node.real_attribute
        or node.operator in REAL_OPERATORS
        or (node.operator in SAME_TYPE_OPERATORS | {"Where"} and reals & {*operands})
    ):
        reals.update(node.outputs[:1])
    elif node.operator in SCORING_OPERATORS:
        reals.update(node.outputs[1:])
    elif node.operator == "Split" and reals & {*operands}:
        reals.update(node.outputs)


def _read_graph(content: mmap.mmap, start: int, end: int, reals: set[str], nodes: list[_Node]) -> None:
    for number, first, last in _fields(content, start, end):
        if number == GRAPH_NODE:
            nodes.append(_read_node(content, first, last))
        elif number == GRAPH_INITIALIZER:
            found = _values(content, first, last)
            if _integer(content, found[TENSOR_TYPE]) in REAL_TYPES:
                reals.add(_text(content, found[TENSOR_NAME]))
        elif number in GRAPH_TYPED:
            found = _values(content, first, last)
            if _element_type(content, found[TYPED_TYPE]) in REAL_TYPES:
                reals.add(_text(content, found[TYPED_NAME]))


def _read_node(content: mmap.mmap, start: int, end: int) -> _Node:
    found = _values(content, start, end)
    node = _Node(_text(content, found[NODE_OPERATOR]), _text(content, found[NODE_DOMAIN]))
    node.inputs = [_text(content, [span]) for span in found[NODE_INPUT]]
    node.outputs = [_text(content, [span]) for span in found[NODE_OUTPUT]]
    if node.operator in ("Cast", "Constant"):
        for first, last in found[NODE_ATTRIBUTE]:
            attribute = _values(content, first, last)
            name = _text(content, attribute[ATTRIBUTE_NAME])
            if name == "to":
                node.real_attribute = _integer(content, attribute[ATTRIBUTE_INTEGER]) in REAL_TYPES
            elif name == "value":
                tensors = attribute[ATTRIBUTE_TENSOR]
                types = [value for span in tensors for value in _values(content, *span)[TENSOR_TYPE]]
                node.real_attribute = _integer(content, types) in REAL_TYPES
            else:
                node.real_attribute = name in ("value_float", "value_floats")
    return node


def _element_type(content: mmap.mmap, types: list[Span]) -> int:
    """The element type of a tensor. Parts of a message that is given twice are merged, as protobuf does."""
    tensors = [tensor for span in types for tensor in _values(content, *span)[TYPE_TENSOR]]
    return _integer(content, [value for span in tensors for value in _values(content, *span)[ELEMENT_TYPE]])


def _values(content: mmap.mmap, start: int, end: int) -> defaultdict[int, list[Span]]:
    """Where the values of each field of a message lie, by field number."""
    found: defaultdict[int, list[Span]] = defaultdict(list)
    for number, first, last in _fields(content, start, end):
        found[number].append((first, last))
    return found


def _text(content: mmap.mmap, spans: list[Span]) -> str:
    """The last of the values: of a field that is given twice, protobuf takes that."""
    return content[slice(*spans[-1])].decode("utf-8", "replace") if spans else ""


def _integer(content: mmap.mmap, spans: list[Span]) -> int:
    """The last of the values, a varint; 0 if there is none."""
    value = 0
    for index, byte in enumerate(_bytes(content, spans)):
        value |= (byte & 0x7F) << (7 * index)
    return value


def _bytes(content: mmap.mmap, spans: list[Span]) -> Iterator[int]:
    return iter(content[slice(*spans[-1])] if spans else b"")
