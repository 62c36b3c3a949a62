"""Cross-origin requests of browsers (the Fetch standard, "CORS protocol"): refused unless an origin is listed.

Off, this module is not in the way of a request at all. A preflight carries no credentials and is answered here, before
anything that asks who is there.
"""

from flywheel_serving.http.message import Application, Reply, Request, Response, error

ANY = "*"
EXPOSED = "inference-header-content-length, retry-after"
ALLOWED_METHODS = "GET, HEAD, POST"
MAX_AGE_SECONDS = 600


def allow(application: Application, origins: frozenset[str]) -> Application:
    """`application`, with answers that scripts of `origins` may read (scheme://host[:port], or * for all)."""

    def answer(request: Request, reply: Reply) -> None:
        origin = request.headers.get(b"origin", b"").decode("latin-1")
        allowed = bool(origin) and (origin in origins or ANY in origins)

        def readable(response: Response) -> None:
            headers = {**(response.headers or {}), "vary": "origin"}  # for caches: without the header it differs
            if allowed:
                headers |= {"access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED}
            response.headers = headers
            reply(response)

        if request.method == "OPTIONS" and b"access-control-request-method" in request.headers:
            readable(_preflight(request) if allowed else _unknown(origin))
        else:
            application(request, readable)

    return answer


def _unknown(origin: str) -> Response:
    return error(403, f"origin {origin[:200]!r} may not call this server from a browser; list it with --cors-origin")


def _preflight(request: Request) -> Response:
    headers = {"access-control-allow-methods": ALLOWED_METHODS, "access-control-max-age": str(MAX_AGE_SECONDS)}
    if asked := request.headers.get(b"access-control-request-headers"):
        headers["access-control-allow-headers"] = asked.decode("latin-1")
    return Response(200, headers=headers)
