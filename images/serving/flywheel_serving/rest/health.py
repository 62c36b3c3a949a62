"""Liveness and readiness, on a port of their own too: floods of the public port starve no probe there.

The kubelet's events hold a probe's status code alone, so that code says why a server is not ready:

| | |
|---|---|
| 503 | starting or draining |
| 504 | all calls that may run are stuck: they run on after their time limit |
| 500 | no worker of the model can be started |

A call that was ended at its limit, or that ended its worker, fails one readiness probe with 504 or 500 too, at most once a minute. The
pod stays ready, since it takes several failures in succession, and the kubelet's event tells the operator.
"""

import time
from collections.abc import Callable

import orjson

from flywheel_serving.http.message import Request, Response, SendResponse, error_response
from flywheel_serving.infer.dataplane import DataPlane, Unreadiness

STATUS = {"ModelStuck": 504, "ModelCrashed": 500}
STATUS_OF_ENDED = {"TimeLimit": ("ModelStuck", 504), "Crashed": ("ModelCrashed", 500)}
NOTICE_INTERVAL_SECONDS = 60.0


class HealthProbes:
    """The HTTP application of the health port."""

    def __init__(self, dataplane: DataPlane, clock: Callable[[], float] = time.monotonic) -> None:
        self._dataplane = dataplane
        self._clock = clock
        self._noticed: dict[str, int] = {}  # ended calls of which a probe has told, by cause
        self._noticed_at = float("-inf")

    def __call__(self, request: Request, send: SendResponse) -> None:
        if request.method not in ("GET", "HEAD"):
            send(error_response(405, "only GET is allowed here", {"allow": "GET, HEAD"}))
        elif request.path == b"/v2/health/live":
            send(Response(200, orjson.dumps({"live": True})))
        elif request.path == b"/v2/health/ready":
            send(self._ready())
        else:
            send(error_response(404, "this port has /v2/health/live and /v2/health/ready alone"))

    def _ready(self) -> Response:
        unreadiness = self._dataplane.unreadiness
        if unreadiness is not None:
            return Response(STATUS.get(unreadiness.reason, 503), readiness_body(unreadiness))
        return self._notice() or Response(200, readiness_body(None))

    def _notice(self) -> Response | None:
        """One failure after calls have been ended since the last one."""
        if self._clock() - self._noticed_at < NOTICE_INTERVAL_SECONDS:
            return None
        for cause, count in self._dataplane.ended_calls.items():
            new = count - self._noticed.get(cause, 0)
            if new > 0:
                self._noticed[cause], self._noticed_at = count, self._clock()
                reason, status = STATUS_OF_ENDED[cause]
                message = (
                    f"{new} calls of the model were ended; this one probe fails to tell it, and the server goes on"
                )
                return Response(status, orjson.dumps({"ready": True, "reason": reason, "message": message}))
        return None


def readiness_body(unreadiness: Unreadiness | None) -> bytes:
    """The JSON of a readiness response."""
    if unreadiness is None:
        return orjson.dumps({"ready": True})
    return orjson.dumps({"ready": False, "reason": unreadiness.reason, "message": unreadiness.message})
