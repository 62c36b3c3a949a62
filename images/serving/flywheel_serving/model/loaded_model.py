"""What a loaded model offers, wherever it is computed."""

from typing import Protocol

from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import Signature


class LoadedModel(Protocol):
    """A model in this process, or in worker processes. Thread-safe."""

    signature: Signature

    @property
    def providers(self) -> list[str]:
        """The execution providers that compute, as onnxruntime names them."""

    def run(self, feeds: dict[str, Array], outputs: list[str], seconds: float | None = None) -> list[Array]:
        """One array for each of `outputs`. Raises RequestError; TimeLimitExceeded after about `seconds`."""
