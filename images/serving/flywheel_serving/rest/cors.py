"""Cross-origin requests of browsers (the Fetch standard, "CORS protocol"): refused unless their origin is listed.

Without a listed origin no request passes through `allow_origins`. A preflight carries no credentials, so it is answered here,
before authentication.
"""

import argparse

from flywheel_serving.http.message import Application, Request, Response, SendResponse, error_response

ANY_ORIGIN = "*"
EXPOSED_HEADERS = "inference-header-content-length, retry-after"
ALLOWED_METHODS = "GET, HEAD, POST"
MAX_AGE_SECONDS = 600
# Media types that browsers send to another origin without asking it first.
SIMPLE_MEDIA_TYPES = (b"", b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of the listed origins."""
    parser.add_argument_group("browsers").add_argument(
        "--cors-origin",
        type=_origin,
        action="append",
        default=[],
        help="let scripts of this origin call from a browser (scheme://host[:port], or * for all); may be repeated",
    )


def _origin(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    is_origin = separator and scheme.isalpha() and rest and rest.isascii() and not set(rest) & set("/?#@ ,")
    if text != ANY_ORIGIN and not is_origin:
        raise argparse.ArgumentTypeError(f"{text!r} is not an origin; write for example https://app.example.com, or *")
    return text.lower()


def allow_origins(application: Application, origins: frozenset[str]) -> Application:
    """`application`, with responses that scripts of `origins` may read (scheme://host[:port], or * for all)."""

    def answer(request: Request, send: SendResponse) -> None:
        origin = request.headers.get(b"origin", b"").decode("latin-1")
        allowed = bool(origin) and (origin in origins or ANY_ORIGIN in origins)

        def send_with_origin(response: Response) -> None:
            headers = {**(response.headers or {}), "vary": "origin"}  # for caches: the response depends on that header
            if allowed:
                headers |= {"access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED_HEADERS}
            response.headers = headers
            send(response)

        if request.method == "OPTIONS" and b"access-control-request-method" in request.headers:
            send_with_origin(_preflight(request) if allowed else error_response(403, _refusal(origin)))
        else:
            application(request, send_with_origin)

    return answer


def refusal_of_simple_post(request: Request, origins: frozenset[str]) -> Response | None:
    """403 for a POST that a script or form of another origin sent without a preflight; None for other requests.

    Browsers send such a "simple" request first and only hide its response, so the model would run for any page that a
    user of the network opens. Clients that are no browsers send no header Origin.
    """
    origin = request.headers.get(b"origin", b"").decode("latin-1").lower()
    if request.method != "POST" or not origin or origin in origins or ANY_ORIGIN in origins:
        return None
    media_type = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    host = request.headers.get(b"host", b"").decode("latin-1").lower()
    if media_type not in SIMPLE_MEDIA_TYPES or origin.partition("://")[2] == host:
        return None
    return error_response(403, _refusal(origin))


def _refusal(origin: str) -> str:
    return f"origin {origin[:200]!r} may not call this server from a browser; list it with --cors-origin"


def _preflight(request: Request) -> Response:
    headers = {"access-control-allow-methods": ALLOWED_METHODS, "access-control-max-age": str(MAX_AGE_SECONDS)}
    if requested := request.headers.get(b"access-control-request-headers"):
        headers["access-control-allow-headers"] = requested.decode("latin-1")
    return Response(200, headers=headers)
