"""Adding to a chain of records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flywheel_runtime.contract.errors import AuditChainBroken, ObjectMissing
from flywheel_runtime.store.artifacts import Store

RECORD_LIMIT = 1 << 20  # bytes
LOOKED_BACK = 32  # records among which a retry looks for what an earlier try wrote
MOST_RACES = 1000


@dataclass(frozen=True)
class Link:
    """One record of the chain: its number from 1, its bytes, and what they say."""

    number: int
    text: bytes
    body: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """What the next record says of this one."""
        return hashlib.sha256(self.text).hexdigest()

    def told(self) -> dict[str, Any]:
        """As collect's message and the champion's pointer name it."""
        return {"number": self.number, "sha256": self.sha256}


def folder(model: str) -> str:
    """Where a Model's records are, below the namespace's folder."""
    return f"audit/{model}/"


def key(model: str, number: int) -> str:
    """One record's place; the zeros keep the order of a listing."""
    return f"{folder(model)}{number:08d}.json"


def record(store: Store, order: Mapping[str, Any], by: Mapping[str, str], result: Mapping[str, Any]) -> Link:
    """Append what `order` says, and what the result found; the last record that is ours.

    `order`: `{"model", "entries": [{"event", "version", …}], "champion": null | {"version", "digest", "since"}}`. An entry that an earlier try of
    the same attempt wrote is not written again. With `champion` the pointer follows, last.

    Raises:
        Broken: the chain cannot be continued.
        S3Error: the store refuses.
    """
    model = str(order["model"])
    outputs = {name: each["digest"] for name, each in (result.get("outputs") or {}).items()}
    found = {"outputs": outputs, "metrics": result.get("metrics") or {}, "facts": result.get("facts") or {}}
    last: Link | None = None
    for place, entry in enumerate(order["entries"]):
        last = append(store, model, {**entry, "by": {**by, "entry": place}, "found": found})
    if last is None:
        raise AuditChainBroken("the order has no entries")
    if order.get("champion"):
        pointer = {"v": 1, "model": model, **order["champion"], "audit": last.told()}
        text = canonical(pointer)
        store.retry.call(lambda: store.bucket.put(f"{store.root}champions/{model}.json", text))
    return last


def append(store: Store, model: str, entry: Mapping[str, Any]) -> Link:
    """Add one entry after the last record, unless it is there already. Whoever is second at a number takes the next one."""
    last = newest(store, model)
    known = _written(store, model, last, entry["by"])
    if known is not None:
        return known
    for _ in range(MOST_RACES):
        number = last.number + 1 if last else 1
        body = {"v": 1, "number": number, "previous": last.sha256 if last else None, "time": _now(), "model": model}
        text = canonical({**body, **entry})
        held = store.commit(key(model, number), text)
        last = _link(number, held)
        if held == text:
            return last
    raise AuditChainBroken(f"{MOST_RACES} others were quicker")


def newest(store: Store, model: str) -> Link | None:
    """The last record, None where there is none."""
    numbers = numbered(store, model)
    return read(store, model, numbers[-1]) if numbers else None


def numbered(store: Store, model: str) -> Sequence[int]:
    """The numbers of all records that are there, rising."""
    prefix = store.root + folder(model)
    keys = store.retry.call(lambda: [each.key[len(prefix) :] for each in store.bucket.list(prefix)])
    stems = [name.removesuffix(".json") for name in keys]
    return sorted(int(stem) for stem in stems if stem.isdigit())


def read(store: Store, model: str, number: int) -> Link:
    """One record. Raises NotThere."""
    place = store.root + key(model, number)
    return _link(number, store.retry.call(lambda: store.bucket.get(place, limit=RECORD_LIMIT)))


def canonical(value: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces: equal records have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _written(store: Store, model: str, last: Link | None, by: Mapping[str, Any]) -> Link | None:
    link = last
    for _ in range(LOOKED_BACK):
        if link is None or link.body.get("by") == by:
            return link
        try:
            link = read(store, model, link.number - 1) if link.number > 1 else None
        except ObjectMissing:  # somebody took a record out, which is for chain.py to tell
            return None
    return None


def _link(number: int, text: bytes) -> Link:
    """A record that somebody spoiled says nothing; it still has a digest, so that the chain goes on and the spoiling is found."""
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return Link(number, text, body if isinstance(body, dict) else {})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
