"""The headers of an inference request.

Sources: RFC 4180 for `text/csv` (commas), IANA's registration of `text/tab-separated-values`, and the property `delimiter` of W3C's CSVW
("Metadata Vocabulary for Tabular Data", dialect descriptions), which `text/csv` takes here as a parameter: no RFC names one.
"""

import re

from flywheel_serving.errors import InvalidRequest, UnsupportedEncoding
from flywheel_serving.model.tensors import JSON_LENGTH_HEADER
from flywheel_serving.rest.codec import BINARY_MEDIA_TYPE

# The milliseconds that the client still waits, as Envoy and the meshes built on it pass them on.
TIMEOUT_HEADER = b"x-envoy-expected-rq-timeout-ms"
MAX_DIGITS = 12
DELIMITERS = {b"text/csv": ",", b"text/tab-separated-values": "\t"}
# A parameter of a media type is a token or a quoted text (RFC 9110).
DELIMITER_PARAMETER = re.compile(rb';\s*delimiter\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.IGNORECASE | re.DOTALL)
QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
NO_DELIMITERS = '"\r\n'
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


def parse_for_rows(headers: dict[bytes, bytes]) -> tuple[str, float | None]:
    """(delimiter of the cells if the body is CSV, empty if it is JSON; timeout in seconds if there is one).

    Raises UnsupportedEncoding or InvalidRequest.
    """
    _check_encoding(headers)
    media_type = _media_type(headers)
    delimiter = DELIMITERS.get(media_type, "")
    if not delimiter and not _may_be_json(media_type):
        raise _wrong_media_type("application/json, text/csv or text/tab-separated-values", media_type)
    return delimiter and _delimiter(headers[b"content-type"], delimiter), _read_timeout(headers)


def _delimiter(content_type: bytes, default: str) -> str:
    """What the parameter `delimiter` says, else `default`. Raises InvalidRequest unless it is one character of ASCII."""
    found = DELIMITER_PARAMETER.search(content_type)
    if found is None:
        return default
    quoted, token = found.groups()
    value = (token if quoted is None else QUOTED_PAIR.sub(_unescape, quoted)).decode("latin-1")
    if len(value) == 1 and value.isascii() and value not in NO_DELIMITERS:
        return value
    wanted = 'one character, such as text/csv; delimiter=";"'
    raise InvalidRequest(f"header 'content-type': delimiter: wanted {wanted}, found {value[:60]!r}")


def _unescape(pair: re.Match[bytes]) -> bytes:
    return b"\t" if pair[1] == b"t" else pair[1]  # CSVW's documents write a tab as \\t


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
