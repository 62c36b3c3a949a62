"""Models of other converters, as people bring them: verified with what they really return, or refused with what to do."""

import json
import locale
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from flywheel_serving.errors import ModelRefused
from flywheel_serving.model.onnx_model import MAX_IR_VERSION, MAX_OPSET
from flywheel_serving.verify.verification import verify

MODELS = Path(__file__).parent.parent / "brought_models"
Found = dict[str, Any]


def verify_model(root: Path, content: bytes, **params: Any) -> Found:
    """The facts, metrics and written signature of a brought model."""
    folder = root / "inputs" / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (root / "params.json").write_text(json.dumps({"format": "ONNX", "brought": True, **params}))
    verify(root)
    written = root / "outputs" / "model" / "signature.json"
    names = ("facts", "metrics")
    found = {name: json.loads((root / "outputs" / f"{name}.json").read_bytes()) for name in names}
    return {**found, "signature": json.loads(written.read_bytes())}


def read_case(name: str) -> bytes:
    return (MODELS / f"{name}.onnx").read_bytes()


def shapes(found: Found, side: str = "outputs") -> dict[str, list[int]]:
    return {tensor["name"]: tensor["shape"] for tensor in found["signature"][side]}


@pytest.mark.parametrize(
    ("name", "outputs", "note"),
    [
        pytest.param("double", {"y": [-1, 1]}, None, id="a model as it declares itself"),
        pytest.param("catboost_regressor", {"predictions": [-1, 1]}, None, id="CatBoost declares one axis"),
        pytest.param(
            "lightgbm_nozipmap", {"label": [-1], "probabilities": [-1, 2]}, None, id="LightGBM declares one row"
        ),
        pytest.param("unknown_rank", {"y": [-1]}, None, id="a tensor of any rank"),
        pytest.param("image_dynamic_hw", {"logits": [-1, 2]}, None, id="an image that must have some pixels"),
        pytest.param(
            "scalar_output",
            {"y": [-1, 1]},
            "output 'm' has the shape [] for 1 row; left out of its answers: 'm'",
            id="a scalar beside rows",
        ),
    ],
)
def test_the_shapes_that_were_observed_are_written(
    tmp_path: Path, name: str, outputs: dict[str, list[int]], note: str | None
) -> None:
    found = verify_model(tmp_path, read_case(name))

    assert shapes(found) == outputs
    assert found["facts"].get("note") == note
    assert found["metrics"]["p50_ms"] > 0


def test_synthetic_rows_that_a_model_refuses_are_no_refusal(tmp_path: Path) -> None:
    found = verify_model(tmp_path, read_case("sklearn_onehot_default"))

    assert "synthetic rows fail (" in found["facts"]["note"]
    assert "give a row that it takes in spec.example" in found["facts"]["note"]
    assert "p50_ms" not in found["metrics"]
    assert found["facts"]["golden"] == {"rows": 0, "maxDifference": 0.0}
    assert found["signature"]["inputs"]


def test_an_example_is_tried_and_served_as_the_warm_up(tmp_path: Path) -> None:
    example = {"inputs": {"num": [[0.5]], "cat": [["red"]]}}
    found = verify_model(tmp_path, read_case("sklearn_onehot_default"), example={"inline": json.dumps(example)})

    assert "note" not in found["facts"]
    assert found["metrics"]["p50_ms"] > 0
    assert found["facts"]["golden"]["rows"] == 1
    golden = json.loads((tmp_path / "outputs/model/golden.json").read_bytes())
    assert golden["inputs"] == example["inputs"]


def test_an_example_with_outputs_is_golden_rows(tmp_path: Path) -> None:
    rows = {"inputs": {"x": [[1.5], [2.0]]}, "outputs": {"y": [[3.0], [4.0]]}}
    found = verify_model(tmp_path, read_case("double"), example={"inline": json.dumps(rows)})
    assert found["facts"]["golden"] == {"rows": 2, "maxDifference": 0.0}

    rows["outputs"]["y"][1] = [5.0]
    with pytest.raises(ModelRefused, match="output 'y' of the golden rows differs by 1") as refused:
        verify_model(tmp_path, read_case("double"), example={"inline": json.dumps(rows)})
    assert "by spec.example" in str(refused.value)
    assert str(refused.value).endswith("; correct them, or export the model again"), "nobody trained it here"


def test_an_example_may_be_a_file_of_the_artifact(tmp_path: Path) -> None:
    folder = tmp_path / "inputs" / "model"
    folder.mkdir(parents=True)
    (folder / "rows.json").write_text(json.dumps({"inputs": {"x": [[1.0]]}}))

    found = verify_model(tmp_path, read_case("double"), example={"file": "rows.json"}, brought=False)

    assert found["facts"]["golden"]["rows"] == 1
    assert (tmp_path / "outputs/model/golden.json").is_file()
    assert (tmp_path / "outputs/model/model.onnx").is_file()


@pytest.mark.parametrize(
    ("example", "reason", "finding"),
    [
        pytest.param({"inline": '{"inputs": '}, "ExampleInvalid", "is no JSON", id="no JSON"),
        pytest.param(
            {"inline": '{"inputs": {"x": [NaN]}}'}, "ExampleInvalid", "is no JSON", id="NaN, which JSON lacks"
        ),
        pytest.param({"inline": "[1]"}, "ExampleInvalid", "must hold an object", id="a list"),
        pytest.param(
            {"inline": '{"inputs": {"x": [1]}, "outputs": {"y": [9]}, "tolerance": "nan"}'},
            "GoldenInvalid",
            "tolerance: wanted a finite number of 0 or more, found 'nan'",
            id="a tolerance that allows everything",
        ),
        pytest.param({"inline": '{"inputs": {"z": [[1]]}}'}, "GoldenInvalid", "spec.example does not fit", id="names"),
        pytest.param({"file": "../params.json"}, "PathInvalid", "leaves the artifact", id="a file outside"),
        pytest.param({"file": "rows.json"}, "ExampleInvalid", "rows.json cannot be read", id="a file that is absent"),
    ],
)
def test_an_example_that_cannot_be_used_is_refused(tmp_path: Path, example: Found, reason: str, finding: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        verify_model(tmp_path, read_case("double"), example=example)

    assert refused.value.reason == reason
    assert finding in str(refused.value)


def test_a_row_of_the_example_that_fails_is_a_refusal(tmp_path: Path) -> None:
    example = json.dumps({"inputs": {"num": [[0.5]], "cat": [["no such colour"]]}})

    with pytest.raises(ModelRefused, match=r"the model failed on its own rows: .* correct spec.example"):
        verify_model(tmp_path, read_case("sklearn_onehot_default"), example={"inline": example})


@pytest.mark.parametrize(
    ("name", "reason", "finding"),
    [
        pytest.param(
            "batch_baked_in",
            "RowsMissing",
            "output 'y' has the shape [1, 6] for 3 rows; export the model so that each row",
            id="three rows in and one out",
        ),
        pytest.param("nonzero_rows", "RowsMissing", "output 'nz' has the shape [2, 0] for 1 row", id="rows by value"),
        pytest.param(
            "bfloat16_input",
            "UnsupportedType",
            "tensor(bfloat16), which the protocol has no datatype for; it has BOOL, UINT8",
            id="bfloat16",
        ),
        pytest.param(
            "ir14",
            "ModelNotLoadable",
            "this version loads models up to IR version 13 and opset 26: save it with onnx.save after model.ir_version = 13",
            id="a newer file format",
        ),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_with_what_to_do(
    tmp_path: Path, name: str, reason: str, finding: str
) -> None:
    with pytest.raises(ModelRefused) as refused:
        verify_model(tmp_path, read_case(name))

    assert refused.value.reason == reason
    assert finding in str(refused.value)


def test_the_newest_model_that_the_refusal_names_is_loaded(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y])
    opsets = [helper.make_opsetid("", MAX_OPSET)]

    model = helper.make_model(graph, opset_imports=opsets, ir_version=MAX_IR_VERSION)

    assert shapes(verify_model(tmp_path, model.SerializeToString())) == {"y": [-1, 1]}


def has_locale(name: str) -> bool:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_CTYPE, before)
    return True


def test_a_text_model_needs_the_locale_that_it_names(tmp_path: Path) -> None:
    content = read_case("sklearn_tfidf")
    if has_locale("en_US.UTF-8"):
        assert shapes(verify_model(tmp_path, content)) == {"label": [-1], "probabilities": [-1, 2]}
    else:
        with pytest.raises(ModelRefused, match=r"the image has the locales C.UTF-8, en_US.UTF-8"):
            verify_model(tmp_path, content)


def zipmap_model(labels: dict[str, Any], operator: str = "LinearClassifier") -> bytes:
    """A classifier of two features whose scores are a list of maps, as converters write them by default."""
    count = len(next(iter(labels.values())))
    text = "classlabels_strings" in labels
    classifier_labels = {"classlabels_ints" if key == "classlabels_int64s" else key: v for key, v in labels.items()}
    nodes = [
        helper.make_node(
            operator,
            ["x"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            coefficients=np.linspace(-1, 1, 2 * count).tolist(),
            intercepts=[0.0] * count,
            multi_class=0,
            post_transform="SOFTMAX",
            **classifier_labels,
        ),
        helper.make_node("ZipMap", ["scores"], ["probability"], domain="ai.onnx.ml", **labels),
    ]
    key = TensorProto.STRING if text else TensorProto.INT64
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("label", key, [None]), helper.make_value_info("probability", maps)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 1)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"classlabels_int64s": [0, 1, 2]}, id="whole numbers"),
        pytest.param({"classlabels_strings": ["late", "on time", "Zürich"]}, id="texts"),
    ],
)
def test_a_list_of_maps_becomes_a_tensor_with_the_names_of_its_classes(tmp_path: Path, labels: dict[str, Any]) -> None:
    found = verify_model(tmp_path, zipmap_model(labels))

    assert shapes(found) == {"label": [-1], "probability": [-1, 3]}
    assert found["signature"]["classes"] == [str(label) for label in next(iter(labels.values()))]
    assert found["facts"]["isolated"] == ""
    shutil.rmtree(tmp_path / "inputs")
    again = verify_model(tmp_path, (tmp_path / "outputs/model/model.onnx").read_bytes())
    assert shapes(again) == shapes(found)


def test_classes_have_the_names_of_the_zipmap(tmp_path: Path) -> None:
    model = onnx.load_from_string(zipmap_model({"classlabels_int64s": [0, 1]}))
    zipmap = model.graph.node[1]
    del zipmap.attribute[:]  # as an ensemble has it: its classifiers know the classes by number
    zipmap.attribute.append(helper.make_attribute("classlabels_strings", ["late", "on time"]))
    model.graph.output[1].type.sequence_type.elem_type.map_type.key_type = TensorProto.STRING

    found = verify_model(tmp_path, model.SerializeToString())

    assert found["signature"]["classes"] == ["late", "on time"]


def test_an_output_that_grows_with_a_text_has_no_length(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Squeeze", ["x", "axis"], ["texts"]),
        helper.make_node("StringSplit", ["texts"], ["found", "count"], delimiter=" "),
        helper.make_node("Equal", ["found", "word"], ["is_word"]),
        helper.make_node("Cast", ["is_word"], ["y"], to=TensorProto.FLOAT),
    ]
    constants = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("word", TensorProto.STRING, [], [b"a"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    found = verify_model(tmp_path, model.SerializeToString(), example={"inline": '{"inputs": {"x": ["a"]}}'})

    assert shapes(found) == {"y": [-1, -1]}  # [-1, 1] was seen, and "a b" gives two values
