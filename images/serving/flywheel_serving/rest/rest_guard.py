"""Authentication of REST requests."""

import asyncio
from collections.abc import Callable, Mapping

from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.open_endpoints import OPEN_PATHS, required_verb
from flywheel_serving.auth.verdict import AuthResult, Verdict
from flywheel_serving.http.message import Request, Response, SendResponse, error_response

STATUS = {AuthResult.UNAUTHENTICATED: 401, AuthResult.FORBIDDEN: 403, AuthResult.UNAVAILABLE: 503}
REALM = 'Bearer realm="flywheel"'
# Kubernetes' API server removes `authorization` from what its service proxy forwards, since it holds the credentials for the API server.
TOKEN_HEADERS = (b"authorization", b"x-flywheel-authorization")


def read_authorization(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Returns the value of the first of TOKEN_HEADERS that was sent."""
    return next((headers[name] for name in TOKEN_HEADERS if name in headers), None)


class RestGuard:
    """Runs between an endpoint and its handler."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def check(self, pattern: str, request: Request, send: SendResponse, handle: Callable[[], None]) -> None:
        """Calls `handle` if the request is admitted, at once or later; else sends the refusal."""
        if pattern in OPEN_PATHS:
            handle()
            return
        authorization = read_authorization(request.headers)

        def on_verdict(verdict: Verdict) -> None:
            if verdict.result is AuthResult.ALLOWED:
                request.caller = verdict.caller
                handle()
                return
            response = refusal(verdict, has_token=authorization is not None)
            if seconds := self._authenticator.refusal_delay_seconds(request.peer):
                request.body = b""  # it may be long, and is not needed any more
                asyncio.get_running_loop().call_later(seconds, send, response)
            else:
                send(response)

        verb = required_verb(pattern)
        verdict = self._authenticator.cached_verdict(authorization, verb)
        if verdict is not None:
            on_verdict(verdict)
        elif authorization is not None:
            self._authenticator.request_review(authorization, request.peer, on_verdict, verb)


def refusal(verdict: Verdict, *, has_token: bool) -> Response:
    """The response with the challenge of RFC 6750 §3, which has no error code if no token was sent."""
    headers = {}
    if verdict.result is AuthResult.UNAUTHENTICATED:
        headers = {"www-authenticate": f'{REALM}, error="invalid_token"' if has_token else REALM}
    elif verdict.result is AuthResult.FORBIDDEN:
        headers = {"www-authenticate": f'{REALM}, error="insufficient_scope"'}
    elif verdict.result is AuthResult.UNAVAILABLE:
        headers = {"retry-after": "1"}
    return error_response(STATUS[verdict.result], verdict.message, headers)
