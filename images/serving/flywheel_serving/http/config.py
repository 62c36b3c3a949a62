"""The address and bounds of the HTTP server."""

import argparse
from dataclasses import dataclass
from functools import cached_property

from flywheel_serving.flag_types import address, non_negative_seconds, positive_int

# All bodies together may be as large as so many bodies of the largest size.
BUFFERED_BODIES = 16
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class HttpLimits:
    """Bounds that keep one client from harming the others."""

    body_bytes: int = 16 * MEBIBYTE
    connections: int = 4096
    request_seconds: float = 30.0  # from a request's first byte to its last, and for a client to read its response
    idle_seconds: float = 75.0  # between requests of one connection

    @cached_property
    def buffered_bytes(self) -> int:
        """Of all bodies being received or answered and of unread responses, over all connections."""
        return max(BUFFERED_BODIES * self.body_bytes, MEBIBYTE)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the address and of `HttpLimits`."""
    group, limits = parser.add_argument_group("HTTP"), HttpLimits()
    port = "address of REST; port 0 takes a free one"
    group.add_argument("--http", type=address, default=("127.0.0.1", 8080), metavar="HOST:PORT", help=port)
    health = "address of a second port with /v2/health/live and /v2/health/ready alone; off without this flag"
    group.add_argument("--health", type=address, metavar="HOST:PORT", help=health)
    for flag, field, kind, text in (
        ("--max-body-bytes", "body_bytes", positive_int, "largest request, REST and gRPC"),
        ("--max-connections", "connections", positive_int, "most connections at once"),
        ("--request-seconds", "request_seconds", non_negative_seconds, "time for a client to send a request"),
        ("--idle-seconds", "idle_seconds", non_negative_seconds, "time between two requests of a connection"),
    ):
        group.add_argument(flag, dest=field, type=kind, default=getattr(limits, field), help=text)
