"""The headers of an inference request."""

from flywheel_serving.errors import InvalidRequest, UnsupportedEncoding
from flywheel_serving.model.tensors import JSON_LENGTH_HEADER
from flywheel_serving.rest.codec import BINARY_MEDIA_TYPE

# The milliseconds that the client still waits, as Envoy and the meshes built on it pass them on.
TIMEOUT_HEADER = b"x-envoy-expected-rq-timeout-ms"
MAX_DIGITS = 12
# JSON is accepted under every media type that clients send by default.
JSON_MEDIA_TYPES = (
    b"",
    b"application/json",
    b"application/x-www-form-urlencoded",
    b"application/octet-stream",
    b"text/plain",
)


def parse(headers: dict[bytes, bytes]) -> tuple[int | None, float | None]:
    """(length of the JSON part if binary tensors follow it, timeout in seconds if there is one).

    Raises UnsupportedEncoding or InvalidRequest.
    """
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise UnsupportedEncoding(
            f"header 'content-encoding': {encoding[:60]!r} is not supported; send the body uncompressed"
        )
    json_length = _json_length(headers)
    _check_media_type(headers.get(b"content-type"), is_binary=json_length is not None)
    return json_length, _timeout(headers[TIMEOUT_HEADER]) if TIMEOUT_HEADER in headers else None


def _json_length(headers: dict[bytes, bytes]) -> int | None:
    value = headers.get(JSON_LENGTH_HEADER)
    if value is None:
        return None
    if not value.isdigit() or len(value) > MAX_DIGITS:
        raise InvalidRequest(f"header 'Inference-Header-Content-Length': wanted a whole number, found {value[:60]!r}")
    return int(value)


def _timeout(value: bytes) -> float:
    if not value.isdigit() or not 0 < len(value) <= MAX_DIGITS:
        name = TIMEOUT_HEADER.decode()
        raise InvalidRequest(f"header {name!r}: wanted a whole number of milliseconds, found {value[:60]!r}")
    return int(value) / 1000


def _check_media_type(value: bytes | None, *, is_binary: bool) -> None:
    """Refuses only what certainly is not JSON."""
    media_type = (value or b"").partition(b";")[0].strip().lower()
    if media_type in JSON_MEDIA_TYPES or media_type.endswith(b"+json"):
        return
    wanted = BINARY_MEDIA_TYPE if is_binary else "application/json"
    raise UnsupportedEncoding(f"header 'content-type': wanted {wanted}, found {media_type[:60].decode('latin-1')!r}")
