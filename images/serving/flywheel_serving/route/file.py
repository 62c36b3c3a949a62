"""What route.json says (images/README.md, "The route"), and when it has changed."""

import json
import os
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NoReturn

LARGEST_BYTES = 65_536
LONGEST_SECONDS = 60
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")  # RFC 9110, token

Stamp = tuple[int, ...]


class RouteInvalid(ValueError):
    """The file is not a route. The message names the field, what was wanted and what was found."""


@dataclass(frozen=True)
class Challenger:
    """Who is asked: `version` is what its answers must say."""

    version: str
    host: str
    port: int


@dataclass(frozen=True)
class Route:
    """`hundredths` is the share in hundredths of a percent, 0 to 10,000; `timeout` is in seconds; `sticky` is a header in lower case."""

    mode: Literal["Canary", "Shadow"]
    hundredths: int
    challenger: Challenger
    sticky: bytes | None
    timeout: float
    absolute: float
    relative: float


class RouteFile:
    """One path, read again only when it is another file: the kubelet swaps a symlink above it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Stamp | None = None

    def changed(self) -> bool:
        """Whether it is not what it was at the last call (at the first one: whether there is a file)."""
        stamp = self._stamp()
        changed, self._seen = stamp != self._seen, stamp
        return changed

    def read(self) -> Route | None:
        """The route, None where there is none. Raises RouteInvalid, also for a file that cannot be read."""
        try:
            with self._path.open("rb") as file:
                content = file.read(LARGEST_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RouteInvalid(f"cannot be read: {error.strerror or error}") from error
        return parse(content)

    def _stamp(self) -> Stamp | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116  called each half second: the plain call
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def parse(content: bytes) -> Route | None:
    """The route that `content` describes, None for nothing and for `{"v": 1}`. Raises RouteInvalid."""
    if not content.strip():
        return None
    if len(content) > LARGEST_BYTES:
        raise RouteInvalid(f"it has more than {LARGEST_BYTES} bytes")
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
    if mode not in ("Canary", "Shadow"):
        raise _wrong("mode", "Canary or Shadow", mode)
    who = _object(document, "challenger")
    tolerance = _object(document, "tolerance")
    return Route(
        mode=mode,
        hundredths=_hundredths(document.get("percent")),
        challenger=Challenger(_version(who.get("version")), _host(who.get("host")), _port(who.get("port"))),
        sticky=_sticky(_object(document, "sticky").get("header")),
        timeout=_number(document, "timeoutSeconds", 1.0, LONGEST_SECONDS, positive=True),
        absolute=_number(tolerance, "absolute", 1e-6, 1e300),
        relative=_number(tolerance, "relative", 1e-3, 1e300),
    )


def _hundredths(percent: Any) -> int:
    if _is_number(percent) and 0 <= percent <= 100 and percent * 100 == int(percent * 100):
        return int(percent * 100)
    raise _wrong("percent", "a number from 0 to 100 with at most two decimals", percent)


def _version(found: Any) -> str:
    if isinstance(found, str) and 0 < len(found) <= 253:
        return found
    raise _wrong("challenger.version", "the name of a version", found)


def _host(found: Any) -> str:
    if isinstance(found, str) and HOST.fullmatch(found):
        return found
    raise _wrong("challenger.host", "a host name or an address", found)


def _port(found: Any) -> int:
    if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 65_536:
        return found
    raise _wrong("challenger.port", "a port from 1 to 65535", found)


def _sticky(found: Any) -> bytes | None:
    if found is None:
        return None
    if isinstance(found, str) and HEADER.fullmatch(found):
        return found.lower().encode()
    raise _wrong("sticky.header", "the name of a header", found)


def _number(document: dict[str, Any], key: str, default: float, most: float, *, positive: bool = False) -> float:
    found = document.get(key, default)
    if _is_number(found) and (found > 0 or (found == 0 and not positive)) and found <= most:
        return float(found)
    raise _wrong(key, f"a number {'above' if positive else 'from'} 0 and at most {most:g}", found)


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
