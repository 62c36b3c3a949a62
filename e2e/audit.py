"""What was written to the API server, by whom, as its audit log tells."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e.cluster import paths

OPERATOR = "system:serviceaccount:flywheel-system:flywheel-operator"
WRITES = ("create", "update", "patch", "delete", "deletecollection")


def writes(since: datetime, user: str = OPERATOR, log: Path = paths.AUDIT_LOG) -> Iterator[dict[str, Any]]:
    """Finished writes of a user since a time (UTC), Lease renewals left out, oldest first."""
    for line in _lines(log, since):
        if user not in line:  # most lines are others', and reading them all as JSON takes minutes
            continue
        entry = json.loads(line)
        if entry["stage"] != "ResponseComplete" or entry["verb"] not in WRITES or entry["user"]["username"] != user:
            continue
        resource = entry.get("objectRef", {})
        if resource.get("resource") != "leases" and datetime.fromisoformat(entry["requestReceivedTimestamp"]) >= since:
            yield entry


def _lines(log: Path, since: datetime) -> Iterator[str]:
    """Those of older files too, which the API server has put aside (`audit-<time>.log`), if they were written to since."""
    aside = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"))
    for path in [each for each in aside if each.stat().st_mtime >= since.timestamp()] + [log]:
        with path.open() as lines:
            yield from lines


def describe_write(entry: dict[str, Any]) -> str:
    """`patch inferenceservices/flight-delay/status in flights`."""
    resource = entry.get("objectRef", {})
    parts = [resource.get("resource", "?"), resource.get("name", ""), resource.get("subresource", "")]
    return f"{entry['verb']} {'/'.join(part for part in parts if part)} in {resource.get('namespace', '-')}"
