"""Answers requests about one model: checks them, queues them for the model or a route, and completes them."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_serving import VERSION
from flywheel_serving.errors import DeadlineExceeded, NotFound, Overloaded, RequestError
from flywheel_serving.infer.admission import Admission
from flywheel_serving.infer.batcher import Batcher, BatchItem
from flywheel_serving.infer.config import InferConfig
from flywheel_serving.infer.extensions import Completion, ExplainedResponses, Recorder, Route, RoutedRequest
from flywheel_serving.infer.health_metrics import HealthMetrics
from flywheel_serving.infer.local_model import LocalModel
from flywheel_serving.infer.model_loading import load_model
from flywheel_serving.infer.request_rules import read_outputs
from flywheel_serving.infer.requests import DIRECT, InferRequest, InferResponse, InputLayout, ResponseCallback
from flywheel_serving.infer.runner import ModelResult, Runner
from flywheel_serving.infer.warm_up_calls import run_warm_up_calls
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.model import golden_rows
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.onnx_model import PLATFORM
from flywheel_serving.model.row_comparison import compare_rows
from flywheel_serving.model.warm_up.observation import Observation, observe
from flywheel_serving.model.warm_up.synthetic_rows import synthetic_rows

SERVER = "flywheel-serving"
EXTENSIONS = ["binary_tensor_data", "statistics"]
WARM_UP_SECONDS = 300.0  # for one of its calls: all golden rows at once may take longer than a request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unreadiness:
    """`reason` is CamelCase for conditions; the message has the finding and the next step."""

    reason: str
    message: str


class DataPlane:
    """One loaded model, its readiness, and its bound on requests in flight.

    While `route` is set, it takes all requests; else the local model does.
    """

    def __init__(self, config: InferConfig, metrics: ServerMetrics) -> None:
        """Loads the model; it is ready after `warm_up`. Raises ModelRefused."""
        self.metrics = metrics
        self.name, self.version = config.name, config.version
        self._limits = limits = config.limits
        loading = load_model(config)
        self._model, self._isolated, self._row_mixing = loading.model, loading.isolated, loading.row_mixing
        self.isolated_operator = loading.isolated_operator
        self._runner = Runner(self._model, loading.concurrency)
        self.signature = signature = self._model.signature
        self._admission = Admission(limits.in_flight)
        self._batcher = Batcher(
            self._runner,
            metrics,
            self._admission,
            max_rows=1,  # until the warm-up has shown that rows are independent
            fixed_row_shape=signature.fixed_row_shape,
            wait_seconds=limits.batch_wait_seconds,
            has_row_axis=signature.batched,
        )
        self.local_model = LocalModel(self.name, self.version, signature, self._batcher.submit, limits)
        self._output_specs = self.local_model.output_specs
        self._all_outputs = list(self._output_specs)
        self._recorded_rows = recorded = golden_rows.read_golden_rows(config.folder / "golden.json", signature)
        self._example = (recorded or next(synthetic_rows(signature))).one_row()
        self._is_warm = self._is_draining = False
        self.route: Route | None = None
        self.recorder: Recorder | None = None
        self._keyed_recorder: Recorder | None = None  # the recorder if it keeps a key for each row
        self.explained_responses = ExplainedResponses(self.version)
        metrics.register(self._health_metrics())

    def _health_metrics(self) -> HealthMetrics:
        def unready_reason() -> str:
            unreadiness = self.unreadiness
            return unreadiness.reason if unreadiness else ""

        runner = self._runner
        return HealthMetrics((self.name, self.version), unready_reason, lambda: runner.stuck_calls, runner.ended)

    @property
    def providers(self) -> list[str]:
        """The execution providers that compute, as onnxruntime names them."""
        return self._model.providers

    @property
    def ready(self) -> bool:
        """Whether it has warmed up, is not draining, and can compute."""
        return self.unreadiness is None

    @property
    def unreadiness(self) -> Unreadiness | None:
        """Why it is not ready."""
        if not self._is_warm:
            return Unreadiness("Starting", f"model {self.name!r} is warming up; wait until the warm-up has ended")
        if self._is_draining:
            return Unreadiness("Draining", "the server is stopping; other servers take the requests")
        if self._runner.is_stuck:
            calls, seconds = self._runner.stuck_calls, self._limits.run_seconds
            finding = f"{calls} calls of the model, all that may run, go on after their limit of {seconds:g} s"
            return Unreadiness("ModelStuck", f"{finding}; delete the pod, and bring a model that computes more quickly")
        if self._isolated is not None and self._isolated.is_crashed:
            return Unreadiness(
                "ModelCrashed", "no worker of the model can be started; the log of container 'server' says why"
            )
        return None

    @property
    def ended_calls(self) -> Mapping[str, int]:
        """The number of calls that were ended at their limit (`TimeLimit`), or by a crash of the model runtime (`Crashed`)."""
        return self._runner.ended

    @property
    def in_flight(self) -> int:
        return self.metrics.in_flight

    @property
    def example(self) -> dict[str, Array]:
        """One row that the model accepts, as far as one is known."""
        return self._example

    async def warm_up(self) -> float:
        """Replays the golden rows, or tries synthetic ones, in a thread; the largest difference. Raises ModelRefused."""
        model = self._model
        observed = await asyncio.to_thread(observe, self._recorded_rows, model, WARM_UP_SECONDS)
        self._use_signature(observed)
        if observed.rows is None:
            mixing = self._row_mixing or "no row is known that it takes"
        else:
            self._example = observed.rows.one_row()
            mixing = self._row_mixing or await asyncio.to_thread(compare_rows, observed.rows, model, WARM_UP_SECONDS)
            max_rows = 1 if mixing else self._limits.batch_rows
            await run_warm_up_calls(self._runner, self._example, self._all_outputs, max_rows)
        if mixing:
            log.info("requests do not share calls of the model: %s", mixing)
        else:
            self._batcher.max_rows = self._limits.batch_rows
            self.local_model.rows_are_independent = True
        self._is_warm = True
        return observed.difference

    def _use_signature(self, observed: Observation) -> None:
        """Publishes the observed outputs from now on; no request has been admitted before."""
        if observed.finding:
            log.warning("warm-up: %s", observed.finding)
        self.signature = self._model.signature = observed.signature
        self.local_model.publish(observed.signature)
        self._output_specs = self.local_model.output_specs
        self._all_outputs = list(self._output_specs)

    def set_route(self, route: Route | None) -> None:
        """Gives all requests to `route` from now on, or to the local model if it is None."""
        self.route = route

    def start_recording(self, recorder: Recorder) -> None:
        """Records predictions from now on."""
        self.recorder, self._keyed_recorder = recorder, recorder if recorder.key else None
        self._batcher.on_batch = recorder.count_batch

    def drain(self) -> None:
        """Is not ready from now on. Requests are still answered, since endpoints are withdrawn only a moment later."""
        self._is_draining = True

    def close(self) -> None:
        self._runner.close()
        if self._isolated is not None:
            self._isolated.close()

    def check_model(self, name: str, version: str) -> None:
        """Raises NotFound unless `name` and `version` ("" for any) are served here."""
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
            "inputs": [spec.rest_metadata() for spec in self.signature.inputs],
            "outputs": [spec.rest_metadata() for spec in self.signature.outputs],
        }

    def statistics(self) -> dict[str, Any]:
        return self.metrics.statistics.document(self.name, self.version)

    def admit(self, peer: str) -> None:
        """Call this before decoding a request of the client `peer`. Raises Overloaded or TooManyRequests if it could not be answered."""
        if self._is_warm and self.metrics.in_flight < self._admission.always_admitted:
            return
        try:
            if not self._is_warm:
                raise Overloaded(f"model {self.name!r} is warming up; retry in a second")
            self._admission.check(self.metrics.in_flight, peer)
        except RequestError as error:
            self.metrics.count_failure(error)
            raise

    def submit(self, request: InferRequest, on_response: ResponseCallback) -> None:
        """Calls `on_response` once with the response or the error, at once or later."""
        start, layout, recorder, keyed = time.perf_counter(), request.layout, self.recorder, self._keyed_recorder
        try:
            outputs = read_outputs(request.outputs, self._output_specs) if request.outputs else self._all_outputs
            row_keys = keyed.row_keys(request.tensors, request.parameters) if keyed else None
            if layout is not None and layout.fits:
                feeds, rows = request.tensors, layout.rows
            else:
                feeds, rows = self._fit(request.tensors, layout)
        except RequestError as error:
            self.metrics.count_failure(error)
            on_response(error)
            return
        if request.explain:
            on_response = self.explained_responses.explaining(request, feeds, rows, start, on_response)
        self.metrics.in_flight += 1
        queue_seconds, timeout = self._limits.queue_seconds, request.timeout
        deadline = start + (min(queue_seconds, timeout) if timeout else queue_seconds)
        complete = self._completion(request, start, outputs, on_response)
        item = BatchItem(feeds, outputs, rows, deadline, complete, start, request.peer)
        if feeds is request.tensors:
            item.layout, item.block = layout, request.block
        assignment = None if (route := self.route) is None else route.assign(request, row_keys)
        if recorder and not request.is_forwarded:  # the server that forwarded it records it
            is_sampled, item.counted = recorder.samples(request), route is None  # then the local model alone answers
            if is_sampled or not item.counted:
                item.on_result = complete = recorder.record_on(
                    complete, item, request, row_keys, is_sampled=is_sampled, assignment=assignment
                )
        if route is None:
            self._batcher.submit(item)
        else:
            deadline = start + timeout if timeout else float("inf")
            headers = request.headers or {}
            route.submit(RoutedRequest(item, request.id, headers, request.pinned, deadline, complete, assignment))

    def _fit(self, tensors: dict[str, Array], layout: InputLayout | None) -> tuple[dict[str, Array], int]:
        """What the model takes, and its number of rows."""
        fitted = self.signature.fit(tensors, self._limits.rows)
        rows = len(next(iter(fitted.values()))) if self.signature.batched else 1
        if layout is not None:
            layout.fits = [*fitted] == [*tensors] and all(fitted[name] is tensors[name] for name in fitted)
            layout.rows = rows
        return fitted, rows

    def _completion(
        self, request: InferRequest, start: float, outputs: list[str], on_response: ResponseCallback
    ) -> Completion:
        metrics, queue_seconds, timeout = self.metrics, self._limits.queue_seconds, request.timeout

        def complete(
            result: ModelResult, version: str = self.version, route: str = DIRECT, started: float = start
        ) -> None:
            metrics.in_flight -= 1
            if isinstance(result, RequestError):
                is_late = timeout is not None and time.perf_counter() >= start + timeout
                if isinstance(result, Overloaded) and timeout and is_late and timeout < queue_seconds:
                    finding = f"the request's timeout of {timeout:g} s ended before the model was free"
                    result = DeadlineExceeded(f"{finding}; retry, or raise the timeout", timeout)
                metrics.count_failure(result)
                on_response(result)
                return
            metrics.infer_success += 1
            if version == self.version:  # another version's time is in its own server's histogram
                metrics.infer_seconds.observe(time.perf_counter() - started)
            known = self._output_specs
            specs = known.values() if outputs is self._all_outputs else [known[name] for name in outputs]
            on_response(InferResponse(request.id, list(zip(specs, result, strict=True)), version, route))

        return complete

    async def infer(self, request: InferRequest) -> InferResponse:
        """The response to `request`. Raises RequestError."""
        ended: asyncio.Future[InferResponse | RequestError] = asyncio.get_running_loop().create_future()

        def on_response(response: InferResponse | RequestError) -> None:
            if not ended.done():  # the client may have cancelled
                ended.set_result(response)

        self.submit(request, on_response)
        response = await ended
        if isinstance(response, RequestError):
            raise response
        return response
