"""What a read may leave out: rows that the last snapshot has, by a column that grows with every change of a row.

The last check that passed left `snapshot.json` beside its rows. What this read did is in the hidden file `.snapshot.json` beside its own
rows, from which the check makes the next snapshot (images/README.md, "check").
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.config.fetch import SqlSource

STATE_FILE, ROWS_FILE, READ_FILE = "snapshot.json", "rows.parquet", ".snapshot.json"
# A whole number, a date or a time in UTC.
BOUND = re.compile(r"-?[0-9]+|[0-9]{4,}-[0-9]{2}-[0-9]{2}( [0-9:.]+)?")


@dataclass(frozen=True)
class Changes:
    """The folder of the input `snapshot`, which may be absent, and that of the rows that are read now."""

    source: SqlSource
    snapshot: Path
    rows: Path

    def find_bound(self, select: str, signature: object) -> str | None:
        """The least value of the column that has to be read, or None for all rows; what was decided is written beside the rows.

        `select` and `signature` are what is read and of which types. Where they have changed, rows of the last snapshot are others.
        """
        source, incremental = self.source, self.source.incremental
        if incremental is None:
            return None
        now = datetime.now(UTC)
        place = [source.engine, source.host, source.port, source.database, incremental.column, select, str(signature)]
        place += incremental.keys
        identity = hashlib.sha256(json.dumps(place).encode()).hexdigest()
        last = self._read_state()
        is_same = last.get("identity") == identity and BOUND.fullmatch(str(last.get("bound")))
        is_fresh = is_same and now - _time(last["fullAt"]) < timedelta(seconds=incremental.full_every_seconds)
        bound, full_at = (str(last["bound"]), last["fullAt"]) if is_fresh else (None, now.isoformat(timespec="seconds"))
        self.rows.mkdir(parents=True, exist_ok=True)
        read_at = now.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        read = {"v": 1, "identity": identity, "bound": bound, "fullAt": full_at, "readAt": read_at}
        (self.rows / READ_FILE).write_text(json.dumps(read), encoding="utf-8")
        return bound

    def _read_state(self) -> dict[str, Any]:
        path = self.snapshot / STATE_FILE
        if not (path.exists() and (self.snapshot / ROWS_FILE).exists()):  # the first check, or the store has lost one
            return {}
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return state


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
