"""Predictions by a service, and rows to and from its format."""

import csv
import io
import json
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flywheel.client.errors import FlywheelError
from flywheel.client.transport.endpoints import Endpoint, HTTPRequest
from flywheel.client.transport.reader import read_bounded, response_error
from flywheel.client.transport.request_retries import open_response

if TYPE_CHECKING:
    import pandas as pd
    from urllib3 import BaseHTTPResponse

Rows = Sequence[Mapping[str, Any]]
MAX_ROWS = 10_000  # of one request, as the server has it
MAX_REQUEST_BYTES = 2 << 20  # half of what a server of 512Mi decodes as JSON
MAX_RESPONSE_BYTES = 256 << 20
UNREACHABLE = (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
PREDICT_SECONDS = 90.0  # a computation may take 60 s by default


@dataclass(frozen=True)
class Prediction:
    """The predictions of one request's rows, and the version that made them."""

    model_version: str
    predictions: Rows


@dataclass(frozen=True)
class CsvRows:
    """Rows of CSV. The server gives the cells the types of the model's inputs; an empty one is missing."""

    columns: Sequence[str]
    cells: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Body:
    """The body of one request."""

    content: bytes
    content_type: str
    rows: int


@dataclass(frozen=True)
class Predictor:
    """A service that is reached at an endpoint. `version` is the ModelVersion that should respond; a rollout may send rows to another.

    `condition` is the service's, which an error has where the service was not ready. `renew` is called after a token was not accepted,
    before the one other attempt.
    """

    endpoint: Endpoint
    service: str
    version: str | None = None
    condition: Mapping[str, Any] = field(default_factory=dict)
    renew: Callable[[], None] = lambda: None
    sleep: Callable[[float], None] = time.sleep

    def predict(self, rows: "Rows | pd.DataFrame") -> "list[Mapping[str, Any]] | pd.DataFrame":
        """Returns one prediction for each row, in their order: a DataFrame with the same index for a DataFrame, else a list of objects.

        Rows are sent in requests of at most 10,000 rows and 2 MiB. `attrs["model_versions"]` of a DataFrame has the versions that responded.
        """
        if isinstance(rows, Sequence) and all(isinstance(each, Mapping) for each in rows):
            return self.predict_rows(rows)
        if isinstance(rows, Sequence) or not hasattr(rows, "to_dict"):
            raise FlywheelError(
                f"rows must be a DataFrame or a list of objects such as [{{'month': 1}}], not {type(rows).__name__}",
                reason="BadRow",
            )
        records = rows.to_dict(orient="records")
        found = list(self._request_all(records))
        return _to_frame(found, rows.index)

    def predict_rows(self, rows: Rows | CsvRows) -> list[Mapping[str, Any]]:
        """Returns one prediction for each row, in their order."""
        return [each for found in self._request_all(rows) for each in found.predictions]

    def _request_all(self, rows: Rows | CsvRows) -> Iterator[Prediction]:
        for body in encode_csv(rows) if isinstance(rows, CsvRows) else encode_json(rows):
            found = self._request(body)
            if len(found.predictions) != body.rows:
                raise FlywheelError(
                    f"InferenceService '{self.service}' returned {len(found.predictions)} predictions for {body.rows} rows; see its log",
                    reason="Garbled",
                )
            if self.version is not None and found.model_version not in ("", self.version):
                message = f"ModelVersion '{found.model_version}' made these predictions, not '{self.version}': a rollout of InferenceService '{self.service}' is in progress"
                warnings.warn(message, stacklevel=4)
            yield found

    def _request(self, body: Body) -> Prediction:
        """Sends the rows; once more with a new token where one was not accepted, and again where a busy service says after how many seconds."""
        path, headers = f"/v2/models/{quote(self.service, safe='')}/predict", {"Content-Type": body.content_type}
        request = HTTPRequest("POST", path, headers=headers, body=body.content, read_seconds=PREDICT_SECONDS)
        with open_response(self.endpoint, request, self.renew, self.sleep) as response:
            return self._read_prediction(response)

    def _read_prediction(self, response: "BaseHTTPResponse") -> Prediction:
        if response.status != HTTPStatus.OK:
            raise self._with_condition(response_error(response, f"InferenceService '{self.service}'"))
        raw = read_bounded(response, MAX_RESPONSE_BYTES, self.endpoint.place)
        try:
            found = json.loads(raw)
            return Prediction(str(found.get("model_version", "")), list(found["predictions"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FlywheelError(f"{self.endpoint.place}: the response has no predictions", reason="Garbled") from None

    def _with_condition(self, error: FlywheelError) -> FlywheelError:
        """Returns the error of a service that cannot be reached with the reason that its condition gives."""
        if error.status not in UNREACHABLE or self.condition.get("status") in (None, "True"):
            return error
        message = f"{error.message}. InferenceService '{self.service}': {self.condition.get('message')}"
        return FlywheelError(message, reason=error.reason, status=error.status, condition=self.condition)


def encode_json(rows: Rows) -> Iterator[Body]:
    """Yields requests with these rows as JSON, each within the limits of a server."""
    texts = (
        json.dumps(
            {str(name): to_json_value(value) for name, value in row.items()}, ensure_ascii=False, allow_nan=False
        )
        for row in rows
    )
    for batch in _batches(texts):
        yield Body(('{"rows":[' + ",".join(batch) + "]}").encode(), "application/json", len(batch))


def encode_csv(rows: CsvRows) -> Iterator[Body]:
    """Yields requests with these rows as CSV, each with the header and within the limits of a server."""
    header = _csv_line(rows.columns)
    for batch in _batches(_csv_line(cells) for cells in rows.cells):
        yield Body((header + "".join(batch)).encode(), "text/csv", len(batch))


def to_json_value(value: Any) -> Any:
    """Returns a cell as JSON has it: null for a missing one, RFC 3339 for a timestamp, Python's numbers for NumPy's.

    Raises:
        FlywheelError: the value is infinite, or of a type that no column has.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return None if math.isnan(value) else _finite(value)
        case datetime() | date():
            # pandas' NaT is a datetime that equals nothing.
            return value.isoformat() if value == value else None
        case list() | tuple():
            return [to_json_value(each) for each in value]
        case Mapping():
            raise FlywheelError(
                f"{value!r} is no value of a column; give numbers, texts, timestamps or lists of them", reason="BadRow"
            )
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    for convert in ("tolist", "item"):  # arrays and scalars of NumPy
        if hasattr(value, convert):
            return to_json_value(getattr(value, convert)())
    raise FlywheelError(
        f"{value!r} is no value of a column; give numbers, texts, timestamps or lists of them", reason="BadRow"
    )


def flatten_prediction(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a prediction as one row: an output by class becomes the columns `<output>.<class>`."""
    row: dict[str, Any] = {}
    for name, value in prediction.items():
        if isinstance(value, Mapping):
            row.update({f"{name}.{key}": each for key, each in value.items()})
        else:
            row[name] = value
    return row


def _to_frame(found: Sequence[Prediction], index: Any) -> "pd.DataFrame":
    import pandas

    table = pandas.DataFrame([flatten_prediction(each) for one in found for each in one.predictions], index=index)
    table.attrs["model_versions"] = sorted({each.model_version for each in found})
    return table


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yields rows in groups that one request may have."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == MAX_ROWS or size + len(text) > MAX_REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _csv_line(cells: Sequence[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def _finite(value: float) -> float:
    if math.isinf(value):
        raise FlywheelError(
            "a row has an infinite value, which no model takes; replace it, or leave the cell empty", reason="BadRow"
        )
    return value
