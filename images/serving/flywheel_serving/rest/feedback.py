"""`POST …/feedback`: labels of earlier predictions, for services that log their predictions."""

from collections.abc import Callable

import orjson

from flywheel_serving.errors import NotFound, Overloaded
from flywheel_serving.http.message import Request, Response, SendResponse
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.rest import headers


def handler(dataplane: DataPlane) -> Callable[[Request, SendResponse], None]:
    """Returns the handler of the endpoint, which raises RequestError."""
    return lambda request, send: send(_post_labels(dataplane, request))


def _post_labels(dataplane: DataPlane, request: Request) -> Response:
    """Accepts the labels in the request's body, which are written later."""
    headers.parse(request.headers)
    recorder = dataplane.recorder
    if recorder is not None:
        return Response(
            202, orjson.dumps({"accepted": recorder.add_labels(request.body, request.peer, request.caller)})
        )
    unreadiness = dataplane.unreadiness
    if unreadiness is not None:
        raise Overloaded(unreadiness.message)
    raise NotFound(
        "labels: this service logs no predictions with which a label could be joined; set spec.logging of the InferenceService"
    )
