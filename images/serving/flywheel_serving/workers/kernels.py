"""Which models may be computed in the server's own process: those whose kernels are all defined and bounded by their inputs' size.

Read from the graph alone, before onnxruntime opens it. These are lists of what is known to be safe, so an operator that is
new, of another domain, or in a body (Loop, If, Scan, a function) sends its model to a worker process.
"""

from dataclasses import dataclass, field
from typing import Any

from flywheel_serving.model.row_independence.shape_rules import read_integers
from flywheel_serving.model.row_independence.values import text

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
    ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Round SVMClassifier SVMRegressor Scaler Selu Shape Sigmoid Sign Sin
    Slice Softmax Softplus Split Sqrt Squeeze StringConcat Sub Sum Tanh Transpose TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor Unsqueeze
    Where Xor
    """.split()  # noqa: SIM905  a list would be a page with one word on each line
)
# ONNX defines these for every pair of reals, but not for every pair of integers: for all but the quotients by these.
INTEGER_PARTIAL_OPERATORS = frozenset({"Div", "Mod"})
PARTIAL_DIVISORS = frozenset({0, -1})
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

# Element types of reals: FLOAT, FLOAT16, DOUBLE, BFLOAT16.
REAL_TYPES = frozenset({1, 10, 11, 16})


@dataclass
class _Node:
    operator: str = ""
    domain: str = ""
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    real_attribute: bool = False  # Cast to a real, or a constant of reals


def unsafe_operator(model: Any) -> str:
    """Why the onnx_proto.Model must be computed in a worker process: its operator; empty if it may be computed anywhere."""
    if model.functions:
        return "a function of its own"
    graph = model.graph
    declared = [(tensor.name, tensor.data_type) for tensor in graph.initializer]
    declared += [
        (typed.name, typed.type.tensor_type.elem_type) for typed in (*graph.input, *graph.output, *graph.value_info)
    ]
    # A name is bytes: two that are no texts must not become one. A name of two types counts as whole.
    reals = {name for name, datatype in declared if datatype in REAL_TYPES}
    reals -= {name for name, datatype in declared if datatype not in REAL_TYPES} | {b""}  # b"" is an absent operand
    divisors = _defined_divisors(graph)
    for message in graph.node:
        node = _read_node(message)
        if node.domain not in DOMAINS or node.operator not in BOUNDED_OPERATORS:
            return node.operator
        _infer_reals(node, reals)
        is_defined = reals & {*node.inputs, *node.outputs} or (len(node.inputs) == 2 and node.inputs[1] in divisors)
        if node.operator in INTEGER_PARTIAL_OPERATORS and not is_defined:
            return f"{node.operator} of integers"
    return ""


def _defined_divisors(graph: Any) -> set[bytes]:
    """The constants of integers by which each integer has a quotient. One that an input may replace, or of two values, is none."""
    names = [tensor.name for tensor in graph.initializer] + [each.values.name for each in graph.sparse_initializer]
    replaced = {each.name for each in graph.input} | {name for name in names if names.count(name) > 1} | {b""}
    found = {tensor.name: read_integers(tensor) for tensor in graph.initializer if tensor.name not in replaced}
    return {name for name, values in found.items() if values and not PARTIAL_DIVISORS & {*values}}


def _infer_reals(node: _Node, reals: set[bytes]) -> None:
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


def _read_node(message: Any) -> _Node:
    node = _Node(text(message.op_type), text(message.domain))
    node.inputs, node.outputs = list(message.input), list(message.output)
    attributes = [each for each in message.attribute if node.operator == "Constant" or each.name == b"to"]
    if node.operator in ("Cast", "Constant"):
        node.real_attribute = bool(attributes) and all(map(_is_real, attributes))
    return node


def _is_real(attribute: Any) -> bool:
    """Whether the attribute of a Cast or a Constant makes its output real."""
    if attribute.name == b"to":
        return attribute.i in REAL_TYPES
    if attribute.name == b"value":
        return attribute.t.data_type in REAL_TYPES
    return attribute.name in (b"value_float", b"value_floats")
