"""Page tokens: a position in one search, which opens nothing. Each page checks the rights of its caller anew."""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from flywheel_reader.errors import BadRequest

FORMAT = struct.Struct("<BQI16s")
VERSION = 1
MAX_TOKEN_CHARACTERS = 64


@dataclass(frozen=True)
class Position:
    """The offset of the page, and the number of the last record that the first page knew."""

    offset: int
    until: int


def encode_token(position: Position, query: str) -> str:
    """The token of the next page of `query`."""
    packed = FORMAT.pack(VERSION, position.until, position.offset, _query_digest(query))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_token(token: str, query: str) -> Position:
    """The position in `query`. Raises BadRequest for a token of another query, or none of ours."""
    unpacked = _unpack_token(token)
    if unpacked is None or (unpacked[0], unpacked[3]) != (VERSION, _query_digest(query)):
        message = "'page' is not the 'next' of a response to the same query; leave it out to begin with the first page"
        raise BadRequest(message)
    _, until, offset, _ = unpacked
    return Position(offset, min(until, 2**62))


def _query_digest(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:16]


def _unpack_token(token: str) -> tuple[int, int, int, bytes] | None:
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        return None
    try:
        version, until, offset, digest = FORMAT.unpack(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, struct.error, binascii.Error):
        return None
    return version, until, offset, digest
