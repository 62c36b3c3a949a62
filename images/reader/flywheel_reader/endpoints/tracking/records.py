"""Records as several endpoints look for them: the newest with given values, and the rule of retention."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from flywheel_reader.call import Call
from flywheel_reader.errors import StoreUnreachable
from flywheel_reader.tracking.columns import Column, expiry
from flywheel_reader.tracking.search import object_exists
from flywheel_reader.workers import run_in_worker

RESOURCES = {"Experiment": "experiments", "TrainingRun": "trainingruns"}


async def existing_objects(call: Call, kinds: Iterable[str]) -> dict[str, frozenset[str]]:
    """The uids of the objects that exist, by kind."""
    names = {kind: await call.services.objects.list_names(RESOURCES[kind], call.namespace) for kind in kinds}
    return {kind: frozenset(found) for kind, found in names.items()}


async def is_hidden(call: Call, record: Mapping[str, Any]) -> bool:
    """Whether the record's retention is over and its object is gone, so that no endpoint shows it."""
    end, kind = expiry(record), str(record.get("kind"))
    if end is None or end >= time.time() * 1000 or kind not in RESOURCES:
        return False
    return not object_exists((kind, str(record.get("uid"))), await existing_objects(call, (kind,)))


async def newest_record(call: Call, wanted: Mapping[Column, str]) -> dict[str, Any] | None:
    """The newest record that has all these values. Raises StoreUnreachable if no record was ever read."""
    log = call.store().log
    try:
        await log.refresh()
    except StoreUnreachable:
        if log.read_at is None:
            raise

    def find() -> dict[str, Any] | None:
        with log.index.lock:
            log.index.extract(wanted)
            columns = [(log.index.column(column), value) for column, value in wanted.items()]
            for row in reversed(log.index.rows_until(None)):
                if all(values[row] == value for values, value in columns):
                    return log.index.record(row)
            return None

    return await run_in_worker(find)


def output_digest(record: Mapping[str, Any], name: str) -> str | None:
    """The digest of an output of the record, None if it has none."""
    outputs = record.get("outputs")
    output = outputs.get(name) if isinstance(outputs, dict) else None
    digest = output.get("digest") if isinstance(output, dict) else None
    return digest if isinstance(digest, str) else None
