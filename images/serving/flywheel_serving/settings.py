"""The server's flags and limits."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from flywheel_serving.auth import options
from flywheel_serving.record import order
from flywheel_serving.record.order import Order

MEBIBYTE = 1024 * 1024
Address = tuple[str, int]


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from harming the others. Times in seconds."""

    body_bytes: int = 16 * MEBIBYTE
    buffered_bytes: int = 256 * MEBIBYTE  # all bodies being received or answered, over all connections
    rows: int = 10_000
    batch_rows: int = 64
    batch_wait_seconds: float = 0.0  # for a request to wait for others in one call
    in_flight: int = 256
    queue_seconds: float = 5.0  # for a request to wait for the model
    connections: int = 4096
    request_seconds: float = 30.0  # from a request's first byte to its last, and for a client to read its answer
    idle_seconds: float = 75.0  # between requests of one connection


@dataclass(frozen=True)
class Settings:
    model: Path
    name: str
    version: str
    route: Path
    http: Address
    grpc: Address | None
    threads: int | None
    drain_seconds: float
    grace_seconds: float
    limits: Limits
    cors_origins: frozenset[str] = frozenset()
    auth: options.Options | None = None  # None: everybody who reaches the server may ask
    record: Order | None = None


def parse(arguments: list[str] | None = None) -> Settings:
    """Flags as Settings; prints a usage message and exits with 2 if they are wrong."""
    given = _parser().parse_args(arguments)
    limits = Limits(
        body_bytes=given.max_body_bytes,
        buffered_bytes=max(16 * given.max_body_bytes, MEBIBYTE),
        rows=given.max_rows,
        batch_rows=given.max_batch_rows,
        batch_wait_seconds=given.max_batch_wait_seconds,
        in_flight=given.max_in_flight,
        queue_seconds=given.max_queue_seconds,
        connections=given.max_connections,
        request_seconds=given.request_seconds,
        idle_seconds=given.idle_seconds,
    )
    return Settings(
        model=given.model,
        name=given.name or given.model.resolve().name,
        version=given.version,
        route=given.route,
        http=given.http,
        grpc=given.grpc,
        threads=given.threads,
        drain_seconds=given.drain_seconds,
        grace_seconds=given.grace_seconds,
        limits=limits,
        cors_origins=frozenset(given.cors_origin),
        auth=given.auth,
        record=given.record,
    )


def _parser() -> argparse.ArgumentParser:
    limits = Limits()
    parser = argparse.ArgumentParser(
        prog="flywheel_serving",
        description="Serve one ONNX model by the Open Inference Protocol v2.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--model",
        type=Path,
        required=True,
        help="folder with model.onnx, and signature.json and golden.json if there are",
    )
    add("--name", default="", help="the model's name in URLs (default: the folder's name)")
    add("--version", default="1", help="the model's version in URLs")
    add(
        "--route",
        type=Path,
        default=Path("/etc/flywheel/route/route.json"),
        metavar="FILE",
        help="says which requests another version answers; may be missing, and may change at any time",
    )
    add("--http", type=_address, default=("127.0.0.1", 8080), metavar="HOST:PORT", help="REST; port 0 takes a free one")
    add("--grpc", type=_address, default=None, metavar="HOST:PORT", help="gRPC; off where it is left out")
    add(
        "--auth",
        type=options.parse,
        default=None,
        metavar="JSON",
        help='who may ask, such as {"jwt": {"issuer": "https://…", "audiences": ["…"]}}; everybody where it is left out',
    )
    add("--threads", type=_positive, default=None, help="threads of one inference (default: the CPU limit)")
    add("--drain-seconds", type=_seconds, default=5.0, help="keep answering so long after SIGTERM while not ready")
    add("--grace-seconds", type=_seconds, default=20.0, help="then wait so long for requests in flight")
    add("--max-body-bytes", type=_positive, default=limits.body_bytes, help="largest request, REST and gRPC")
    add("--max-rows", type=_positive, default=limits.rows, help="most rows in one request")
    add(
        "--max-batch-rows",
        type=_positive,
        default=limits.batch_rows,
        help="most rows of several requests in one call of the model; 1 for none",
    )
    add(
        "--max-batch-wait-seconds",
        type=_seconds,
        default=limits.batch_wait_seconds,
        help="time for a request to wait for others, so that they fill one call",
    )
    add("--max-in-flight", type=_positive, default=limits.in_flight, help="inferences at once; more are answered 429")
    add(
        "--max-queue-seconds",
        type=_seconds,
        default=limits.queue_seconds,
        help="time for a request to wait for the model; then it is answered 503",
    )
    add("--max-connections", type=_positive, default=limits.connections, help="REST connections at once")
    add("--request-seconds", type=_seconds, default=limits.request_seconds, help="time for a client to send a request")
    add("--idle-seconds", type=_seconds, default=limits.idle_seconds, help="time between two requests of a connection")
    add(
        "--cors-origin",
        type=_origin,
        action="append",
        default=[],
        help="let scripts of this origin call from a browser (scheme://host[:port], or * for all); may be repeated",
    )
    add(
        "--record",
        type=_order,
        default=None,
        metavar="JSON",
        help="log predictions and count requests; images/README.md",
    )
    return parser


def _origin(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if text != "*" and (
        not separator or not scheme.isalpha() or not rest or set(rest) & set("/?#@ ,") or not rest.isascii()
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is not an origin; write for example https://app.example.com, or *")
    return text.lower()


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT; write for example 0.0.0.0:8080")
    return host.strip("[]") or "0.0.0.0", int(port)


def _order(text: str) -> Order:
    try:
        return order.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 86400")
    return value
