"""Runs the model: on the event loop while its calls are known to be short, else in threads."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flywheel_serving.errors import RequestError
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.onnx_model import OnnxModel

# A hop to a thread and back costs about 0.1 ms on a busy core, several times a small model's own work. Other connections
# wait for at most one call of 1 ms.
MAX_INLINE_SECONDS = 0.001
MAX_INLINE_BYTES = 65_536
# Weights of the moving estimate of a call's time. A preempted or throttled process measures long times that are not the
# model's, so long times weigh little and short ones much. A model that is really slow passes the limit within ten calls.
SLOWER_WEIGHT, FASTER_WEIGHT = 0.02, 0.5

# Operators whose work is bounded by the size of their inputs. A model with any other (Loop, Range, Tile, …) may compute
# for minutes on a small input, since an input's value decides how long: it always runs in a thread.
SIZE_BOUNDED_OPERATORS = frozenset(
    """
    Abs Add And ArgMax ArgMin ArrayFeatureExtractor AveragePool BatchNormalization Binarizer Cast Ceil Clip
    Concat Conv DictVectorizer Div Dropout Elu Equal Erf Exp FeatureVectorizer Flatten Floor GRU Gather Gelu
    Gemm GlobalAveragePool Greater GreaterOrEqual Identity Imputer IsInf IsNaN LSTM LabelEncoder
    LayerNormalization LeakyRelu Less LessOrEqual LinearClassifier LinearRegressor Log LogSoftmax MatMul Max
    MaxPool Mean Min Mod Mul Neg Normalizer Not OneHotEncoder Or Pow RNN ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape SVMClassifier SVMRegressor Scaler Selu Shape Sigmoid Sign
    Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Transpose TreeEnsemble TreeEnsembleClassifier
    TreeEnsembleRegressor Unsqueeze Where Xor
    """.split()  # noqa: SIM905  a list would be a page with one word on each line
)

ModelResult = list[Array] | RequestError  # one array for each requested output
ResultCallback = Callable[[ModelResult], None]


class Runner:
    """Runs a model's calls and estimates how long a small call takes. Belongs to one event loop."""

    def __init__(self, model: OnnxModel, threads: int) -> None:
        self._model = model
        self._workers = max(2, threads)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="infer")
        self._calls_in_threads = 0
        self._is_bounded = model.operators <= SIZE_BOUNDED_OPERATORS
        self._small_call_seconds = MAX_INLINE_SECONDS  # until measured, a call goes to the pool

    @property
    def is_full(self) -> bool:
        """Whether a call that needs a thread would have to wait for one."""
        return self._calls_in_threads >= self._workers

    @property
    def is_idle(self) -> bool:
        """Whether no call is running; a call on the event loop has ended by the time this is read."""
        return self._calls_in_threads == 0

    def run(self, feeds: dict[str, Array], outputs: list[str], on_result: ResultCallback) -> None:
        """Gives `on_result` one array for each of `outputs`, or ModelFailed: at once, or later on the event loop."""
        is_small = _input_bytes(feeds) <= MAX_INLINE_BYTES
        if self._is_bounded and is_small and self._small_call_seconds < MAX_INLINE_SECONDS:
            on_result(self._timed_run(feeds, outputs, is_small))
            return
        loop = asyncio.get_running_loop()
        self._calls_in_threads += 1

        def finish(result: ModelResult) -> None:
            self._calls_in_threads -= 1
            on_result(result)

        def work() -> None:
            result = self._timed_run(feeds, outputs, is_small)
            with contextlib.suppress(RuntimeError):  # the loop is closed: no client waits any more
                loop.call_soon_threadsafe(finish, result)

        self._pool.submit(work)

    def _timed_run(self, feeds: dict[str, Array], outputs: list[str], is_small: bool) -> ModelResult:
        start = time.perf_counter()
        try:
            result = self._model.run(feeds, outputs)
        except RequestError as error:
            return error
        if is_small:
            excess = time.perf_counter() - start - self._small_call_seconds
            self._small_call_seconds += (SLOWER_WEIGHT if excess > 0 else FASTER_WEIGHT) * excess
        return result

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _input_bytes(feeds: dict[str, Array]) -> int:
    """Bytes of all inputs; a text counts with its length, since a few long texts can be much work."""
    total = 0
    for array in feeds.values():
        total += array.nbytes
        if array.dtype.kind == "O" and total <= MAX_INLINE_BYTES:
            total += sum(map(len, array.ravel()))
    return total
