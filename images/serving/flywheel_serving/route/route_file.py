"""Reads route.json (images/README.md, "The route"), and notices when it has changed."""

import argparse
import json
import os
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NoReturn

MAX_FILE_BYTES = 65_536
MAX_TIMEOUT_SECONDS = 60
VERSION = re.compile(r".{1,253}", re.DOTALL)
HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
TEST = re.compile(r"[a-z0-9-]{1,64}")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")  # RFC 9110, token

FileStamp = tuple[int, ...]


class RouteInvalid(ValueError):
    """The file is not a route. The message names the field, what was wanted and what was found."""


@dataclass(frozen=True)
class Challenger:
    """The server of the other version; its responses must name `version`."""

    version: str
    host: str
    port: int


@dataclass(frozen=True)
class Route:
    """`share_hundredths` is in hundredths of a percent, 0 to 10,000; `sticky_header` is a header's name in lower case.

    `test` is the id of an A/B test, whose requests are assigned by the sticky header, or without one by the row's key; empty otherwise.
    """

    mode: Literal["Canary", "Shadow", "ABTest"]
    share_hundredths: int
    challenger: Challenger
    sticky_header: bytes | None
    timeout_seconds: float
    absolute_tolerance: float
    relative_tolerance: float
    test: str = ""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of the route's file."""
    parser.add_argument_group("route").add_argument(
        "--route",
        type=Path,
        default=Path("/etc/flywheel/route/route.json"),
        metavar="FILE",
        help="file that says which requests another version answers; it may be missing, and may change at any time",
    )


class RouteFile:
    """The file at one path, which the kubelet replaces by swapping a symlink above it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_stamp: FileStamp | None = None

    def has_changed(self) -> bool:
        """Whether the file differs from that of the last call (at the first call: whether there is a file)."""
        stamp = self._stamp()
        has_changed, self._last_stamp = stamp != self._last_stamp, stamp
        return has_changed

    def read(self) -> Route | None:
        """The route, or None without one. Raises RouteInvalid, also for a file that cannot be read."""
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RouteInvalid(f"cannot be read: {error.strerror or error}") from error
        return parse_route(content)

    def _stamp(self) -> FileStamp | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116  called four times a second: the cheapest call
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def parse_route(content: bytes) -> Route | None:
    """The route that `content` describes; None for empty content and for `{"v": 1}`. Raises RouteInvalid."""
    if not content.strip():
        return None
    if len(content) > MAX_FILE_BYTES:
        raise RouteInvalid(f"it has more than {MAX_FILE_BYTES} bytes")
    try:
        document = json.loads(content, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RouteInvalid(f"it is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("v") != 1:
        raise RouteInvalid('wanted an object with "v": 1')
    if document.keys() == {"v"}:
        return None
    return _route(document)


def _route(document: dict[str, Any]) -> Route:
    mode = document.get("mode")
    if mode not in ("Canary", "Shadow", "ABTest"):
        raise _wrong("mode", "Canary, Shadow or ABTest", mode)
    challenger = _object(document, "challenger")
    tolerance = _object(document, "tolerance")
    header = _object(document, "sticky").get("header")
    return Route(
        mode=mode,
        share_hundredths=_hundredths(document.get("percent")),
        challenger=Challenger(
            version=_text("challenger.version", "the name of a version", VERSION, challenger.get("version")),
            host=_text("challenger.host", "a host name or an address", HOST, challenger.get("host")),
            port=_port(challenger.get("port")),
        ),
        sticky_header=None
        if header is None
        else _text("sticky.header", "the name of a header", HEADER, header).lower().encode(),
        timeout_seconds=_number(document, "timeoutSeconds", 1.0, MAX_TIMEOUT_SECONDS, positive=True),
        absolute_tolerance=_number(tolerance, "absolute", 1e-6, 1e300),
        relative_tolerance=_number(tolerance, "relative", 1e-3, 1e300),
        test=_text("test", "the id of an A/B test", TEST, document.get("test")) if mode == "ABTest" else "",
    )


def _hundredths(percent: Any) -> int:
    if _is_number(percent) and 0 <= percent <= 100 and percent * 100 == int(percent * 100):
        return int(percent * 100)
    raise _wrong("percent", "a number from 0 to 100 with at most two decimals", percent)


def _text(field: str, wanted: str, pattern: re.Pattern[str], found: Any) -> str:
    if isinstance(found, str) and pattern.fullmatch(found):
        return found
    raise _wrong(field, wanted, found)


def _port(found: Any) -> int:
    if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 65_536:
        return found
    raise _wrong("challenger.port", "a port from 1 to 65535", found)


def _number(document: dict[str, Any], key: str, default: float, maximum: float, *, positive: bool = False) -> float:
    found = document.get(key, default)
    if _is_number(found) and (found > 0 or (found == 0 and not positive)) and found <= maximum:
        return float(found)
    raise _wrong(key, f"a number {'above' if positive else 'from'} 0 and at most {maximum:g}", found)


def _is_number(found: Any) -> bool:
    return isinstance(found, (int, float, Decimal)) and not isinstance(found, bool)


def _object(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    if found is None:
        return {}
    if isinstance(found, dict):
        return found
    raise _wrong(key, "an object", found)


def _wrong(field: str, wanted: str, found: Any) -> RouteInvalid:
    shown = "nothing" if found is None else repr(found if isinstance(found, str) else str(found))[:80]
    return RouteInvalid(f"{field}: wanted {wanted}, found {shown}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")
