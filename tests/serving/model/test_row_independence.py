"""Rows share a call only where the graph shows that none depends on another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.row_comparison import compare_rows
from flywheel_serving.model.row_independence.proof import graph_row_mixing
from flywheel_serving.model.warm_up.synthetic_rows import synthetic_rows
from flywheel_serving.protocol.onnx_proto import Model
from tests.examples import examples

COLUMNS = 3
RNG = np.random.default_rng(0)


def node(operator: str, inputs: list[str], output: str = "y", **attributes: Any) -> Any:
    domain = "ai.onnx.ml" if operator in ("Scaler", "ArrayFeatureExtractor") else ""
    return helper.make_node(operator, inputs, [output], domain=domain, **attributes)


def graph(
    nodes: list[Any], constants: dict[str, Any] | None = None, shape: tuple[Any, ...] = (None, COLUMNS), rank: int = 2
) -> bytes:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)]
    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, arrays), opset_imports=opsets, ir_version=9)
    content: bytes = made.SerializeToString()
    return content


def mixing(content: bytes) -> str:
    return graph_row_mixing(Model.FromString(content))


F32 = np.float32
SQUARE, COLUMN = np.ones((COLUMNS, COLUMNS), F32), np.ones((COLUMNS, 1), F32)
BRANCH = helper.make_graph([helper.make_node("ReduceMean", ["x"], ["b"], keepdims=1)], "b", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, [None, None])])  # fmt: skip

APART = {
    "a linear layer": graph([node("Gemm", ["x", "w", "b"])], {"w": SQUARE, "b": np.ones(COLUMNS, F32)}),
    "a product and a bias": graph([node("MatMul", ["x", "w"], "p"), node("Add", ["p", "b"])], {"w": SQUARE, "b": np.ones((1, COLUMNS), F32)}),
    "a mean of each row": graph([node("ReduceMean", ["x", "axes"])], {"axes": np.array([1])}),
    "a softmax of each row": graph([node("Softmax", ["x"])]),
    "the largest of each row": graph([node("ArgMax", ["x"], "i", axis=1), node("Cast", ["i"], to=1)]),
    "columns picked": graph([node("Gather", ["x", "i"], axis=1)], {"i": np.array([2, 0])}),
    "a table looked up": graph([node("Cast", ["x"], "i", to=7), node("Gather", ["t", "i"], axis=0)], {"t": np.ones(9, F32)}),
    "a column cut out": graph([node("Slice", ["x", "from", "to", "along"])], {"from": np.array([1]), "to": np.array([2]), "along": np.array([1])}),
    "one number for each row": graph([node("Gemm", ["x", "w"], "s"), node("Reshape", ["s", "t"])], {"w": COLUMN, "t": np.array([-1, 1])}),
    "the number of rows as a length": graph(
        [node("Shape", ["x"], "s"), node("Gather", ["s", "zero"], "n"), node("Unsqueeze", ["n", "first"], "m"), node("Concat", ["m", "rest"], "t", axis=0), node("Reshape", ["x", "t"])],
        {"zero": np.array(0), "first": np.array([0]), "rest": np.array([-1])},
    ),
    "a part of the shape as a length": graph(
        [node("Shape", ["x"], "s"), node("Slice", ["s", "first", "second"], "n"), node("Concat", ["n", "one"], "t", axis=0), node("ConstantOfShape", ["t"], "z"), node("Add", ["x", "z"])],
        {"first": np.array([0]), "second": np.array([1]), "one": np.array([1])},
    ),
}  # fmt: skip

MIXED = {
    "a mean over the rows": (graph([node("ReduceMean", ["x", "axes"])], {"axes": np.array([0])}), "ReduceMean works along the rows"),
    "a mean of everything": (graph([node("ReduceMean", ["x"])]), "ReduceMean does not say along which axes"),
    "a softmax over the rows": (graph([node("Softmax", ["x"], axis=-2)]), "Softmax works along the rows"),
    "the default axis of ArgMax": (graph([node("ArgMax", ["x"], "i"), node("Cast", ["i"], to=1)]), "ArgMax works along the rows"),
    "rows times rows": (graph([node("Transpose", ["x"], "t", perm=[1, 0]), node("MatMul", ["x", "t"])]), "Transpose moves the rows"),
    "a row against every other": (graph([node("Flatten", ["x"], "f"), node("Gemm", ["x", "x"], transB=1)]), "Gemm combines rows with rows"),
    "rows that become columns": (graph([node("Reshape", ["x", "t"])], {"t": np.array([1, -1])}), "Reshape may combine rows"),
    "rows that are joined in pairs": (graph([node("Reshape", ["x", "t"])], {"t": np.array([-1, 2 * COLUMNS])}), "Reshape may combine rows"),
    "one row for all": (graph([node("Slice", ["x", "zero", "one", "zero"], "f"), node("Add", ["x", "f"])], {"zero": np.array([0]), "one": np.array([1])}), "Slice works along the rows"),
    "rows in another order": (graph([node("Gather", ["x", "i"], axis=0)], {"i": np.array([1, 0])}), "Gather works along the rows"),
    "a sum of the rows so far": (graph([node("CumSum", ["x", "axis"])], {"axis": np.array(0)}), "CumSum is not known to treat rows apart"),
    "the number of rows as a value": (graph([node("Shape", ["x"], "s"), node("Cast", ["s"], "f", to=1), node("Add", ["x", "f"])]), "Cast computes with the number of rows"),
    "a branch that reads the rows": (graph([node("If", ["c"], then_branch=BRANCH, else_branch=BRANCH)], {"c": np.array(True)}), "If has a graph of its own"),
    "an input without rows": (graph([node("Neg", ["x"])], shape=(2, COLUMNS)), "input 'x' has no row axis"),
    "an output without rows": (graph([node("Identity", ["w"])], {"w": SQUARE}), "output 'y' has no row for each input row"),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_a_graph_of_rows_apart_is_proven(name: str) -> None:
    assert mixing(APART[name]) == ""
    assert differs(APART[name], 4) is False


@pytest.mark.parametrize("name", MIXED)
def test_a_graph_that_may_mix_rows_is_named(name: str) -> None:
    content, finding = MIXED[name]

    assert finding in mixing(content)


def test_a_model_that_mixes_rows_for_one_secret_value_is_not_proven(tmp_path: Path) -> None:
    """It gives each row its own number, unless the first column is 4711: then it gives the largest number of the call."""
    nodes = [
        node("Slice", ["x", "zero", "one", "one"], "key"),
        node("Equal", ["key", "secret"], "asked"),
        node("ReduceMax", ["x"], "most", keepdims=1),
        node("Where", ["asked", "most", "key"]),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "secret": np.array([[4711]], F32)}
    path = tmp_path / "model.onnx"
    path.write_bytes(graph(nodes, constants))
    model = OnnxModel(path)

    assert compare_rows(next(synthetic_rows(model.signature)), model) == ""  # no comparison of usual rows shows it
    assert mixing(path.read_bytes()) == "operator ReduceMax does not say along which axes it works"


ESTIMATORS = [
    LogisticRegression(), RandomForestClassifier(3), ExtraTreesClassifier(3), GaussianNB(), MLPClassifier((4,), max_iter=5), Ridge(), HistGradientBoostingRegressor(max_iter=3),
    VotingClassifier([("a", LogisticRegression()), ("b", MLPClassifier((4,), max_iter=5))], voting="soft", flatten_transform=False),
    VotingRegressor([("a", Ridge()), ("b", HistGradientBoostingRegressor(max_iter=3))], weights=np.array([2, 1])),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("classes", [2, 3])
def test_models_of_scikit_learn_are_proven(estimator: Any, classes: int) -> None:
    features = RNG.integers(0, 9, (60, COLUMNS)).astype(F32)
    target = features.sum(axis=1).astype(int) % classes
    scaler = OneHotEncoder(handle_unknown="ignore") if isinstance(estimator, Ridge) else StandardScaler()
    fitted = make_pipeline(scaler, estimator).fit(features, target)
    options = {id(fitted): {"zipmap": False}} if hasattr(fitted, "predict_proba") else None
    content = to_onnx(fitted, features[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString()

    assert mixing(content) == ""


@pytest.mark.parametrize(("targets", "finding"), [(1, ""), (2, "operator Reshape may combine rows")])
@pytest.mark.parametrize(
    "estimator", [LinearRegression(), RandomForestRegressor(3)], ids=lambda each: type(each).__name__
)
def test_values_of_a_regressor_are_one_for_each_row(estimator: Any, targets: int, finding: str) -> None:
    """Trained models give a value for each row, [rows], made of [rows, targets]."""
    features = RNG.normal(size=(60, COLUMNS)).astype(F32)
    fitted = estimator.fit(features, features[:, :targets].squeeze())
    model = to_onnx(fitted, features[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    model.graph.node.append(node("Reshape", [model.graph.output[0].name, "flat"], "values"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "flat"))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("values", TensorProto.FLOAT, [None]))

    assert mixing(model.SerializeToString()) == finding


def differs(content: bytes, rows: int) -> bool | None:
    """Whether a row in a call with others gets another output than alone; None if the model does not run."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # others spin while they wait
    try:
        session = onnxruntime.InferenceSession(content, options)
        features = RNG.integers(0, 3, (rows, COLUMNS)).astype(F32)
        whole: NDArray[Any] = session.run(None, {"x": features})[0]
        alone = [session.run(None, {"x": features[[row]]})[0] for row in range(rows)]
    except Exception:  # noqa: BLE001  onnxruntime has no common class for its errors
        return None
    same_shapes = len(whole) == rows and all(each.shape == whole[[0]].shape for each in alone)
    return not (same_shapes and np.allclose(whole, np.concatenate(alone), 1e-3, 1e-4, equal_nan=True))


AXIS = st.integers(-3, 2)
CONSTANTS = {
    "w": SQUARE * np.arange(COLUMNS, dtype=F32), "c": COLUMN, "s": np.array(2, F32), "v": np.arange(COLUMNS, dtype=F32), "r": np.ones((1, COLUMNS), F32), "q": np.ones((4, 1), F32),
    "i0": np.array([0]), "i1": np.array([1]), "i2": np.array([-1]), "i3": np.array([1, 0]), "i4": np.array(0), "t1": np.array([-1, COLUMNS]), "t2": np.array([0, -1]), "t3": np.array([COLUMNS, -1]),
    "t4": np.array([-1]), "t5": np.array([-1, 1]), "t6": np.array([1, -1, COLUMNS]), "t7": np.array([0, 0, 1]),
}  # fmt: skip
FLOATS, AXES, TARGETS = (
    ["w", "c", "s", "v", "r", "q"],
    ["i0", "i1", "i2", "i3"],
    ["t1", "t2", "t3", "t4", "t5", "t6", "t7"],
)


BITS, AXES_INPUT = st.integers(0, 1), st.sampled_from(AXES)
# By operator: how a node of it is made from a value, another value, its output's name and choices.
MAKERS: dict[str, Callable[[Any, str, str, str], list[Any]]] = {
    "Binary": lambda draw, one, other, name: [node(draw(st.sampled_from(["Add", "Mul", "Max"])), draw(st.permutations([one, other])), name)],
    "MatMul": lambda draw, one, other, name: [node("MatMul", draw(st.permutations([one, other])), name)],
    "Gemm": lambda draw, one, other, name: [node("Gemm", [one, other], name, transA=draw(BITS), transB=draw(BITS))],
    "Reduce": lambda draw, one, _, name: [node("ReduceMean", [one, draw(AXES_INPUT)], name, keepdims=draw(BITS))],
    "Soft": lambda draw, one, _, name: [node("Softmax", [one], name, axis=draw(AXIS))],
    "Gather": lambda draw, one, _, name: [node("Gather", [one, draw(st.sampled_from([*AXES, "i4"]))], name, axis=draw(AXIS))],
    "Reshape": lambda draw, one, _, name: [node("Reshape", [one, draw(st.sampled_from(TARGETS))], name)],
    "Transpose": lambda draw, one, _, name: [node("Transpose", [one], name, perm=draw(st.permutations([0, 1])))],
    "Concat": lambda draw, one, other, name: [node("Concat", [one, other], name, axis=draw(AXIS))],
    "Unsqueeze": lambda draw, one, _, name: [node("Unsqueeze", [one, draw(AXES_INPUT)], name)],
    "Squeeze": lambda draw, one, _, name: [node("Squeeze", [one, draw(AXES_INPUT)], name)],
    "Slice": lambda draw, one, _, name: [node("Slice", [one, "i0", "i1", draw(AXES_INPUT)], name)],
    "Flatten": lambda draw, one, _, name: [node("Flatten", [one], name, axis=draw(AXIS))],
    "ArgMax": lambda draw, one, _, name: [node("ArgMax", [one], f"{name}a", axis=draw(AXIS)), node("Cast", [f"{name}a"], name, to=1)],
    "Shape": lambda draw, one, _, name: [
        node("Shape", [one], f"{name}s"), node("Gather", [f"{name}s", draw(st.sampled_from(["i0", "i1"]))], f"{name}g"),
        node("Concat", [f"{name}g", "i2"], f"{name}t", axis=0), node("Reshape", [one, f"{name}t"], name),
    ],
}  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> bytes:
    """A chain of operators on rows and on a few constants, of which many mix rows."""
    nodes: list[Any] = []
    values = ["x"]
    for number in range(draw(st.integers(1, 4))):
        one, other = draw(st.sampled_from(values[-2:])), draw(st.sampled_from([*values, *FLOATS]))
        nodes += MAKERS[draw(st.sampled_from(sorted(MAKERS)))](draw, one, other, f"n{number}")
        values.append(f"n{number}")
    return graph([*nodes, node("Identity", [values[-1]])], CONSTANTS, rank=draw(st.integers(1, 3)))


@settings(max_examples=examples(400, ci=70), deadline=None, suppress_health_check=list(HealthCheck))
@given(content=graphs())
def test_what_is_proven_is_true_in_onnxruntime(content: bytes) -> None:
    assume(mixing(content) == "")

    assert differs(content, 4) in (False, None)
    assert differs(content, 3) in (False, None)  # as many rows as columns


TEXTS = helper.make_tensor_value_info("x", TensorProto.STRING, [None])


def of_texts(*nodes: Any) -> bytes:
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(helper.make_graph(nodes, "g", [TEXTS], outputs), opset_imports=opsets, ir_version=9)
    content: bytes = made.SerializeToString()
    return content


TOKENS = helper.make_node("Tokenizer", ["low"], ["tokens"], domain="com.microsoft", mark=1, pad_value=" ", mincharnum=1)
TERMS = helper.make_node(
    "TfIdfVectorizer", ["tokens"], ["y"], mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0,
    ngram_counts=[0], ngram_indexes=[0], pool_strings=["late"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("stop_words", "finding"),
    [
        pytest.param({}, "", id="terms of each text"),
        pytest.param(
            {"stopwords": ["the"]}, "operator StringNormalizer may leave rows out", id="texts that are left out"
        ),
    ],
)
def test_terms_of_texts(stop_words: dict[str, Any], finding: str) -> None:
    low = helper.make_node("StringNormalizer", ["x"], ["low"], case_change_action="LOWER", **stop_words)

    assert mixing(of_texts(low, TOKENS, TERMS)) == finding
