"""The ONNX model itself: loading, its signature, and running it. The server and `verify` use this one class."""

import json
from pathlib import Path
from typing import Any

import onnxruntime

from flywheel_serving import cpu, onnx_file
from flywheel_serving.datatypes import FROM_ONNX, Array
from flywheel_serving.errors import ModelFailed, ModelRefused
from flywheel_serving.signature import Signature, TensorSpec

PLATFORM = "onnx_onnxv1"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
GPU_DEVICE = Path("/dev/nvidiactl")  # is there wherever the node lends this container a GPU of NVIDIA's
SIGNATURE_EXTRA = ("task", "target", "classes", "columns")


class Model:
    """A loaded model. Thread-safe: onnxruntime sessions may run in several threads at once."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads `path`, with `threads` in one call (the CPU limit by default). Raises ModelRefused."""
        onnx_file.check(path)
        self.operators = onnx_file.operators(path)
        self._session = _session(path, threads or cpu.limit())
        inputs = tuple(_spec(arg, "input", path.name) for arg in self._session.get_inputs())
        outputs = tuple(_spec(arg, "output", path.name) for arg in self._session.get_outputs())
        if not inputs or not outputs:
            side = "inputs" if not inputs else "outputs"
            raise ModelRefused(
                "NoTensors", f"{path.name} has no {side}; a served model takes and gives at least one tensor"
            )
        self.signature = Signature(inputs, outputs, _extra(path.parent / "signature.json"))

    @property
    def providers(self) -> list[str]:
        """What computes, first choice first: onnxruntime falls back to the CPU where a GPU turns out not to work."""
        found: list[str] = self._session.get_providers()
        return found

    def run(self, feeds: dict[str, Array], outputs: list[str]) -> list[Array]:
        """One array for each name in `outputs`. `feeds` come from `Signature.fit`. Raises ModelFailed."""
        try:
            results: list[Array] = self._session.run(outputs, feeds)
        except Exception as error:
            raise ModelFailed(f"the model could not compute this input: {_first_line(error)}") from error
        return results


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters arrives as an exception; the rest would break the one-line log
    # Spinning threads burn the cgroup's quota while they wait, and a throttled pod is slower than one that sleeps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=_providers())
    except Exception as error:
        raise ModelRefused(
            "ModelNotLoadable",
            f"onnxruntime {onnxruntime.__version__} cannot load {path.name}: {_first_line(error)}; "
            "export it again with an opset and operators that this version supports",
        ) from error


def _providers() -> list[str]:
    """A GPU, where the image's onnxruntime can use one and the node lends one; always the CPU."""
    has_gpu = CUDA in onnxruntime.get_available_providers() and GPU_DEVICE.exists()
    return [CUDA, CPU] if has_gpu else [CPU]


def _spec(arg: Any, side: str, file: str) -> TensorSpec:
    datatype = FROM_ONNX.get(arg.type)
    if datatype is None:
        raise ModelRefused(
            "UnsupportedType",
            f"{side} {arg.name!r} of {file} is {arg.type}, which the protocol cannot carry; "
            "export tensors only (for scikit-learn: options={'zipmap': False})",
        )
    return TensorSpec(arg.name, datatype, tuple(axis if isinstance(axis, int) else -1 for axis in arg.shape))


def read_signature(path: Path) -> Signature | None:
    """What signature.json says, or None where there is none. Raises ModelRefused if it is not one."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_bytes())
        sides = [
            tuple(TensorSpec(t["name"], t["datatype"], tuple(t["shape"])) for t in document[side])
            for side in ("inputs", "outputs")
        ]
        extra = {key: document[key] for key in SIGNATURE_EXTRA if key in document}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelRefused(
            "SignatureInvalid", f"{path.name} cannot be read: {error!r}; write the artifact again"
        ) from error
    return Signature(sides[0], sides[1], extra)


def _extra(path: Path) -> dict[str, Any]:
    recorded = read_signature(path)
    return recorded.extra if recorded else {}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:500] if lines else type(error).__name__
