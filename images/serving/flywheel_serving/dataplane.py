"""Answers requests about one model. Knows no transport: `rest` and `rpc` bring decoded tensors and take arrays back."""

import time
from dataclasses import dataclass
from typing import Any

from flywheel_serving import VERSION, cpu, golden
from flywheel_serving.datatypes import Array
from flywheel_serving.errors import InvalidRequest, NotFound, Overloaded
from flywheel_serving.metrics import Metrics
from flywheel_serving.model import PLATFORM, Model
from flywheel_serving.runner import Runner
from flywheel_serving.settings import Settings
from flywheel_serving.signature import Signature, TensorSpec

SERVER = "flywheel-serving"
EXTENSIONS = ["binary_tensor_data"]
WARM_UP_CALLS = 5


@dataclass(frozen=True, slots=True)
class InferRequest:
    """Named tensors; `outputs` names the wanted ones, empty for all."""

    id: str
    tensors: dict[str, Array]
    outputs: list[str]


@dataclass(frozen=True, slots=True)
class InferResponse:
    id: str
    outputs: list[tuple[TensorSpec, Array]]


class DataPlane:
    """One loaded model, its readiness, its bound on work in flight."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Loads the model; `warm_up` must follow before it is ready. Raises ModelRefused."""
        self.name, self.version = settings.name, settings.version
        self.metrics = metrics
        self._limits = settings.limits
        threads = settings.threads or cpu.limit()
        self._model = Model(settings.model / "model.onnx", threads)
        self._runner = Runner(self._model, threads)
        self._specs = {spec.name: spec for spec in self.signature.outputs}
        self._all_outputs = list(self._specs)
        recorded = golden.read(settings.model / "golden.json", self.signature)
        self._golden = recorded or golden.synthesised(self.signature)
        self._warm = False
        self._draining = False
        self._in_flight = 0

    @property
    def signature(self) -> Signature:
        return self._model.signature

    @property
    def ready(self) -> bool:
        """True from the warm-up's answer until draining begins."""
        return self._warm and not self._draining

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def example(self) -> dict[str, Array]:
        """One row that the model accepts."""
        return self._golden.one_row()

    async def warm_up(self) -> float:
        """Replays the golden rows (one row of zeros without them); their largest difference. Raises ModelRefused."""
        difference = golden.replay(self._golden, self._model)
        for _ in range(WARM_UP_CALLS):
            await self._runner.run(self._golden.one_row(), self._all_outputs)
        self._warm = True
        return difference

    def drain(self) -> None:
        """Not ready from now on; requests are still answered, for endpoints are withdrawn only a moment later."""
        self._draining = True

    def close(self) -> None:
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

    async def infer(self, request: InferRequest) -> InferResponse:
        """Raises a RequestError that says what is wrong."""
        start = time.perf_counter()
        self._admit()
        try:
            outputs = self._wanted(request.outputs)
            feeds = self.signature.fit(request.tensors, self._limits.rows)
            arrays = await self._runner.run(feeds, outputs)
        except BaseException:
            self.metrics.infer_failure.inc()
            raise
        finally:
            self._in_flight -= 1
            self.metrics.in_flight.dec()
        self.metrics.infer_success.inc()
        self.metrics.infer_seconds.observe(time.perf_counter() - start)
        return InferResponse(
            request.id, [(self._specs[name], array) for name, array in zip(outputs, arrays, strict=True)]
        )

    def _admit(self) -> None:
        if not self._warm:
            raise Overloaded(f"model {self.name!r} is warming up; ask again in a second")
        if self._in_flight >= self._limits.in_flight:
            self.metrics.infer_failure.inc()
            raise Overloaded(f"{self._in_flight} inferences are under way, the limit; ask again in a second")
        self._in_flight += 1
        self.metrics.in_flight.inc()

    def _wanted(self, names: list[str]) -> list[str]:
        for name in names:
            if name not in self._specs:
                raise InvalidRequest(
                    f"outputs: unknown {name[:100]!r}; the model gives {', '.join(map(repr, self._specs))}"
                )
        return list(dict.fromkeys(names)) or self._all_outputs
