"""Audit records of a Model, newest first, byte for byte as they are in the store, so that who reads them can verify their chain."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.errors import StoredDataInvalid
from flywheel_reader.responses import json_response
from flywheel_reader.store.bucket import Bucket, ObjectMissing

RESOURCE = "models"
MAX_RECORD_BYTES = 1 << 20
MAX_PAGE_BYTES = 8 << 20
MAX_RECORDS = 200  # of a response
PARALLEL = 8


async def get_audit(call: Call) -> Response:
    """Records with a number below `before`, the newest first; `next` is the `before` of the page that follows."""
    name = call.path["name"]
    await call.require(RESOURCE, name)
    bucket, folder = call.store().bucket, f"audit/{name}/"
    stems = [key.removeprefix(folder).removesuffix(".json") for key, _ in await bucket.list(folder)]
    numbers = sorted((int(stem) for stem in stems if stem.isascii() and stem.isdigit()), reverse=True)
    wanted = [number for number in numbers if call.query["before"] is None or number < call.query["before"]]
    items: list[dict[str, object]] = []
    async with call.heavy_slot():
        async for number, text in _read_records(bucket, folder, wanted[: call.query["limit"]]):
            sha256 = hashlib.sha256(text).hexdigest()
            items.append({"number": number, "sha256": sha256, "text": _decode(name, number, text)})
    following = items[-1]["number"] if items and len(items) < len(wanted) else None
    return json_response({"items": items, "total": len(numbers), "next": following})


async def _read_records(bucket: Bucket, folder: str, numbers: Sequence[int]) -> AsyncIterator[tuple[int, bytes]]:
    """The records as far as a response has room, at least one."""
    size = 0
    for start in range(0, len(numbers), PARALLEL):
        chosen = numbers[start : start + PARALLEL]
        texts = await asyncio.gather(*[_read(bucket, folder, each) for each in chosen])
        for number, text in zip(chosen, texts, strict=True):
            size += len(text)
            if size > max(MAX_PAGE_BYTES, len(text)):
                return
            yield number, text


async def _read(bucket: Bucket, folder: str, number: int) -> bytes:
    try:
        return await bucket.get(f"{folder}{number:08d}.json", MAX_RECORD_BYTES)
    except ObjectMissing as error:
        raise StoredDataInvalid(f"audit record {number} was removed while it was read") from error


def _decode(name: str, number: int, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise StoredDataInvalid(
            f"audit record {number} of Model '{name}' is no text; 'python3 -m flywheel_runtime audit' names what was changed"
        ) from error


ENDPOINTS = (
    Endpoint(
        f"/v1/namespaces/{{namespace}}/{RESOURCE}/{{name}}/audit",
        get_audit,
        "Audit records of a Model, the newest first, with their SHA-256",
        f"get {RESOURCE} NAME",
        (
            Parameter("before", "Records with a lower number alone: the 'next' of the page before", "integer", None, 1),
            Parameter("limit", "The most records", "integer", MAX_RECORDS, 1, MAX_RECORDS),
        ),
    ),
)
