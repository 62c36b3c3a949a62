"""An ONNX model in onnxruntime: loading, signature, running."""

import contextlib
import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from flywheel_serving.errors import ModelFailed, ModelRefused, RequestError, RequestTooLarge, TimeLimitExceeded
from flywheel_serving.model import cpu_limit, graph, onnx_file
from flywheel_serving.model.datatypes import DTYPES, ONNX_DATATYPES, Array
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.model.tensors import count_bytes
from flywheel_serving.model.time_limit import Watchdog

PLATFORM = "onnx_onnxv1"
CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
GPU_DEVICE = Path("/dev/nvidiactl")  # exists where the node gives this container an NVIDIA GPU
OUT_OF_MEMORY = (
    "the model needs more memory for this request than a call may have; send fewer rows in each request, "
    "or raise the memory limit of the service (spec.resources.limits.memory)"
)
OUT_OF_MEMORY_FINDINGS = (
    "bad_alloc",
    "bad allocation",
    "Failed to allocate memory",
    "Available memory of",
)  # onnxruntime's
# -1 is onnxruntime's own choice.
DEFAULT_ARENA = {"arena_extend_strategy": -1, "initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
MAX_IR_VERSION, MAX_OPSET = 13, 26  # of the onnxruntime in requirements/serving.txt
LOCALES = ("C.UTF-8", "en_US.UTF-8")  # images/base/Dockerfile
SIGNATURE_EXTRA = ("task", "target", "classes", "columns", "leftOut")


class OnnxModel:
    """A loaded model. Thread-safe: onnxruntime sessions may run in several threads at once."""

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        *,
        is_checked: bool = False,
        max_output_bytes: int | None = None,
        max_memory_bytes: int | None = None,
    ) -> None:
        """Loads `path`, with `threads` in one call (the CPU limit by default). Raises ModelRefused.

        `is_checked`: onnx_file.read_model has accepted the file, so it is not parsed a second time. The outputs of one call may
        have `max_output_bytes`; all models of this process that have such a bound may allocate `max_memory_bytes` of the first.
        """
        self._max_output_bytes = math.inf if max_output_bytes is None else max_output_bytes
        if not is_checked:
            onnx_file.read_model(path)
        threads = threads or cpu_limit.cpu_limit()
        self._session, unranked = _session(path, path.name, threads, max_memory_bytes), frozenset[str]()
        if _needs_graph(self._session):
            model = onnx_file.read_model(path)
            if graph.replace_zipmaps(model):
                self._session = _session(model.SerializeToString(), path.name, threads, max_memory_bytes)
            unranked = graph.unranked_tensors(model)
        self._watchdog = Watchdog()
        inputs = tuple(_spec(arg, "input", path.name, unranked) for arg in self._session.get_inputs())
        outputs = tuple(_spec(arg, "output", path.name, unranked) for arg in self._session.get_outputs())
        if not inputs or not outputs:
            side = "inputs" if not inputs else "outputs"
            raise ModelRefused(
                "NoTensors", f"{path.name} has no {side}; a served model needs at least one input and one output"
            )
        recorded = read_signature(path.parent / "signature.json")
        if recorded:
            contents = {spec.name: spec.content for spec in recorded.inputs}
            inputs = tuple(replace(spec, content=contents.get(spec.name, "")) for spec in inputs)
        self.signature = Signature(inputs, outputs, recorded.extra if recorded else {})

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, first choice first: onnxruntime falls back to the CPU if a GPU fails."""
        providers: list[str] = self._session.get_providers()
        return providers

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself, by keys of whoever wrote it."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feeds: dict[str, Array], outputs: list[str], seconds: float | None = None) -> list[Array]:
        """One array for each of `outputs`. `feeds` come from `Signature.fit`.

        Raises ModelFailed, RequestTooLarge, and TimeLimitExceeded where the call was ended after `seconds`, between two nodes.
        """
        if seconds is not None:
            return self._run_within(seconds, feeds, outputs)
        try:
            results: list[Array] = self._session.run(outputs, feeds)
        except Exception as error:
            raise _model_failed(error) from error
        self._check_size(results)
        return results

    def _check_size(self, results: list[Array]) -> None:
        size = count_bytes(results)
        if size > self._max_output_bytes:
            raise RequestTooLarge(
                f"outputs: {size} bytes in one response, at most {self._max_output_bytes} are sent; "
                "send fewer rows in each request, or name the outputs that you need"
            )

    def _run_within(self, seconds: float, feeds: dict[str, Array], outputs: list[str]) -> list[Array]:
        with self._watchdog.limit(seconds) as options:
            try:
                results: list[Array] = self._session.run(outputs, feeds, options)
            except Exception as error:
                raise (TimeLimitExceeded(seconds) if options.terminate else _model_failed(error)) from error
            self._check_size(results)
            return results


def _model_failed(error: Exception) -> RequestError:
    if isinstance(error, MemoryError) or any(finding in str(error) for finding in OUT_OF_MEMORY_FINDINGS):
        return RequestTooLarge(OUT_OF_MEMORY)
    return ModelFailed(f"the model could not compute this input: {_first_line(error)}")


@cache
def _limit_arena(max_bytes: int) -> None:
    """Bounds what onnxruntime's allocator for the CPU takes from the machine, in this process."""
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    with contextlib.suppress(RuntimeError):  # it has a bound already
        onnxruntime.create_and_register_allocator(
            info, onnxruntime.OrtArenaCfg({**DEFAULT_ARENA, "max_mem": max_bytes})
        )


def _needs_graph(session: Any) -> bool:
    """Whether the session leaves open what a tensor is: it says the same of a scalar and of any rank."""
    tensors = [*session.get_inputs(), *session.get_outputs()]
    return any(not tensor.shape or tensor.type.startswith("seq(map(") for tensor in tensors)


def _session(source: Path | bytes, name: str, threads: int, max_memory_bytes: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors arrive as exceptions; other output would break the JSON log
    # Spinning threads burn the cgroup's quota while they wait, and a throttled pod is slower than one that sleeps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if max_memory_bytes is not None:
        _limit_arena(max_memory_bytes)
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        model = source if isinstance(source, bytes) else str(source)
        return onnxruntime.InferenceSession(model, options, providers=_providers())
    except Exception as error:
        finding = _first_line(error)
        raise ModelRefused(
            "ModelNotLoadable",
            f"onnxruntime {onnxruntime.__version__} cannot load {name}: {finding}; {_load_advice(finding)}",
        ) from error


def _load_advice(finding: str) -> str:
    lower = finding.lower()
    if "ir version" in lower or "opset" in lower:
        newest = f"IR version {MAX_IR_VERSION} and opset {MAX_OPSET}"
        return (
            f"this version loads models up to {newest}: save it with onnx.save after model.ir_version = {MAX_IR_VERSION}, "
            f"or export it with an opset of at most {MAX_OPSET}"
        )
    if "locale" in lower:
        return f"the image has the locales {', '.join(LOCALES)}: export the model with one of them, such as C.UTF-8"
    return "export it again with an opset and operators that this version supports"


def _providers() -> list[str]:
    """The GPU if the image's onnxruntime supports it and the node has one; always the CPU."""
    has_gpu = CUDA_PROVIDER in onnxruntime.get_available_providers() and GPU_DEVICE.exists()
    return [CUDA_PROVIDER, CPU_PROVIDER] if has_gpu else [CPU_PROVIDER]


def _spec(arg: Any, side: str, file: str, unranked: frozenset[str]) -> TensorSpec:
    datatype = ONNX_DATATYPES.get(arg.type)
    if datatype is None:
        raise ModelRefused("UnsupportedType", f"{side} {arg.name!r} of {file} is {arg.type}, {_type_advice(arg.type)}")
    if arg.name in unranked:
        return TensorSpec(arg.name, datatype, (-1,), any_rank=True)
    return TensorSpec(arg.name, datatype, tuple(axis if isinstance(axis, int) else -1 for axis in arg.shape))


def _type_advice(onnx_type: str) -> str:
    if onnx_type.startswith("tensor("):
        types = f"which the protocol has no datatype for; it has {', '.join(DTYPES)}"
        return f"{types}: export it as FP32 (float), with a Cast inside the graph where the model computes otherwise"
    return "which is no tensor; export tensors only (for scikit-learn: options={'zipmap': False})"


def read_signature(path: Path) -> Signature | None:
    """The signature in signature.json, or None without a file. Raises ModelRefused if it cannot be read."""
    if not path.is_file():
        return None
    try:
        return parse_signature(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelRefused(
            "SignatureInvalid", f"{path.name} cannot be read: {error!r}; write the artifact again"
        ) from error


def parse_signature(document: dict[str, Any]) -> Signature:
    """The signature of `Signature.document`. Raises KeyError or TypeError if it is none."""
    sides = [
        tuple(
            TensorSpec(t["name"], t["datatype"], tuple(t["shape"]), bool(t.get("anyRank")), str(t.get("content") or ""))
            for t in document[side]
        )
        for side in ("inputs", "outputs")
    ]
    extra = {key: document[key] for key in SIGNATURE_EXTRA if key in document}
    return Signature(sides[0], sides[1], extra)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:500] if lines else type(error).__name__
