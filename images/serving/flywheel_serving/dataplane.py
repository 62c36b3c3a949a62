"""Answers requests about one model. Knows no transport: `rest` and `rpc` bring decoded tensors and take arrays back."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel_serving import VERSION, cpu, golden
from flywheel_serving.admission import Admission
from flywheel_serving.batcher import Batcher, Call, Outputs
from flywheel_serving.datatypes import Array
from flywheel_serving.errors import InvalidRequest, Late, NotFound, Overloaded, RequestError
from flywheel_serving.metrics import Metrics
from flywheel_serving.model import PLATFORM, Model
from flywheel_serving.record.order import Order
from flywheel_serving.route.champion import DIRECT, Answer, Asked, Champion
from flywheel_serving.route.router import Router
from flywheel_serving.route.wire import FORWARDED as FORWARDED_HEADER
from flywheel_serving.runner import Runner
from flywheel_serving.settings import Settings
from flywheel_serving.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from flywheel_serving.record.recorder import Recorder
    from flywheel_serving.rest.forms import Form

SERVER = "flywheel-serving"
EXTENSIONS = ["binary_tensor_data", "statistics"]
WARM_UP_CALLS = 5


@dataclass(slots=True)
class InferRequest:
    """Named tensors; `outputs` names the wanted ones, empty for all; `timeout` is how many seconds the client waits.

    `headers` (or gRPC metadata), names in lower case, and `pinned`, whether the client named the version, are for the route.
    Where the inputs are of a known form, `block` has all their numbers, and `tensors` are views of it.
    """

    id: str
    tensors: dict[str, Array]
    outputs: list[str]
    timeout: float | None = None
    parameters: dict[str, Any] | None = None
    size: int = 0  # bytes of the message that it came in
    headers: Mapping[bytes, bytes] | None = None
    pinned: bool = False
    form: "Form | None" = None
    block: Array | None = None


@dataclass(slots=True)
class InferResponse:
    """`version` is who answered; `route` is Direct, Kept, Forwarded or FellBack (`route.champion`)."""

    id: str
    outputs: list[tuple[TensorSpec, Array]]
    version: str
    route: str


Done = Callable[[InferResponse | RequestError], None]


class DataPlane:
    """One loaded model, its readiness, its bound on work in flight."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Loads the model; `warm_up` must follow before it is ready. Raises ModelRefused."""
        self.name, self.version = settings.name, settings.version
        self.metrics = metrics
        self._limits = settings.limits
        threads = settings.threads or cpu.limit()
        self._model = Model(settings.model / "model.onnx", threads)
        self.signature: Signature = self._model.signature
        self._runner = Runner(self._model, threads)
        limits = settings.limits
        self._admission = Admission(limits.in_flight)
        alike, wait = self.signature.alike, limits.batch_wait_seconds
        # One row until the warm-up has shown that rows do not mix.
        self._batcher = Batcher(self._runner, metrics, self._admission, max_rows=1, alike=alike, wait_seconds=wait)
        patience, most = limits.queue_seconds, (limits.in_flight, limits.body_bytes)
        self.router = Router(Champion(self.name, self.version, self.signature, self._batcher.submit, patience, *most))
        metrics.register(self.router.metrics)
        self._specs = {spec.name: spec for spec in self.signature.outputs}
        self._all_outputs = list(self._specs)
        recorded = golden.read(settings.model / "golden.json", self.signature)
        self._golden = recorded or golden.synthesised(self.signature)
        self._warm = False
        self._draining = False
        self.recorder: Recorder | None = None

    @property
    def providers(self) -> list[str]:
        """What computes, as onnxruntime names it."""
        return self._model.providers

    @property
    def ready(self) -> bool:
        """True from the warm-up's answer until draining begins."""
        return self._warm and not self._draining

    @property
    def in_flight(self) -> int:
        return self.metrics.in_flight

    @property
    def example(self) -> dict[str, Array]:
        """One row that the model accepts."""
        return self._golden.one_row()

    async def warm_up(self) -> float:
        """Replays the golden rows (one row of zeros without them); their largest difference. Raises ModelRefused."""
        difference = golden.replay(self._golden, self._model)
        if golden.rows_do_not_mix(self._golden, self._model):
            self._batcher.max_rows = self._limits.batch_rows
            self.router.champion.row_by_row = True
        for _ in range(WARM_UP_CALLS):
            await self._warmed()
        self._warm = True
        return difference

    def start_recording(self, order: Order | None, folder: Path) -> None:
        """From now on answers are logged and counted, if there is an order to do so."""
        if order is not None:
            from flywheel_serving.record.recorder import Recorder  # the start of those who log nothing stays as short

            self.recorder = Recorder(order, folder, self.signature, self.version)
            self.metrics.register(self.recorder.metrics)
            self._batcher.count = self.recorder.count
            self.recorder.start()

    async def _warmed(self) -> None:
        ended: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()
        self._runner.run(self._golden.one_row(), self._all_outputs, ended.set_result)
        await ended

    def drain(self) -> None:
        """Not ready from now on; requests are still answered, for endpoints are withdrawn only a moment later."""
        self._draining = True

    def close(self) -> None:
        self.router.close()
        self._runner.close()

    def check_model(self, name: str, version: str) -> None:
        """Raises NotFound unless `name` and `version` ("" for any) are what is served."""
        if name != self.name:
            raise NotFound(f"model {name[:200]!r} is not served here; this server has {self.name!r}")
        if version not in ("", self.version):
            raise NotFound(
                f"version {version[:200]!r} of model {name!r} is not served here; this server has {self.version!r}"
            )

    def server_metadata(self) -> dict[str, Any]:
        return {"name": SERVER, "version": VERSION, "extensions": EXTENSIONS}

    def model_metadata(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": PLATFORM,
            "inputs": [spec.metadata() for spec in self.signature.inputs],
            "outputs": [spec.metadata() for spec in self.signature.outputs],
        }

    def statistics(self) -> dict[str, Any]:
        return self.metrics.statistics.document(self.name, self.version)

    def admit(self) -> None:
        """Comes before a request is decoded. Raises Overloaded or TooMany if it would not be answered in time anyway."""
        try:
            if not self._warm:
                raise Overloaded(f"model {self.name!r} is warming up; ask again in a second")
            self._admission.check(self.metrics.in_flight)
        except RequestError:
            self.metrics.infer_failure += 1
            raise

    def submit(self, request: InferRequest, done: Done) -> None:
        """`done` gets the answer, or what is wrong, at once or later."""
        start = time.perf_counter()
        recorder = self.recorder
        try:
            outputs = self._wanted(request.outputs) if request.outputs else self._all_outputs
            keys = recorder.keys(request.tensors, request.parameters) if recorder else None
            feeds = self._fit(request.tensors, request.form)
        except RequestError as refusal:
            self.metrics.infer_failure += 1
            done(refusal)
            return
        self.metrics.in_flight += 1
        rows = len(next(iter(feeds.values()))) if self.signature.batched else 1
        patience, timeout = self._limits.queue_seconds, request.timeout
        expires = start + (min(patience, timeout) if timeout else patience)
        answer = self._answering(request, start, outputs, done)
        call = Call(feeds, outputs, rows, expires, answer, start)
        if feeds is request.tensors:
            call.form, call.block = request.form, request.block
        active = self.router.active
        if recorder and not (request.headers and FORWARDED_HEADER in request.headers):  # else its champion records it
            direct = active is None
            call.answer = answer = recorder.recording(call, answer, request.id, request.size, keys, is_direct=direct)
        if active is None:
            self._batcher.submit(call)
        else:
            deadline = start + timeout if timeout else float("inf")
            active.submit(Asked(call, request.id, request.headers or {}, request.pinned, deadline, answer))

    def _fit(self, tensors: dict[str, Array], form: "Form | None") -> dict[str, Array]:
        if form is not None and form.fits:
            return tensors
        fitted = self.signature.fit(tensors, self._limits.rows)
        if form is not None:
            form.fits = [*fitted] == [*tensors] and all(fitted[name] is tensors[name] for name in fitted)
        return fitted

    def _answering(self, request: InferRequest, start: float, outputs: list[str], done: Done) -> Answer:
        metrics, patience, timeout = self.metrics, self._limits.queue_seconds, request.timeout

        def answer(found: Outputs, version: str = self.version, route: str = DIRECT, began: float = start) -> None:
            metrics.in_flight -= 1
            if isinstance(found, RequestError):
                metrics.infer_failure += 1
                done(_late(timeout) if isinstance(found, Overloaded) and timeout and timeout < patience else found)
                return
            metrics.infer_success += 1
            if version == self.version:  # another version's time is in its own server's histogram
                metrics.infer_seconds.observe(time.perf_counter() - began)
            specs = self._specs
            named = [(specs[name], array) for name, array in zip(outputs, found, strict=True)]
            done(InferResponse(request.id, named, version, route))

        return answer

    async def infer(self, request: InferRequest) -> InferResponse:
        """The same for coroutines. Raises a RequestError that says what is wrong."""
        ended: asyncio.Future[InferResponse | RequestError] = asyncio.get_running_loop().create_future()

        def done(found: InferResponse | RequestError) -> None:
            if not ended.done():  # the client may have gone
                ended.set_result(found)

        self.submit(request, done)
        found = await ended
        if isinstance(found, RequestError):
            raise found
        return found

    def _wanted(self, names: list[str]) -> list[str]:
        for name in names:
            if name not in self._specs:
                raise InvalidRequest(
                    f"outputs: unknown {name[:100]!r}; the model gives {', '.join(map(repr, self._specs))}"
                )
        return list(dict.fromkeys(names))


def _late(timeout: float) -> Late:
    return Late(f"the request's time of {timeout:g} s was over before the model was free; ask again, or give it more")
