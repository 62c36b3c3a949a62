"""Every pod of one side, found by the DNS of its headless Service, and asked for its metrics.

A page is Prometheus' text format, version 0.0.4, as far as a server of ours writes it: counters, gauges and histogram buckets.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

import json
import math
import re
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3

from flywheel_runtime.commands.canary_analysis.config import Side
from flywheel_runtime.contract.errors import HostUnreachable
from flywheel_runtime.transport.http import read, send

TIMEOUT_SECONDS = 2.0  # for one pod
MAX_BODY_BYTES = 4 << 20
_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPED = re.compile(r"\\[\\\"n]")
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True)
class Series:
    """A name and its labels, sorted."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def label(self, name: str) -> str:
        """The value of a label, or nothing."""
        return dict(self.labels).get(name, "")


def addresses(side: Side) -> list[str]:
    """The pods' addresses now; none where the name is not known (no pod, or no DNS)."""
    try:
        found = socket.getaddrinfo(side.host, side.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(each[4][0]) for each in found})


def pages(side: Side, threads: ThreadPoolExecutor) -> dict[str, Mapping[Series, float]]:
    """The metrics of every pod that answers, by address."""
    where = addresses(side)
    texts = threads.map(lambda address: get_body(address, side.port, "/metrics"), where)
    return {address: parse(text.decode(errors="replace")) for address, text in zip(where, texts, strict=True) if text}


def examples(side: Side, model: str, threads: ThreadPoolExecutor) -> list[dict[str, Any]]:
    """The worst disagreements that the champion's pods remember, the largest difference first."""
    texts = threads.map(lambda each: get_body(each, side.port, f"/v2/models/{quote(model)}/shadow"), addresses(side))
    return sorted(_examples(texts), key=lambda each: -_difference(each))[:20]


def get_body(address: str, port: int, path: str) -> bytes | None:
    """The body of a 200; None whatever else happens, since a pod that comes or goes is no failure of the judge."""
    try:
        response = send(
            urllib3.HTTPConnectionPool(address, port, timeout=TIMEOUT_SECONDS), "GET", path, {"Accept": "*/*"}
        )
        body = read(response, MAX_BODY_BYTES)
    except HostUnreachable:
        return None
    return body if response.status == 200 else None


def _examples(texts: Iterable[bytes | None]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for text in texts:
        try:
            document = json.loads(text or b"{}")
        except ValueError:
            continue
        each = document.get("examples") if isinstance(document, dict) else None
        found += [example for example in each or [] if isinstance(example, dict)]
    return found


def _difference(example: Mapping[str, Any]) -> float:
    """Where it is not a number, the answers differ in kind: worst of all."""
    value = example.get("difference")
    return float(value) if isinstance(value, int | float) else float("inf")


def parse(text: str) -> Mapping[Series, float]:
    """Every sample of a page, by series. Lines that are not understood are left out: one odd line must not blind the judge."""
    found: dict[Series, float] = {}
    for line in text.split("\n"):  # a label may hold what else splitlines() takes for an end
        match = _LINE.match(line)
        if match is None or line.startswith("#"):
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if not math.isnan(value):
            found[Series(match[1], _labels(match[2] or ""))] = value
    return found


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    found = _LABEL.findall(text)
    return tuple(sorted((name, _ESCAPED.sub(lambda match: _ESCAPES[match[0]], value)) for name, value in found))
