"""The verify step: measurements of a valid model, and refusals of an invalid or hostile one."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, load, save_model

from flywheel_serving.errors import ModelRefused
from flywheel_serving.verify.verification import verify

TRAINED = {"format": "ONNX", "path": "model.onnx", "brought": False}
BROUGHT = TRAINED | {"brought": True}


@pytest.fixture
def root(tmp_path: Path, flights: Path) -> Path:
    """`/flywheel` with the flights artifact as input `model`."""
    shutil.copytree(flights, tmp_path / "inputs" / "model")
    (tmp_path / "outputs").mkdir()
    return tmp_path


def write_params(root: Path, params: dict[str, Any]) -> None:
    (root / "params.json").write_text(json.dumps(params))


def run(root: Path, params: dict[str, Any]) -> int:
    """Runs the step in a process of its own; its exit code."""
    write_params(root, params)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FLYWHEEL_ROOT": str(root),
        "FLYWHEEL_TERMINATION_LOG": str(root / "termination"),
    }
    command = [sys.executable, "-m", "flywheel_serving.verify"]
    return subprocess.run(command, env=environment, check=False, timeout=120, capture_output=True).returncode


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_a_trained_model_is_measured_and_its_test_metrics_are_passed_on(root: Path) -> None:
    assert run(root, TRAINED) == 0

    metrics = read(root / "outputs/metrics.json")
    assert metrics.keys() == {"roc_auc", "p50_ms", "p95_ms", "size_bytes"}
    assert metrics["roc_auc"] == 0.91
    assert metrics["size_bytes"] == (root / "inputs/model/model.onnx").stat().st_size
    assert 0 < metrics["p50_ms"] <= metrics["p95_ms"]
    facts = read(root / "outputs/facts.json")
    assert facts["golden"]["rows"] == 20
    assert facts["golden"]["maxDifference"] < 1e-4
    assert facts["testDigest"] == "sha256:" + "ab" * 32
    assert facts["signature"]["classes"] == ["0", "1"]
    assert facts["signature"]["leftOut"] == ["year"]
    assert facts["loadSeconds"] > 0
    assert facts["isolated"] == ""
    assert sorted(path.name for path in (root / "outputs").rglob("*")) == ["facts.json", "metrics.json"]


def write_importance(root: Path, **changes: Any) -> None:
    folder = root / "inputs/model"
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    features = [
        {"name": f"column_{number}", "importance": 0.5 - number / 100, "deviation": 0.01} for number in range(12)
    ]
    document = {"v": 1, "model": f"sha256:{digest}", "metric": "roc_auc", "features": features, **changes}
    (folder / "permutation_importance.json").write_text(json.dumps(document))


def test_the_most_important_columns_are_passed_on(root: Path) -> None:
    write_importance(root)
    write_params(root, TRAINED)

    verify(root)

    found = read(root / "outputs/facts.json")["importance"]
    assert (found["metric"], len(found["features"])) == ("roc_auc", 10)
    assert found["features"][0] == ["column_0", 0.5]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"model": "sha256:00"}, id="of another model"),
        pytest.param({"features": [{"name": "month"}]}, id="a file of a container's own"),
        pytest.param({"features": []}, id="no column"),
        pytest.param({"features": [{"name": "month" * 500, "importance": 0.1}]}, id="a name that no status takes"),
    ],
)
def test_importances_that_do_not_hold_for_the_model_are_left_out(root: Path, changes: dict[str, Any]) -> None:
    write_importance(root, **changes)
    write_params(root, TRAINED)

    verify(root)

    assert "importance" not in read(root / "outputs/facts.json")


def test_importances_have_the_room_that_the_signature_leaves(root: Path) -> None:
    write_importance(root, features=[{"name": "x" * 240 + str(number), "importance": 0.1} for number in range(10)])
    write_params(root, TRAINED)

    verify(root)

    facts = read(root / "outputs/facts.json")
    assert (root / "outputs/facts.json").stat().st_size <= 2_000
    assert "signature" in facts
    assert 0 < len(facts["importance"]["features"]) < 10


ROWWISE = {"columns": {"dist": "DOUBLE"}, "duckdb": "2.0.1", "rowwise": {"long": "dist > 1500"}}


def write_rowwise(root: Path, model_digest: str | None = None, **changes: Any) -> str:
    """A model that says that it computes features by SQL, and the record of them."""
    text = json.dumps(ROWWISE, sort_keys=True, separators=(",", ":"))
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    path = root / "inputs/model/model.onnx"
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"flywheel.rowwise": model_digest or digest})
    onnx.save(model, path)
    document = {"v": 1, **ROWWISE, "digest": digest, "largestDifference": 1.5, **changes}
    (root / "inputs/model/features.json").write_text(json.dumps(document))
    write_params(root, TRAINED)
    return digest


def test_features_by_sql_are_passed_on_with_their_largest_difference(root: Path) -> None:
    write_rowwise(root)

    verify(root)

    found = read(root / "outputs/facts.json")["rowwise"]
    assert found == {"features": ["long"], "largestDifference": 1.5}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"model_digest": "sha256:00"}, "of other expressions than those in the model", id="of another model"),
        pytest.param({"rowwise": {"long": "dist > 1"}}, "of other expressions than those", id="an expression was changed"),
        pytest.param({"largestDifference": None}, "cannot be read", id="nothing was compared"),
        pytest.param(None, "cannot be read", id="no record"),
    ],
)  # fmt: skip
def test_features_by_sql_without_their_record_are_refused(
    root: Path, changes: dict[str, Any] | None, sentence: str
) -> None:
    write_rowwise(root, **(changes or {}))
    if changes is None:
        (root / "inputs/model/features.json").unlink()

    with pytest.raises(ModelRefused, match=sentence) as refused:
        verify(root)

    assert refused.value.reason == "FeaturesInvalid"


def test_a_brought_model_gets_its_signature(root: Path) -> None:
    folder = root / "inputs/model"
    for name in ("signature.json", "golden.json", "evaluation.json"):
        (folder / name).unlink()
    (folder / "model.onnx").rename(folder / "fraud.onnx")

    write_params(root, BROUGHT | {"path": "fraud.onnx"})
    verify(root)

    assert (root / "outputs/model/model.onnx").read_bytes() == (folder / "fraud.onnx").read_bytes()
    signature = read(root / "outputs/model/signature.json")
    assert [tensor["name"] for tensor in signature["inputs"]] == ["month", "wind", "carrier"]
    assert read(root / "outputs/facts.json")["golden"] == {"rows": 0, "maxDifference": 0.0}


def test_many_columns_that_are_left_out_do_not_displace_the_signature(root: Path) -> None:
    path = root / "inputs/model/signature.json"
    path.write_text(json.dumps({**read(path), "leftOut": [f"a_constant_column_{index}" for index in range(100)]}))
    write_params(root, {})

    verify(root)

    assert (root / "outputs/facts.json").stat().st_size <= 2_000
    signature = read(root / "outputs/facts.json")["signature"]
    assert (len(signature["inputs"]), "leftOut" in signature) == (3, False)


def test_facts_of_a_wide_model_stay_short(root: Path) -> None:
    names = [f"a_rather_long_feature_name_{index}" for index in range(100)]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in names]
    output = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1])
    write(root, helper.make_graph([helper.make_node("Sum", names, ["sum"])], "wide", inputs, [output]))

    write_params(root, BROUGHT)
    verify(root)

    assert (root / "outputs/facts.json").stat().st_size <= 2_000
    assert "signature" not in read(root / "outputs/facts.json")
    assert len(read(root / "outputs/model/signature.json")["inputs"]) == 100


def write(root: Path, graph: Any, opset: int = 17, domain: str = "") -> None:
    """Replaces the artifact's model by one of `graph`."""
    folder = root / "inputs/model"
    shutil.rmtree(folder)
    folder.mkdir()
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def simple_graph(operator: str, domain: str = "") -> Any:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("x", "y")]
    return helper.make_graph([helper.make_node(operator, ["x"], ["y"], domain=domain)], "g", value[:1], value[1:])


def test_a_model_that_may_mix_rows_is_verified_and_named(root: Path) -> None:
    write(root, simple_graph("Softmax"))
    write_params(root, BROUGHT)
    verify(root)
    assert "rowMixing" not in read(root / "outputs/facts.json")

    write(root, greatest_of_all_rows())
    verify(root)
    assert read(root / "outputs/facts.json")["rowMixing"] == "operator ReduceMax works along the rows"


def greatest_of_all_rows() -> Any:
    graph = simple_graph("Add")
    graph.node.insert(0, helper.make_node("ReduceMax", ["x"], ["greatest"], axes=[0], keepdims=1))
    graph.node[1].input.append("greatest")
    return graph


class RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ('touch "$FLYWHEEL_ROOT"/pickle-was-run',)


def a_pickle(root: Path) -> None:
    (root / "inputs/model/model.onnx").write_bytes(pickle.dumps(RunsCode()))


def truncated(root: Path) -> None:
    path = root / "inputs/model/model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def empty(root: Path) -> None:
    (root / "inputs/model/model.onnx").write_bytes(b"")


def huge(root: Path) -> None:
    with (root / "inputs/model/model.onnx").open("r+b") as file:
        file.truncate(2**31)


def write_noise(root: Path) -> None:
    (root / "inputs/model/model.onnx").write_bytes(np.random.default_rng(1).bytes(10_000))


def lfs_pointer(root: Path) -> None:
    (root / "inputs/model/model.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def missing(root: Path) -> None:
    (root / "inputs/model/model.onnx").unlink()


def external_data(root: Path) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 64]) for name in ("x", "y")]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], np.zeros(4096, np.float32).tobytes(), raw=True)
    write(
        root, helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weights])
    )
    path = root / "inputs/model/model.onnx"
    save_model(load(path), str(path), save_as_external_data=True, location="weights.bin")


def external_data_in_a_subgraph(root: Path) -> None:
    outside = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    outside.ClearField("float_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../../../etc/passwd")
    branch_output = [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])]
    branch = helper.make_graph([helper.make_node("Constant", [], ["b"], value=outside)], "branch", [], branch_output)
    inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    write(root, helper.make_graph([choice], "g", inputs, outputs))


def opset_too_new(root: Path) -> None:
    write(root, simple_graph("Identity"), opset=999)


def unknown_operator(root: Path) -> None:
    write(root, simple_graph("Launch", "com.example"), domain="com.example")


def no_graph(root: Path) -> None:
    (root / "inputs/model/model.onnx").write_bytes(b"\x08\x09")


def sequence_output(root: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    y = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    write(root, helper.make_graph([helper.make_node("SequenceConstruct", ["x"], ["y"])], "g", [x], [y]))


@pytest.mark.parametrize(
    ("damage", "reason", "finding"),
    [
        pytest.param(a_pickle, "NotONNX", "a Python pickle, which runs code", id="a pickle renamed .onnx"),
        pytest.param(truncated, "ModelTruncated", "damaged inside", id="a truncated file"),
        pytest.param(empty, "NotONNX", "is empty", id="an empty file"),
        pytest.param(huge, "ModelTooLarge", "has 2147483648 bytes, at most", id="a file of 2 GiB"),
        pytest.param(write_noise, "NotONNX", "is not an ONNX model", id="random bytes"),
        pytest.param(lfs_pointer, "NotONNX", "a Git LFS pointer", id="a Git LFS pointer"),
        pytest.param(no_graph, "NotONNX", "holds no ONNX graph", id="a model without a graph"),
        pytest.param(missing, "ModelMissing", "model.onnx is not in the artifact", id="no file"),
        pytest.param(external_data, "ExternalData", "stores weights in other files", id="external data"),
        pytest.param(external_data_in_a_subgraph, "ExternalData", "other files", id="external data deep inside"),
        pytest.param(opset_too_new, "ModelNotLoadable", "cannot load model.onnx", id="an opset too new"),
        pytest.param(unknown_operator, "ModelNotLoadable", "cannot load model.onnx", id="an unknown operator"),
        pytest.param(sequence_output, "UnsupportedType", "output 'y'", id="an output that is no tensor"),
    ],
)
def test_a_model_that_can_never_be_served_is_refused(
    root: Path, damage: Callable[[Path], None], reason: str, finding: str
) -> None:
    damage(root)
    write_params(root, BROUGHT)

    with pytest.raises(ModelRefused) as refused:
        verify(root)

    assert refused.value.reason == reason
    assert finding in str(refused.value)
    assert not (root / "outputs/metrics.json").exists()


def test_a_refusal_is_the_termination_message_and_exit_2(root: Path) -> None:
    a_pickle(root)

    assert run(root, BROUGHT) == 2

    message = read(root / "termination")
    assert message.keys() == {"reason", "message"}
    assert message["reason"] == "NotONNX"
    assert not (root / "outputs/metrics.json").exists()
    assert not (root / "pickle-was-run").exists()


def edit_json(name: str, edit: Callable[[Any], None]) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / "inputs/model" / name
        document = read(path)
        edit(document)
        path.write_text(json.dumps(document))

    return change


def test_an_artifact_needs_no_signature(root: Path) -> None:
    (root / "inputs/model/signature.json").unlink()
    write_params(root, TRAINED)

    verify(root)

    assert read(root / "outputs/facts.json")["signature"]["inputs"]


@pytest.mark.parametrize(
    ("damage", "params", "reason", "finding"),
    [
        pytest.param(
            edit_json("signature.json", lambda s: s["inputs"].pop()),
            TRAINED,
            "SignatureMismatch",
            "inputs 'carrier' is only in the model",
            id="an input not in the signature",
        ),
        pytest.param(
            edit_json("signature.json", lambda s: s["outputs"][0].update(datatype="BYTES")),
            TRAINED,
            "SignatureMismatch",
            "outputs 'label' is",
            id="another datatype",
        ),
        pytest.param(
            edit_json("golden.json", lambda g: g["inputs"].update(month=[1] * 20)),
            TRAINED,
            "GoldenMismatch",
            "by golden.json; this is not the model that gave these outputs, its converter changed it, or this runtime computes it differently; train and register it again; or, for a model that was made elsewhere,",
            id="golden rows answered otherwise",
        ),
        pytest.param(
            lambda root: None, TRAINED | {"format": "Pickle"}, "FormatNotAllowed", "the only one is ONNX", id="format"
        ),
        pytest.param(
            lambda root: None, BROUGHT | {"path": "../../params.json"}, "PathInvalid", "leaves the artifact", id="path"
        ),
    ],
)
def test_an_artifact_that_contradicts_itself_is_refused(
    root: Path, damage: Callable[[Path], None], params: dict[str, Any], reason: str, finding: str
) -> None:
    damage(root)
    write_params(root, params)

    with pytest.raises(ModelRefused) as refused:
        verify(root)

    assert refused.value.reason == reason
    assert finding in str(refused.value)
    assert not (root / "outputs/metrics.json").exists()
