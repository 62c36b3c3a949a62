"""Where inference runs: on the event loop while the model is quick and sure to stay so, else in threads."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flywheel_serving.datatypes import Array
from flywheel_serving.errors import RequestError
from flywheel_serving.model import Model

# A hop to a thread and back costs about 0.1 ms on a busy core, several times a small model's own work; a call of 1 ms
# is the longest that other connections are made to wait for.
INLINE_SECONDS = 0.001
INLINE_BYTES = 65_536
# How far the estimate follows a measured time. A preempted or throttled process measures long times that are not the
# model's: those count little, one short time counts much. A model that is slow indeed passes the limit within ten calls.
UP, DOWN = 0.02, 0.5

# Operators whose work follows from the size of their inputs. A model with any other (Loop, Range, Tile, …) may compute
# for minutes on a small input, because a value says how long: it always runs in a thread.
BOUNDED_BY_SIZE = frozenset(
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


Ended = Callable[[list[Array] | RequestError], None]


class Runner:
    """Runs a model's calls, and learns from the small ones how long a small call takes. Belongs to one event loop."""

    def __init__(self, model: Model, threads: int) -> None:
        self._model = model
        self._workers = max(2, threads)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="infer")
        self._under_way = 0  # calls in threads
        self._bounded = model.operators <= BOUNDED_BY_SIZE
        self._small_seconds = INLINE_SECONDS  # until measured, a call goes to the pool

    @property
    def is_full(self) -> bool:
        """Whether a call that needs a thread would have to wait for one."""
        return self._under_way >= self._workers

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way: after a call that ran on the event loop there is none."""
        return self._under_way == 0

    def run(self, feeds: dict[str, Array], outputs: list[str], ended: Ended) -> None:
        """`ended` gets one array for each name in `outputs`, or ModelFailed: at once, or later on the event loop."""
        small = _size(feeds) <= INLINE_BYTES
        if self._bounded and small and self._small_seconds < INLINE_SECONDS:
            ended(self._timed(feeds, outputs, small))
            return
        loop = asyncio.get_running_loop()
        self._under_way += 1

        def back(found: list[Array] | RequestError) -> None:
            self._under_way -= 1
            ended(found)

        def work() -> None:
            found = self._timed(feeds, outputs, small)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(back, found)

        self._pool.submit(work)

    def _timed(self, feeds: dict[str, Array], outputs: list[str], small: bool) -> list[Array] | RequestError:
        start = time.perf_counter()
        try:
            found = self._model.run(feeds, outputs)
        except RequestError as failure:
            return failure
        if small:
            beyond = time.perf_counter() - start - self._small_seconds
            self._small_seconds += (UP if beyond > 0 else DOWN) * beyond
        return found

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _size(feeds: dict[str, Array]) -> int:
    """Bytes of all inputs; a text counts with its length, for a few long texts can be much work."""
    total = 0
    for array in feeds.values():
        total += array.nbytes
        if array.dtype.kind == "O" and total <= INLINE_BYTES:
            total += sum(map(len, array.ravel()))
    return total
