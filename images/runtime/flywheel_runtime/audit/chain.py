"""Whether a chain of records is as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.audit import records
from flywheel_runtime.audit.records import Link
from flywheel_runtime.contract.errors import ObjectMissing
from flywheel_runtime.store.artifacts import Store


@dataclass(frozen=True)
class Checked:
    """A Model's records as far as they are good, and what is wrong (none: nothing is)."""

    model: str
    links: tuple[Link, ...]
    findings: tuple[str, ...]


def models(store: Store) -> list[str]:
    """Every Model with records or a pointer in the namespace's folder."""
    return sorted(_below(store, "audit/") | _below(store, "champions/"))


def check(store: Store, model: str) -> Checked:
    """Read the whole chain: each number once, each record with the digest of the one before it, the champion's pointer at one of them.

    A chain whose end was cut off is found by the pointer alone; compare its last digest with `status.audit` of the Model for the rest.

    Raises:
        S3Error: the store refuses or does not answer.
    """
    links: list[Link] = []
    findings: list[str] = []
    for expected, number in enumerate(records.numbered(store, model), start=1):
        if number != expected:
            findings.append(f"record {expected} of Model '{model}' is missing; the next one there is {number}")
            break
        link = records.read(store, model, number)
        findings += _faults(model, link, links[-1] if links else None)
        links.append(link)
    return Checked(model, tuple(links), (*findings, *_pointer_faults(store, model, links)))


def _faults(model: str, link: Link, before: Link | None) -> Iterator[str]:
    if not link.body:
        yield f"record {link.number} of Model '{model}' was changed: it is no JSON object"
        return
    if (link.body.get("number"), link.body.get("model")) != (link.number, model):
        yield f"record {link.number} of Model '{model}' says that it is record {link.body.get('number')} of '{link.body.get('model')}'"
    if link.body.get("previous") != (before.sha256 if before else None):
        changed = (
            f"record {link.number - 1} was changed after it was written, or record {link.number} was"
            if before
            else "record 1 was changed"
        )
        yield f"{changed}: the digest in record {link.number} of Model '{model}' is not that of the record before it"
    if link.text != records.canonical(link.body):
        yield f"record {link.number} of Model '{model}' was written by another hand: its bytes are not canonical JSON"


def _pointer_faults(store: Store, model: str, links: list[Link]) -> Iterator[str]:
    pointer = champion(store, model)
    if pointer is None:
        return
    audit = pointer.get("audit") or {}
    link = next((each for each in links if each.number == audit.get("number")), None)
    if link is None:
        yield f"champions/{model}.json points at record {audit.get('number')}, which is not there"
    elif link.sha256 != audit.get("sha256"):
        yield f"record {link.number} of Model '{model}' was changed: champions/{model}.json knows it by another digest"
    elif link.body.get("version") != pointer.get("version") or link.body.get("digest") != pointer.get("digest"):
        yield f"champions/{model}.json was changed: it names '{pointer.get('version')}', and record {link.number} promoted '{link.body.get('version')}'"


def champion(store: Store, model: str) -> Mapping[str, Any] | None:
    """The pointer, None where there is none."""
    place = f"{store.root}champions/{model}.json"
    try:
        found = json.loads(store.retry.call(lambda: store.bucket.get(place, limit=records.RECORD_LIMIT)))
    except ObjectMissing:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _below(store: Store, part: str) -> set[str]:
    prefix = store.root + part
    keys = store.retry.call(lambda: [each.key[len(prefix) :] for each in store.bucket.list(prefix)])
    return {key.partition("/")[0].removesuffix(".json") for key in keys}
