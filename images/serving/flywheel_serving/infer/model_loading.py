"""Loads the model where it may be computed: in the server's own process, or in workers."""

from dataclasses import dataclass

from flywheel_serving.infer.config import InferConfig, Limits
from flywheel_serving.infer.runner import Concurrency
from flywheel_serving.memory import resident_bytes
from flywheel_serving.model.cpu_limit import cpu_limit
from flywheel_serving.model.graph import add_class_names, read_graph
from flywheel_serving.model.loaded_model import LoadedModel
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.row_independence.proof import graph_row_mixing
from flywheel_serving.workers.isolated_model import IsolatedModel
from flywheel_serving.workers.kernels import unsafe_operator
from flywheel_serving.workers.memory_share import MIN_CALL_BYTES

SERVER_MEMORY_FRACTION = (
    1 / 8
)  # of the container's memory is the server's, besides what it has before the model is loaded


@dataclass(frozen=True)
class Loading:
    """A loaded model, and how it may be called.

    `isolated` is the model if it is computed in workers, because of `isolated_operator`; `row_mixing` says why its graph does not
    prove that rows are independent, empty if it does.
    """

    model: LoadedModel
    concurrency: Concurrency
    isolated: IsolatedModel | None
    isolated_operator: str
    row_mixing: str


def load_model(config: InferConfig) -> Loading:
    """Loads the model into this process if all of its kernels are safe there, else into workers. Raises ModelRefused."""
    path, threads, limits = config.folder / "model.onnx", config.threads or cpu_limit(), config.limits
    graph, classes = read_graph(path)
    operator, row_mixing = unsafe_operator(graph), graph_row_mixing(graph)
    del graph  # as large as the model, which is loaded next
    max_output_bytes, memory_bytes, seconds = limits.max_output_bytes, _model_memory(limits), limits.run_seconds
    if operator:
        isolated = IsolatedModel(
            path, threads, max_workers=limits.workers, memory_bytes=memory_bytes, max_output_bytes=max_output_bytes
        )
        isolated.signature = add_class_names(isolated.signature, classes)
        max_calls, lease, restore = isolated.max_workers, isolated.lease, isolated.restore
        concurrency = Concurrency(max_calls, seconds, inline=False, lease=lease, restore=restore)
        return Loading(isolated, concurrency, isolated, operator, row_mixing)
    model = OnnxModel(path, threads, is_checked=True, max_output_bytes=max_output_bytes, max_memory_bytes=memory_bytes)
    model.signature = add_class_names(model.signature, classes)
    concurrency = Concurrency(max(2, threads) + 1, seconds, fixed_row_shape=model.signature.fixed_row_shape)
    return Loading(model, concurrency, None, "", row_mixing)


def _model_memory(limits: Limits) -> int:
    """Bytes that the model may have, in this process or in all workers together.

    At least what a small model needs: in a container that is too small the kernel decides, and no bound keeps the model from loading.
    """
    return max(MIN_CALL_BYTES, limits.memory - resident_bytes() - int(limits.memory * SERVER_MEMORY_FRACTION))
