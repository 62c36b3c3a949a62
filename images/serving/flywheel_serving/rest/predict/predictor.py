"""Decodes bodies of rows for one model, and encodes its predictions."""

from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.request_rules import read_timeout
from flywheel_serving.infer.requests import InferRequest, InferResponse
from flywheel_serving.model.signature import Signature
from flywheel_serving.rest.predict import predictions, row_bodies
from flywheel_serving.rest.predict.model_columns import ModelColumns


class Predictor:
    """Reads the signature when the first request has been admitted, since the warm-up decides on the outputs."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane
        self._signature: Signature | None = None
        self._columns: ModelColumns

    def decode(self, body: bytes, delimiter: str = "") -> InferRequest:
        """The request in `body`: CSV with this `delimiter`, JSON if it is empty. Raises InvalidRequest or RequestTooLarge."""
        if self._signature is not self._dataplane.signature:
            self._use_signature(self._dataplane.signature)
        max_rows = self._dataplane.local_model.limits.rows
        rows = row_bodies.read_csv(body, max_rows, delimiter) if delimiter else row_bodies.read_json(body)
        if (packed := self._columns.pack(rows)) is not None:
            tensors, (layout, block) = packed
        else:
            recorder = self._dataplane.recorder
            tensors, layout, block = self._columns.tensors(rows, recorder.key if recorder else ""), None, None
        return InferRequest(
            rows.id,
            tensors,
            [],
            read_timeout(rows.parameters),
            rows.parameters,
            len(body),
            layout,
            block,
        )

    def encode(self, response: InferResponse) -> bytes:
        """The response's body."""
        classes = self._dataplane.local_model.class_names(response.version)
        return predictions.encode(response, classes, self._dataplane.name)

    def _use_signature(self, signature: Signature) -> None:
        self._columns = ModelColumns(signature)
        self._signature = signature  # last: a thread may decode a large body at the same time
