"""Audit records: each has the digest of the one before it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flywheel_runtime.contract.errors import AuditChainBroken, ObjectMissing
from flywheel_runtime.store.artifacts import Store

MAX_RECORD_BYTES = 1 << 20
MAX_LOOKBACK = 32  # records among which a retry looks for what an earlier attempt wrote
MAX_WRITE_CONFLICTS = 1000


@dataclass(frozen=True)
class AuditRecord:
    """One record of the chain: its number from 1, its bytes, and the JSON in them."""

    number: int
    text: bytes
    body: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The digest by which the next record names this one."""
        return hashlib.sha256(self.text).hexdigest()

    def reference(self) -> dict[str, Any]:
        """How collect's message and the champion's pointer name it."""
        return {"number": self.number, "sha256": self.sha256}


def records_folder(model: str) -> str:
    """The folder of a Model's records, below that of the namespace."""
    return f"audit/{model}/"


def record_key(model: str, number: int) -> str:
    """The key of a record; the zeros make a listing sort by number."""
    return f"{records_folder(model)}{number:08d}.json"


def append_records(
    store: Store, request: Mapping[str, Any], by: Mapping[str, str], result: Mapping[str, Any]
) -> AuditRecord:
    """Append the requested entries with the step's result; returns the last record of this attempt.

    `request`: `{"model", "entries": [{"event", "version", …}], "champion": null | {"version", "digest", "since"}}`. An entry that an earlier try of
    the same attempt wrote is not written again. With `champion` the pointer follows, last.

    Raises:
        AuditChainBroken: the chain cannot be continued.
        StoreError: the store refuses.
    """
    model = str(request["model"])
    outputs = {name: each["digest"] for name, each in (result.get("outputs") or {}).items()}
    found = {"outputs": outputs, "metrics": result.get("metrics") or {}, "facts": result.get("facts") or {}}
    last: AuditRecord | None = None
    for number, entry in enumerate(request["entries"]):
        last = append_record(store, model, {**entry, "by": {**by, "entry": number}, "found": found})
    if last is None:
        raise AuditChainBroken("the request has no entries")
    if request.get("champion"):
        pointer = {"v": 1, "model": model, **request["champion"], "audit": last.reference()}
        store.replace(f"champions/{model}.json", canonical_bytes(pointer))
    return last


def append_record(store: Store, model: str, entry: Mapping[str, Any]) -> AuditRecord:
    """Add one entry after the last record, unless it is there already. If another writer has the number, the next one is tried."""
    last = read_newest(store, model)
    known = _find_earlier(store, model, last, entry["by"])
    if known is not None:
        return known
    for _ in range(MAX_WRITE_CONFLICTS):
        number = last.number + 1 if last else 1
        body = {"v": 1, "number": number, "previous": last.sha256 if last else None, "time": _now(), "model": model}
        text = canonical_bytes({**body, **entry})
        stored = store.commit(record_key(model, number), text)
        last = _parse_record(number, stored)
        if stored == text:
            return last
    raise AuditChainBroken(f"{MAX_WRITE_CONFLICTS} other writers were faster")


def read_newest(store: Store, model: str) -> AuditRecord | None:
    """The last record, None where there is none."""
    numbers = list_numbers(store, model)
    return read_record(store, model, numbers[-1]) if numbers else None


def list_numbers(store: Store, model: str) -> Sequence[int]:
    """The numbers of all records of the Model, ascending."""
    stems = [name.removesuffix(".json") for name in store.list_names(records_folder(model))]
    return sorted(int(stem) for stem in stems if stem.isdigit())


def read_record(store: Store, model: str, number: int) -> AuditRecord:
    """One record. Raises ObjectMissing."""
    return _parse_record(number, store.get(record_key(model, number), MAX_RECORD_BYTES))


def canonical_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces: equal records have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _find_earlier(store: Store, model: str, last: AuditRecord | None, by: Mapping[str, Any]) -> AuditRecord | None:
    earlier = last
    for _ in range(MAX_LOOKBACK):
        if earlier is None or earlier.body.get("by") == by:
            return earlier
        try:
            earlier = read_record(store, model, earlier.number - 1) if earlier.number > 1 else None
        except ObjectMissing:  # a record was removed, which chain.py reports
            return None
    return None


def _parse_record(number: int, text: bytes) -> AuditRecord:
    """A damaged record has no body; it still has a digest, so that the chain goes on and the damage is found."""
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return AuditRecord(number, text, body if isinstance(body, dict) else {})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
