"""Termination messages: how they are written, and what a message that is too long loses."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIMIT = 4096  # bytes that the kubelet keeps of one container's message; of a longer one it drops the head
ERROR_LIMIT = 1000  # bytes of `error.message`

RUNNING: Mapping[str, Any] = {"v": 1, "phase": "Running"}


def write(path: Path, message: Mapping[str, Any]) -> None:
    """Write a message in place: the file is a bind mount, so nothing can be renamed onto it."""
    path.write_bytes(encode(shorten(message)))


def encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(errors="replace")


def clip(text: str, limit: int = ERROR_LIMIT) -> str:
    """The text, cut to `limit` bytes of UTF-8 with an ellipsis."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - 3].decode(errors="ignore") + "…"


def shorten(message: Mapping[str, Any], limit: int = LIMIT) -> dict[str, Any]:
    """Drop facts, then metrics from the last one on, until the message fits; `shortened` names what lost something.

    The same message always gives the same result. Outputs are never dropped: without their digests nothing is found.
    """
    short = dict(message)
    if len(encode(short)) <= limit or short.get("phase") != "Finished":
        return short
    if short["facts"]:
        short |= {"facts": {}, "shortened": ["facts"]}
    metrics = dict(short["metrics"])
    while len(encode(short)) > limit and metrics:
        metrics.popitem()
        short |= {"metrics": dict(metrics), "shortened": [*(["facts"] if message["facts"] else []), "metrics"]}
    return short
