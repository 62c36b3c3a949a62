"""What each operator that computes does to rows. A rule returns the values of the first outputs, or raises RowsMix."""

from collections.abc import Callable
from math import prod

from flywheel_serving.model.row_independence.values import ROW, UNKNOWN, Inputs, Node, Value

Outputs = tuple[Value, ...]
Rule = Callable[[Node, Inputs], Outputs]


def same_shape(node: Node, inputs: Inputs) -> Outputs:
    """Each element by itself; further inputs are the same for all."""
    node.check_constant(inputs[1:])
    return (Value(inputs[0].shape),)


def broadcast(node: Node, inputs: Inputs) -> Outputs:
    """Elements of several inputs at the same place, aligned as numpy does."""
    shapes = [value.shape for value in inputs if value.shape is not None]
    if len(shapes) < len(inputs) or node.attribute_names & {b"axis", b"broadcast"}:
        raise node.refuse("aligns inputs of which a shape is not known")
    rank = max(map(len, shapes))
    result = []
    for lengths in zip(*[(1,) * (rank - len(shape)) + shape for shape in shapes], strict=True):
        others = set(lengths) - {1}
        if ROW in others and len(others) > 1:
            raise node.refuse("aligns rows with another axis")
        result.append(others.pop() if len(others) == 1 else UNKNOWN if others else 1)
    if result.count(ROW) > 1:
        raise node.refuse("combines each row with all rows")
    return (Value(tuple(result)),)


def _features(node: Node, inputs: Inputs) -> Outputs:
    """A table, [ROW, features], to one of the same shape."""
    node.check_constant(inputs[1:])
    if len(node.row_shape(inputs[0])) != 1:
        raise node.refuse("has no table as its input")
    return (Value(inputs[0].shape),)


# The attribute by which the length of a regressor's rows is given, and ONNX's default; 0 where it has none.
_REGRESSOR_WIDTHS = {"LinearRegressor": (b"targets", 1), "TreeEnsembleRegressor": (b"n_targets", 0)}


def _estimator(node: Node, inputs: Inputs) -> Outputs:
    """A table, [ROW, features], to the label and the scores of a classifier, or the numbers of a regressor."""
    _features(node, inputs)
    if "Classifier" in node.operator:
        return Value((ROW,)), Value((ROW, UNKNOWN))
    width = _REGRESSOR_WIDTHS.get(node.operator)
    targets = node.integer(*width) if width is not None else 0
    return (Value((ROW, targets if targets > 0 else UNKNOWN)),)


def _tree_ensemble(node: Node, inputs: Inputs) -> Outputs:
    _features(node, inputs)
    return (Value((ROW, UNKNOWN)),)


def concat_rows(node: Node, inputs: Inputs) -> Outputs:
    """Joins rows of several inputs, each with its own."""
    shapes = [node.row_shape(value) for value in inputs]
    axis = node.axis(node.integer(b"axis", 0), len(shapes[0]) + 1)
    return (_joined([(ROW, *shape) for shape in shapes], axis, node),)


def _feature_vector(node: Node, inputs: Inputs) -> Outputs:
    for value in inputs:
        _features(node, [value])
    return (_joined([value.shape or () for value in inputs], 1, node),)


def _joined(shapes: list[tuple[int, ...]], axis: int, node: Node) -> Value:
    if len({len(shape) for shape in shapes}) != 1:
        raise node.refuse("joins inputs of different numbers of axes")
    lengths = [shape[axis] for shape in shapes]
    length = UNKNOWN if UNKNOWN in lengths else sum(lengths)
    return Value((*shapes[0][:axis], length, *shapes[0][axis + 1 :]))


def _gemm(node: Node, inputs: Inputs) -> Outputs:
    node.row_shape(inputs[0], 1)
    node.check_constant(inputs[1:])
    bias = inputs[2].shape if len(inputs) > 2 else ()
    if node.integer(b"transA", 0) or bias is None or (len(bias) > 1 and bias[0] != 1):
        raise node.refuse("may combine rows")
    weights = inputs[1].shape
    if weights is None or len(weights) != 2:
        raise node.refuse("multiplies by a matrix of unknown shape")
    return (Value((ROW, weights[0 if node.integer(b"transB", 0) else 1])),)


def _matmul(node: Node, inputs: Inputs) -> Outputs:
    left, right = node.row_shape(inputs[0], 1), inputs[1]
    if right.has_rows:
        others = node.row_shape(right, 2)
        if len(others) != len(left):
            raise node.refuse("combines rows with rows")
        return (Value((ROW, *(UNKNOWN for _ in left[:-1]), others[-1])),)
    if right.shape is None or len(right.shape) != 2:
        raise node.refuse("multiplies by a matrix of unknown shape")
    return (Value((ROW, *left[:-1], right.shape[1])),)


def _convolution(node: Node, inputs: Inputs) -> Outputs:
    """Work over channels and places of one image in each row."""
    shape = node.row_shape(inputs[0], 2)
    node.check_constant(inputs[1:])
    return (Value((ROW, *(UNKNOWN for _ in shape))),)


def _batch_normalization(node: Node, inputs: Inputs) -> Outputs:
    node.row_shape(inputs[0], 1)
    if node.integer(b"training_mode", 0) or node.output_count > 1:  # older opsets train if further outputs are given
        raise node.refuse("normalizes over the rows")
    return same_shape(node, inputs)


def _layer_normalization(node: Node, inputs: Inputs) -> Outputs:
    """Work along one axis that leaves the shape as it is."""
    shape = node.row_shape(inputs[0], 1)
    node.axis(node.integer(b"axis", -1), len(shape) + 1)
    return same_shape(node, inputs)


def _reduce(node: Node, inputs: Inputs) -> Outputs:
    shape = node.row_shape(inputs[0], 1)
    node.check_constant(inputs[1:])
    axes = (node.integer(b"axis", 0),) if node.operator.startswith("Arg") else node.axes(inputs)
    reduced = {node.axis(axis, len(shape) + 1) for axis in axes}
    if node.integer(b"keepdims", 1):
        return (Value(tuple(1 if axis in reduced else length for axis, length in enumerate((ROW, *shape)))),)
    return (Value(tuple(length for axis, length in enumerate((ROW, *shape)) if axis not in reduced)),)


def _top_k(node: Node, inputs: Inputs) -> Outputs:
    return (_with_unknown_axis(node, inputs, node.integer(b"axis", -1)),) * 2


def _split(node: Node, inputs: Inputs) -> Outputs:
    return (_with_unknown_axis(node, inputs, node.integer(b"axis", 0)),) * node.output_count


def _with_unknown_axis(node: Node, inputs: Inputs, axis: int) -> Value:
    shape = node.row_shape(inputs[0], 1)
    node.check_constant(inputs[1:])
    axis = node.axis(axis, len(shape) + 1)
    return Value(tuple(UNKNOWN if each == axis else length for each, length in enumerate((ROW, *shape))))


def _one_hot(node: Node, inputs: Inputs) -> Outputs:
    categories = len(node.integers(b"cats_int64s") or ()) or node.string_count(b"cats_strings")
    return (Value((ROW, *node.row_shape(inputs[0]), categories)),)


def _text_vector(node: Node, inputs: Inputs) -> Outputs:
    _features(node, inputs)
    return (Value((ROW, UNKNOWN)),)


def _text_normalizer(node: Node, inputs: Inputs) -> Outputs:
    """Texts in another case. Stop words would be taken out, and the rows after them would move up."""
    if b"stopwords" in node.attribute_names or inputs[0].shape != (ROW,):
        raise node.refuse("may leave rows out")
    return (inputs[0],)


def _tokenizer(node: Node, inputs: Inputs) -> Outputs:
    """The tokens of each text, filled up to the length of the longest, which a text vector does not see."""
    if inputs[0].shape != (ROW,):
        raise node.refuse("has no column of texts as its input")
    return (Value((ROW, UNKNOWN)),)


def _feature_extractor(node: Node, inputs: Inputs) -> Outputs:
    data, indices = inputs
    if data.has_rows:
        shape = node.row_shape(data, 1)
        node.check_constant([indices])
        is_known = indices.shape is not None and UNKNOWN not in indices.shape
        return (Value((ROW, *shape[:-1], prod(indices.shape or ()) if is_known else UNKNOWN)),)
    # The name of each row's class from a list of all names: the rows are the last axis of the result.
    if data.shape is None or data.shape[:-1] not in ((), (1,)) or prod(node.row_shape(indices)) != 1:
        raise node.refuse("may combine rows")
    return (Value((1, ROW)),)


def _flatten(node: Node, inputs: Inputs) -> Outputs:
    shape = node.row_shape(inputs[0])
    if node.integer(b"axis", 1) != 1:
        raise node.refuse("works along the rows")
    return (Value((ROW, UNKNOWN if UNKNOWN in shape else prod(shape))),)


def _transpose(node: Node, inputs: Inputs) -> Outputs:
    shape = (ROW, *node.row_shape(inputs[0]))
    order = node.integers(b"perm")
    if order is None or sorted(order) != list(range(len(shape))) or order[0] != 0:
        raise node.refuse("moves the rows to another axis")
    return (Value(tuple(shape[axis] for axis in order)),)


ELEMENTWISE = """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish
    IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal RegexFullMatch Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh
    ThresholdedRelu ai.onnx.ml.Binarizer ai.onnx.ml.LabelEncoder
"""
BROADCASTING = """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or
    PRelu Pow StringConcat Sub Sum Where Xor
"""
CONVOLUTIONS = "AveragePool Conv ConvTranspose GlobalAveragePool GlobalMaxPool InstanceNormalization LRN MaxPool"
REDUCTIONS = """
    ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare
"""
ESTIMATORS = "LinearClassifier LinearRegressor SVMClassifier SVMRegressor TreeEnsembleClassifier TreeEnsembleRegressor"

RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE.split(), same_shape),
    **dict.fromkeys(BROADCASTING.split(), broadcast),
    **dict.fromkeys(CONVOLUTIONS.split(), _convolution),
    **dict.fromkeys(REDUCTIONS.split(), _reduce),
    **{f"ai.onnx.ml.{name}": _estimator for name in ESTIMATORS.split()},
    **{f"ai.onnx.ml.{name}": _features for name in ("Imputer", "Normalizer", "Scaler")},
    "BatchNormalization": _batch_normalization,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Hardmax": _layer_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _layer_normalization,
    "LpNormalization": _layer_normalization,
    "MatMul": _matmul,
    "Softmax": _layer_normalization,
    "Split": _split,
    "StringNormalizer": _text_normalizer,
    "TfIdfVectorizer": _text_vector,
    "TopK": _top_k,
    "Transpose": _transpose,
    "ai.onnx.ml.ArrayFeatureExtractor": _feature_extractor,
    "ai.onnx.ml.FeatureVectorizer": _feature_vector,
    "ai.onnx.ml.OneHotEncoder": _one_hot,
    "ai.onnx.ml.TreeEnsemble": _tree_ensemble,
    "com.microsoft.Tokenizer": _tokenizer,
}
