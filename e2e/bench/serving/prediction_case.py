"""A model, one question to it in each server's words, and whether an answer is right."""

import json
import struct
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2

PATH = "/v2/models/m/infer"
ROWS_PATH = "/v2/models/m/predict"
OWN_PATH = "/infer"  # of servers that do not speak the protocol
RPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
DATATYPES = {"float32": "FP32", "object": "BYTES"}


@dataclass(frozen=True)
class PredictionCase:
    """`rows` for the input `name` of the model in `folder`; `answer`: its numeric outputs by name, as onnxruntime gives them."""

    folder: Path
    name: str
    rows: np.ndarray[Any, Any]
    answer: dict[str, np.ndarray[Any, Any]]

    @property
    def datatype(self) -> str:
        return DATATYPES[str(self.rows.dtype)]

    def json(self) -> bytes:
        """By the protocol."""
        tensor = {"name": self.name, "datatype": self.datatype, "shape": list(self.rows.shape)}
        return json.dumps({"inputs": [{**tensor, "data": self.rows.ravel().tolist()}]}).encode()

    def rows_json(self) -> bytes:
        """Rows by column names, which our server alone takes."""
        rows = [{f"{self.name}_{number}": cell for number, cell in enumerate(row)} for row in self.rows.tolist()]
        return json.dumps({"rows": rows}).encode()

    def own_json(self) -> bytes:
        """For servers with a language of their own: rows of numbers."""
        return json.dumps({"data": self.rows.tolist()}).encode()

    def frame(self) -> bytes:
        """A gRPC message with its prefix, tensors raw, as tritonclient sends them."""
        request: Message = service_pb2.ModelInferRequest(
            model_name="m",
            inputs=[{"name": self.name, "datatype": self.datatype, "shape": list(self.rows.shape)}],
            raw_input_contents=[self._raw()],
        )
        body: bytes = request.SerializeToString()
        return struct.pack(">BI", 0, len(body)) + body

    def _raw(self) -> bytes:
        if self.datatype != "BYTES":
            return self.rows.tobytes()
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in self.rows.ravel())

    def is_right(self, answer: dict[str, Any]) -> bool:
        """Whether a server's JSON says what onnxruntime said."""
        named = {each["name"]: each["data"] for each in answer["outputs"]} if "outputs" in answer else answer
        return all(
            np.allclose(np.array(named[name], float).ravel(), wanted.ravel(), atol=1e-5)
            for name, wanted in self.answer.items()
        )


def asked(folder: Path, name: str, rows: np.ndarray[Any, Any]) -> PredictionCase:
    """The question with its right answer."""
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {name: rows}), strict=True))
    return PredictionCase(folder, name, rows, {name: array for name, array in found.items() if array.dtype.kind != "O"})


def predict(question: PredictionCase, protocol: bool, port: int) -> dict[str, Any]:
    """A server's answer over REST. Raises OSError."""
    path, body = (PATH, question.json()) if protocol else (OWN_PATH, question.own_json())
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        found: dict[str, Any] = json.loads(response.read())
        return found


def wait_for_first_answer(question: PredictionCase, protocol: bool, port: int, patience: float) -> float | None:
    """When (time.monotonic) the server gave its first right answer; None if it did not in time."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            found = predict(question, protocol, port)
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.005)
            continue
        return time.monotonic() if question.is_right(found) else None
    return None


def bare(question: PredictionCase, seconds: float) -> float:
    """The median of one onnxruntime call in this process, in milliseconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(question.folder / "model.onnx"), options)
    names, feeds = list(question.answer), {question.name: question.rows}
    took, end = list[float](), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        session.run(names, feeds)
        took.append(time.perf_counter() - began)
    return float(np.median(took)) * 1000
