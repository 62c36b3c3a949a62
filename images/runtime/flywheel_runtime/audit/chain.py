"""The check of a chain of records: whether each is as it was written."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.audit import records
from flywheel_runtime.audit.records import AuditRecord
from flywheel_runtime.contract.errors import ObjectMissing
from flywheel_runtime.store.artifacts import Store


@dataclass(frozen=True)
class ChainCheck:
    """A Model's records up to the first gap, and what is wrong with them."""

    model: str
    records: tuple[AuditRecord, ...]
    findings: tuple[str, ...]


def list_models(store: Store) -> list[str]:
    """Every Model with records or a pointer in the namespace's folder."""
    keys = (*store.list_names("audit/"), *store.list_names("champions/"))
    return sorted({key.partition("/")[0].removesuffix(".json") for key in keys})


def check_chain(store: Store, model: str) -> ChainCheck:
    """Read the whole chain: each number once, each record with the digest of the one before it, the champion's pointer at one of them.

    A chain whose end was cut off is found by the pointer alone; compare its last digest with `status.audit` of the Model for the rest.

    Raises:
        StoreError: the store refuses or does not respond.
    """
    chain: list[AuditRecord] = []
    findings: list[str] = []
    for expected, number in enumerate(records.list_numbers(store, model), start=1):
        if number != expected:
            findings.append(f"record {expected} of Model '{model}' is missing; the next one there is {number}")
            break
        record = records.read_record(store, model, number)
        findings += _faults(model, record, chain[-1] if chain else None)
        chain.append(record)
    return ChainCheck(model, tuple(chain), (*findings, *_pointer_faults(store, model, chain)))


def _faults(model: str, record: AuditRecord, before: AuditRecord | None) -> Iterator[str]:
    if not record.body:
        yield f"record {record.number} of Model '{model}' was changed: it is no JSON object"
        return
    if (record.body.get("number"), record.body.get("model")) != (record.number, model):
        yield f"record {record.number} of Model '{model}' says that it is record {record.body.get('number')} of '{record.body.get('model')}'"
    if record.body.get("previous") != (before.sha256 if before else None):
        changed = (
            f"record {record.number - 1} was changed after it was written, or record {record.number} was"
            if before
            else "record 1 was changed"
        )
        yield f"{changed}: the digest in record {record.number} of Model '{model}' is not that of the record before it"
    if record.text != records.canonical_bytes(record.body):
        yield f"record {record.number} of Model '{model}' was written by another program: its bytes are not canonical JSON"


def _pointer_faults(store: Store, model: str, chain: list[AuditRecord]) -> Iterator[str]:
    pointer = read_champion(store, model)
    if pointer is None:
        return
    audit = pointer.get("audit") or {}
    record = next((each for each in chain if each.number == audit.get("number")), None)
    if record is None:
        yield f"champions/{model}.json points at record {audit.get('number')}, which is not there"
    elif record.sha256 != audit.get("sha256"):
        yield f"record {record.number} of Model '{model}' was changed: champions/{model}.json knows it by another digest"
    elif record.body.get("version") != pointer.get("version") or record.body.get("digest") != pointer.get("digest"):
        yield f"champions/{model}.json was changed: it names '{pointer.get('version')}', and record {record.number} promoted '{record.body.get('version')}'"


def read_champion(store: Store, model: str) -> Mapping[str, Any] | None:
    """The pointer, None where there is none."""
    try:
        found = json.loads(store.get(f"champions/{model}.json", records.MAX_RECORD_BYTES))
    except ObjectMissing:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
