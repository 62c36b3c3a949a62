"""The chain of a Model's audit records, as far as a receipt has it: each record has the SHA-256 of the one before it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Record:
    """One audit record, byte for byte."""

    text: str

    @property
    def sha256(self) -> str:
        """The digest by which the next record names this one."""
        return hashlib.sha256(self.text.encode(errors="surrogatepass")).hexdigest()

    @property
    def body(self) -> Mapping[str, Any]:
        """Its JSON object; empty where it is none."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def number(self) -> int:
        """Its number in the chain, 0 where it has none."""
        found = self.body.get("number")
        return found if isinstance(found, int) else 0


def chain_faults(records: Sequence[Record], model: str) -> Iterator[str]:
    """Yields one sentence for each record, from the oldest, that is no link of the chain."""
    before: Record | None = None
    for record in records:
        body = record.body
        if body.get("model") != model:
            yield f"audit record {record.number} is not one of Model '{model}'"
        if before is not None and record.number != before.number + 1:
            yield f"audit record {before.number + 1} is missing between {before.number} and {record.number}"
        elif before is not None and body.get("previous") != before.sha256:
            yield f"audit record {before.number} or {record.number} was changed: record {record.number} names another digest of the one before it"
        if record.number == 1 and body.get("previous") is not None:
            yield "audit record 1 names a record before it"
        before = record


def records_of(records: Sequence[Record], version: str) -> list[Record]:
    """Returns the records that name a version."""
    return [each for each in records if each.body.get("version") == version]


def promotion_before(records: Sequence[Record], version: str, time: str) -> Record | None:
    """Returns the last promotion of a version up to a time, else its first one; None where there is none."""
    promoted = [each for each in records_of(records, version) if each.body.get("event") == "Promoted"]
    before = [each for each in promoted if str(each.body.get("since") or each.body.get("time")) <= time]
    return next(iter(before[-1:] or promoted[:1]), None)
