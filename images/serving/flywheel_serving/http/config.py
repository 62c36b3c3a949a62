"""The address and bounds of the HTTP server."""

import argparse
from dataclasses import dataclass

from flywheel_serving.flag_types import Address, address, non_negative_seconds, positive_int

MEBIBYTE = 1024 * 1024
# All bodies together may be as large as so many bodies of the largest size.
BUFFERED_BODIES = 16


@dataclass(frozen=True)
class HttpLimits:
    """Bounds that keep one client from harming the others."""

    body_bytes: int = 16 * MEBIBYTE
    buffered_bytes: int = 256 * MEBIBYTE  # all bodies being received or answered, over all connections
    connections: int = 4096
    request_seconds: float = 30.0  # from a request's first byte to its last, and for a client to read its response
    idle_seconds: float = 75.0  # between requests of one connection


@dataclass(frozen=True)
class HttpConfig:
    address: Address
    limits: HttpLimits

    @classmethod
    def from_flags(cls, flags: argparse.Namespace) -> "HttpConfig":
        limits = HttpLimits(
            body_bytes=flags.max_body_bytes,
            buffered_bytes=max(BUFFERED_BODIES * flags.max_body_bytes, MEBIBYTE),
            connections=flags.max_connections,
            request_seconds=flags.request_seconds,
            idle_seconds=flags.idle_seconds,
        )
        return cls(flags.http, limits)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `HttpConfig`."""
    add, limits = parser.add_argument_group("HTTP").add_argument, HttpLimits()
    default, port, seconds = ("127.0.0.1", 8080), "address of REST; port 0 takes a free one", non_negative_seconds
    add("--http", type=address, default=default, metavar="HOST:PORT", help=port)
    add("--max-body-bytes", type=positive_int, default=limits.body_bytes, help="largest request, REST and gRPC")
    add("--max-connections", type=positive_int, default=limits.connections, help="most connections at once")
    add("--request-seconds", type=seconds, default=limits.request_seconds, help="time for a client to send a request")
    add("--idle-seconds", type=seconds, default=limits.idle_seconds, help="time between two requests of a connection")
