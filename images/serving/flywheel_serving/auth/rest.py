"""The gate before the REST routes."""

from collections.abc import Callable

from flywheel_serving.auth import public
from flywheel_serving.auth.gate import Gate
from flywheel_serving.auth.verdict import Outcome, Verdict
from flywheel_serving.http.message import Reply, Request, Response, error

STATUS = {Outcome.UNAUTHENTICATED: 401, Outcome.FORBIDDEN: 403, Outcome.UNAVAILABLE: 503}
REALM = 'Bearer realm="flywheel"'


class RestGuard:
    """Stands between a route and its handler."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def admit(self, pattern: str, request: Request, reply: Reply, handle: Callable[[], None]) -> None:
        """Calls `handle` if the request is let in, now or later; else replies with what is missing."""
        if pattern in public.ROUTES:
            handle()
            return
        authorization = request.headers.get(b"authorization")

        def decided(verdict: Verdict) -> None:
            if verdict.outcome is Outcome.ALLOWED:
                handle()
            else:
                reply(refusal(verdict, sent=authorization is not None))

        known = self._gate.known(authorization)
        if known is not None:
            decided(known)
        elif authorization is not None:
            self._gate.ask(authorization, decided)


def refusal(verdict: Verdict, *, sent: bool) -> Response:
    """With the challenge of RFC 6750 §3; no error code where no token was sent, as it asks."""
    headers = {}
    if verdict.outcome is Outcome.UNAUTHENTICATED:
        headers = {"www-authenticate": f'{REALM}, error="invalid_token"' if sent else REALM}
    elif verdict.outcome is Outcome.FORBIDDEN:
        headers = {"www-authenticate": f'{REALM}, error="insufficient_scope"'}
    elif verdict.outcome is Outcome.UNAVAILABLE:
        headers = {"retry-after": "1"}
    return error(STATUS[verdict.outcome], verdict.message, headers)
