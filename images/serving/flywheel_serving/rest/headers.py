"""The headers of an inference request."""

from flywheel_serving.errors import InvalidRequest, UnsupportedEncoding
from flywheel_serving.model.tensors import JSON_LENGTH_HEADER
from flywheel_serving.rest.codec import BINARY_MEDIA_TYPE

# The milliseconds that the client still waits, as Envoy and the meshes built on it pass them on.
TIMEOUT_HEADER = b"x-envoy-expected-rq-timeout-ms"
MAX_DIGITS = 12
CSV_MEDIA_TYPE = b"text/csv"
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
    _check_encoding(headers)
    json_length = _json_length(headers)
    media_type = _media_type(headers)
    if not _may_be_json(media_type):
        raise _wrong_media_type("application/json" if json_length is None else BINARY_MEDIA_TYPE, media_type)
    return json_length, _read_timeout(headers)


def parse_for_rows(headers: dict[bytes, bytes]) -> tuple[bool, float | None]:
    """(whether the body is CSV, else it is JSON; timeout in seconds if there is one).

    Raises UnsupportedEncoding or InvalidRequest.
    """
    _check_encoding(headers)
    media_type = _media_type(headers)
    is_csv = media_type == CSV_MEDIA_TYPE
    if not is_csv and not _may_be_json(media_type):
        raise _wrong_media_type("application/json or text/csv", media_type)
    return is_csv, _read_timeout(headers)


def _check_encoding(headers: dict[bytes, bytes]) -> None:
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise UnsupportedEncoding(
            f"header 'content-encoding': {encoding[:60]!r} is not supported; send the body uncompressed"
        )


def _json_length(headers: dict[bytes, bytes]) -> int | None:
    value = headers.get(JSON_LENGTH_HEADER)
    if value is None:
        return None
    if not value.isdigit() or len(value) > MAX_DIGITS:
        raise InvalidRequest(f"header 'Inference-Header-Content-Length': wanted a whole number, found {value[:60]!r}")
    return int(value)


def _read_timeout(headers: dict[bytes, bytes]) -> float | None:
    value = headers.get(TIMEOUT_HEADER)
    if value is None:
        return None
    if not value.isdigit() or not 0 < len(value) <= MAX_DIGITS:
        name = TIMEOUT_HEADER.decode()
        raise InvalidRequest(f"header {name!r}: wanted a whole number of milliseconds, found {value[:60]!r}")
    return int(value) / 1000


def _media_type(headers: dict[bytes, bytes]) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _may_be_json(media_type: bytes) -> bool:
    """False only for what certainly is not JSON."""
    return media_type in JSON_MEDIA_TYPES or media_type.endswith(b"+json")


def _wrong_media_type(wanted: str, found: bytes) -> UnsupportedEncoding:
    return UnsupportedEncoding(f"header 'content-type': wanted {wanted}, found {found[:60].decode('latin-1')!r}")
