"""Prometheus' text format, version 0.0.4, as far as a server of ours writes it: counters, gauges and histogram buckets.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True)
class Series:
    """A name and its labels, sorted."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def label(self, name: str) -> str:
        """The value of a label, or nothing."""
        return dict(self.labels).get(name, "")


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
    return tuple(sorted((name, _unescaped(value)) for name, value in _LABEL.findall(text)))


def _unescaped(value: str) -> str:
    return re.sub(r"\\[\\\"n]", lambda match: _ESCAPES[match[0]], value)
