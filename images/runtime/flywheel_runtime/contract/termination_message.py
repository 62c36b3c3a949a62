"""Termination messages: how they are written, and what a message that is too long loses."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.cgroup import Usage
from flywheel_runtime.contract.errors import Failure

MAX_MESSAGE_BYTES = 4096  # bytes that the kubelet keeps of one container's message; of a longer one it drops the head
MAX_ERROR_BYTES = 1000  # bytes of `error.message`

RUNNING: Mapping[str, Any] = {"v": 1, "phase": "Running"}


def write(path: Path, message: Mapping[str, Any]) -> None:
    """Write a message in place: the file is a bind mount, so nothing can be renamed onto it."""
    path.write_bytes(encode(shorten(message)))


def report_end(path: Path, reason: str, text: str, *, retry: bool) -> None:
    """Write the message of a container that ends with a reason, and log it."""
    text = clip(text)
    sys.stderr.write(f"{reason}: {text}\n")
    sys.stderr.flush()
    write(path, {"v": 1, "reason": reason, "message": text, "retry": retry})


def finished_message(
    *,
    error: Failure | None = None,
    complete: bool = False,
    repeated: bool = False,
    timed_out: bool = False,
    outputs: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    facts: Mapping[str, Any] | None = None,
    usage: Usage | None = None,
    started_at: datetime | None = None,
) -> dict[str, Any]:
    """The final message of the contract, with its keys in their order."""
    usage = usage or Usage()
    return {
        "v": 1,
        "phase": "Finished",
        "complete": complete,
        "repeated": repeated,
        "timedOut": timed_out,
        "oomKills": int(usage.oom_kills or 0),
        "outputs": dict(outputs or {}),
        "metrics": dict(metrics or {}),
        "facts": dict(facts or {}),
        "error": error and {"reason": error.reason, "message": clip(error.message), "retry": error.retry},
        "usage": usage.as_message(),
        "startedAt": started_at and _rfc3339(started_at),
        "finishedAt": _rfc3339(datetime.now(UTC)),
    }


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(errors="replace")


def clip(text: str, limit: int = MAX_ERROR_BYTES) -> str:
    """The text, cut to `limit` bytes of UTF-8 with an ellipsis."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - 3].decode(errors="ignore") + "…"


def shorten(message: Mapping[str, Any], limit: int = MAX_MESSAGE_BYTES) -> dict[str, Any]:
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


def format_bytes(size: int) -> str:
    """Bytes as people read them: 812 B, 28.4 MiB, 2.0 GiB."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"
