"""Labels of drawn rows as requests to the service that logged them."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from urllib.parse import quote

from flywheel.client.errors import FlywheelError
from flywheel.client.labels.queue_file import QueueLabel
from flywheel.client.predictor import Predictor
from flywheel.client.transport.endpoints import HTTPRequest
from flywheel.client.transport.reader import API_SERVER, response_error
from flywheel.client.transport.request_retries import open_response

MAX_LABELS = 1_000  # of one request, as the server has it
MAX_REQUEST_BYTES = 200_000
EARLIER_RELEASE = "unknown 'probability'"  # in the refusal of a server that does not know drawn labels


def feedback_path(service: str) -> str:
    """Returns the path of the endpoint that takes labels."""
    return f"/v2/models/{quote(service, safe='')}/feedback"


def encode_labels(labels: Sequence[QueueLabel]) -> Iterator[str]:
    """Yields the bodies of requests with these labels, each within the limits of a server."""
    batch: list[str] = []
    size = 0
    for each in labels:
        entry = {"id": each.id, "row": each.row, "label": each.label, "probability": each.probability}
        text = json.dumps(entry, ensure_ascii=False)
        if batch and (len(batch) == MAX_LABELS or size + len(text.encode()) > MAX_REQUEST_BYTES):
            yield _body(batch)
            batch, size = [], 0
        batch.append(text)
        size += len(text.encode()) + 1
    if batch:
        yield _body(batch)


def _body(entries: Sequence[str]) -> str:
    return f'{{"labels":[{",".join(entries)}]}}'


def post_labels(
    predictor: Predictor, labels: Sequence[QueueLabel], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Posts the labels. The same label may be posted again, so that a failure in the middle is mended by a second call.

    Raises:
        FlywheelError: the service cannot be reached, or refuses them.
    """
    for body in encode_labels(labels):
        request = HTTPRequest(
            "POST", feedback_path(predictor.service), headers={"Content-Type": "application/json"}, body=body.encode()
        )
        with open_response(predictor.endpoint, request, predictor.renew, sleep) as response:
            if response.status != HTTPStatus.ACCEPTED:
                error = response_error(response, f"InferenceService '{predictor.service}'")
                raise error if lacks_route(error) else _add_next_step(error, predictor.service)


def lacks_route(error: FlywheelError) -> bool:
    """Whether the labels did not reach the service."""
    return error.reason == "Unreachable" or error.details.get("server") == API_SERVER


def _add_next_step(error: FlywheelError, service: str) -> FlywheelError:
    if error.status == HTTPStatus.FORBIDDEN:
        step = "posting labels needs the verb 'label' (ClusterRole flywheel-labeler), or the claims of spec.auth.jwt.labelClaims"
    elif error.status == HTTPStatus.BAD_REQUEST and EARLIER_RELEASE in error.message:
        step = f"its servers are of an earlier release, which an upgrade does not replace: 'kubectl rollout restart deployment' for those of '{service}'"
    else:
        return error
    return FlywheelError(f"{error.message}; {step}", reason=error.reason, status=error.status)
