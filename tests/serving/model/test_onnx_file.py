"""The guard of model files finds what onnxruntime would find, however the file is encoded."""

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from flywheel_serving.errors import ModelRefused
from flywheel_serving.model import onnx_file
from flywheel_serving.model.onnx_file import read_model
from tests.examples import examples

# A disguise draws from one random source, so that also the smallest model needs many draws.
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.large_base_example]
X = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])


def external(name: str = "w") -> TensorProto:
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def internal(name: str = "w") -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, [1], [2.0])


def model(nodes: list[Any] | None = None, weights: list[Any] | None = None, **more: Any) -> onnx.ModelProto:
    nodes = nodes or [helper.make_node("Add", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", [X], [Y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, **more)


def constant(tensor: TensorProto) -> list[Any]:
    return [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["x", "w"], ["y"])]


def branches(tensor: TensorProto) -> list[Any]:
    out = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    body = helper.make_graph([helper.make_node("Constant", [], ["w"], value=tensor)], "b", [], [out])
    yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    choice = helper.make_node("If", ["yes"], ["w"], then_branch=body, else_branch=body)
    return [yes, choice, helper.make_node("Add", ["x", "w"], ["y"])]


PLACES: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "an initializer": lambda tensor: model(weights=[tensor]),
    "a constant": lambda tensor: model(constant(tensor)),
    "a branch": lambda tensor: model(branches(tensor)),
}


def write_varint(value: int, padding: int) -> bytes:
    """The number in as many bytes as it needs, and `padding` more."""
    value &= 2**64 - 1
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F)
    digits += [0] * min(padding, 10 - len(digits))
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


class Disguise:
    """Encodes a message in unusual ways that protobuf reads as the usual one, or nearly so."""

    def __init__(self, source: random.Random, *, lies: bool) -> None:
        self._random = source
        self._lies = lies  # whether a number is also given another value, before or after its own

    def encode(self, message: Any, depth: int = 0) -> bytes:
        parts = []
        for field, value in message.ListFields():
            values = list(value) if field.is_repeated else [value]
            for each in values:
                parts.append(self._field(field, each, depth))
        self._maybe(lambda: parts.insert(self._random.randrange(len(parts) + 1), self._unknown(depth)))
        return b"".join(parts)

    def _maybe(self, action: Callable[[], object]) -> None:
        if self._random.random() < 0.3:
            action()

    def _varint(self, value: int, most: int = 9) -> bytes:
        return write_varint(value, self._random.randrange(most) if self._random.random() < 0.3 else 0)

    def _tag(self, number: int, wire: int) -> bytes:
        return self._varint(number << 3 | wire, 3)

    def _field(self, field: Any, value: Any, depth: int) -> bytes:
        if field.message_type is not None:
            if not field.is_repeated and self._random.random() < 0.3:  # in two parts, which are merged
                return self._length(field.number, self.encode(value, depth + 1)) + self._length(field.number, b"")
            return self._length(field.number, self.encode(value, depth + 1))
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            return self._length(field.number, value.encode() if isinstance(value, str) else value)
        if field.type == field.TYPE_FLOAT:
            return self._tag(field.number, 5) + struct.pack("<f", value)
        own = self._tag(field.number, 0) + self._varint(int(value))
        if self._lies and not field.is_repeated and self._random.random() < 0.3:
            other = self._tag(field.number, 0) + self._varint(self._random.choice([0, 1, 2**32, 2**32 + 1, 2**63]))
            return other + own if self._random.random() < 0.5 else own + other
        return own

    def _length(self, number: int, content: bytes) -> bytes:
        return self._tag(number, 2) + self._varint(len(content), 3) + content

    def _unknown(self, depth: int) -> bytes:
        inside = self._length(7, b"location") + self._tag(14, 0) + b"\x00"
        return self._random.choice(
            [
                self._tag(1000, 0) + self._varint(self._random.getrandbits(64)),
                self._length(1001, b"\xff\xff\xff"),
                self._tag(1002, 3) + inside + self._tag(1002, 4),  # a group
                self._tag(1003, 5) + b"1234",
            ]
        )


def has_external(message: Any) -> bool:
    """By onnx and its own protobuf library."""
    if isinstance(message, TensorProto):
        return bool(message.external_data) or message.data_location != TensorProto.DEFAULT
    return any(
        has_external(each)
        for field, value in message.ListFields()
        if field.message_type is not None
        for each in (value if field.is_repeated else [value])
    )


def refusal(path: Path) -> str:
    try:
        read_model(path)
    except ModelRefused as error:
        return error.reason
    return ""


def loads(path: Path) -> bool:
    """Whether onnxruntime loads the file; weights.bin lies beside it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # others spin while they wait
    try:
        onnxruntime.InferenceSession(str(path), options)
    except Exception:  # noqa: BLE001  onnxruntime has no common class for its errors
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    (made / "weights.bin").write_bytes(b"\0\0\0\0")
    return made


@pytest.mark.parametrize("place", PLACES)
def test_external_weights_are_loaded_by_onnxruntime_and_refused_here(folder: Path, place: str) -> None:
    path = folder / "model.onnx"
    path.write_bytes(PLACES[place](external()).SerializeToString())

    assert (loads(path), refusal(path)) == (True, "ExternalData")


@settings(max_examples=examples(150, ci=30), deadline=None, suppress_health_check=SUPPRESSED)
@given(place=st.sampled_from(sorted(PLACES)), source=st.randoms(use_true_random=False), lies=st.booleans())
def test_no_encoding_hides_external_weights(folder: Path, place: str, source: random.Random, lies: bool) -> None:
    path = folder / "disguised.onnx"
    content = Disguise(source, lies=lies).encode(PLACES[place](external()))
    path.write_bytes(content)

    # weights.bin is the only source of the weight, so a model that loads has read it.
    assert refusal(path) or not loads(path)


@settings(max_examples=examples(150, ci=30), deadline=None, suppress_health_check=SUPPRESSED)
@given(place=st.sampled_from(sorted(PLACES)), source=st.randoms(use_true_random=False), is_external=st.booleans())
def test_the_guard_finds_what_onnx_finds(folder: Path, place: str, source: random.Random, is_external: bool) -> None:
    path = folder / "read.onnx"
    content = Disguise(source, lies=False).encode(PLACES[place](external() if is_external else internal()))
    path.write_bytes(content)
    try:
        expected = "ExternalData" if has_external(onnx.ModelProto.FromString(content)) else ""
    except DecodeError:
        expected = "ModelTruncated"

    assert refusal(path) == expected


@settings(max_examples=examples(300, ci=70), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_as_onnx_reads_it(folder: Path, data: st.DataObject) -> None:
    path = folder / "damaged.onnx"
    content = bytearray(PLACES["a branch"](external()).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        is_external = has_external(onnx.ModelProto.FromString(bytes(content)))
    except DecodeError:
        is_external = True

    assert refusal(path) or not is_external


def function(name: str, calls: str, times: int) -> Any:
    nodes = [helper.make_node(calls, ["a"], ["a1"], domain="" if calls == "Neg" else "own")]
    nodes += [
        helper.make_node(calls, [f"a{each}"], [f"a{each + 1}"], domain="" if calls == "Neg" else "own")
        for each in range(1, times)
    ]
    return helper.make_function("own", name, ["a"], [f"a{times}"], nodes, [helper.make_opsetid("", 17)])


def nested(depth: int) -> list[Any]:
    nodes = constant(internal())
    for _ in range(depth):
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
        body = helper.make_graph(nodes, "b", [], [out])
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=body)]
    return nodes


def shaped(dims: list[int]) -> TensorProto:
    tensor = internal()
    del tensor.dims[:]
    tensor.dims.extend(dims)
    return tensor


def sparse(dims: list[int]) -> onnx.ModelProto:
    made = model()
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(internal(), helper.make_tensor("", TensorProto.INT64, [1], [0]), dims)
    )
    return made


LAUGHS = [function("f0", "Neg", 10), *(function(f"f{level}", f"f{level - 1}", 10) for level in range(1, 8))]
CIRCLE = [function("f", "g", 1), function("g", "f", 1)]
CALLING = [helper.make_node("f7", ["x"], ["y"], domain="own")]


@pytest.mark.parametrize(
    ("made", "reason", "finding"),
    [
        pytest.param(lambda: model([helper.make_node("Neg", ["x"], ["y"])] * 100_001), "ModelTooLarge", "100001 or more nodes, at most 100000", id="too many nodes"),
        pytest.param(lambda: model(CALLING, functions=LAUGHS), "ModelTooLarge", "or more nodes", id="functions that grow when they are inlined"),
        pytest.param(lambda: model(functions=CIRCLE), "NotONNX", "functions call themselves", id="functions in a circle"),
        pytest.param(lambda: model(nested(20)), "ModelTooLarge", "graphs nested 17 deep, at most 16", id="nested too deep"),
        pytest.param(lambda: model(weights=[shaped([2**40])]), "NotONNX", "1099511627776 values stores 1", id="a shape without values"),
        pytest.param(lambda: model(weights=[shaped([-1])]), "NotONNX", "has the shape [-1]", id="a negative length"),
        pytest.param(lambda: sparse([2**20, 2**20]), "ModelTooLarge", "values in sparse tensors", id="a sparse tensor that is large"),
    ],
)  # fmt: skip
def test_a_model_that_grows_when_it_is_loaded_is_refused(
    tmp_path: Path, made: Callable[[], onnx.ModelProto], reason: str, finding: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(made().SerializeToString())

    with pytest.raises(ModelRefused) as caught:
        read_model(path)

    assert caught.value.reason == reason
    assert finding in str(caught.value)


def test_usual_models_pass_with_their_operators(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(branches(internal()), functions=[function("f", "Neg", 2)]).SerializeToString())

    assert [node.op_type for node in read_model(path).graph.node] == [b"Constant", b"If", b"Add"]


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(weights=[internal()]).SerializeToString())

    with pytest.raises(ModelRefused, match="at most 10 are accepted"):
        onnx_file.read_model(path, max_bytes=10)
