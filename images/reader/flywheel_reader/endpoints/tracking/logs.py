"""The log of a trial's main container, and the curves that it logged."""

import hashlib
from typing import Any

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.endpoints.tracking.trials import OWNER, TRIAL, TRIAL_RIGHT, find_trial, tracking_digest
from flywheel_reader.errors import NotFound, TooLarge
from flywheel_reader.responses import SAFE_HEADERS, content_response, is_unchanged, json_response, not_modified
from flywheel_reader.store.artifacts import Artifacts
from flywheel_reader.store.manifests import File
from flywheel_reader.tracking.curves import CurveReader
from flywheel_reader.tracking.log import unpack
from flywheel_reader.workers import run_in_worker

LOG_FILE, CURVES_FILE = "main.log.gz", "metrics.jsonl"
MAX_LOG_BYTES = 12 << 20  # collect stores the last 10 MiB
MAX_CURVE_BYTES = 256 << 20
MAX_POINTS = 10_000
TEXT = "text/plain; charset=utf-8"


async def get_log(call: Call) -> Response:
    """The log as text, or its last bytes."""
    record = await find_trial(call)
    file = await _find_file(call, record, LOG_FILE)
    if file is None:
        reason = str(record.get("logMessage") or "it was recorded by a release that stores no logs")
        raise NotFound(f"trial '{record['id']}' has no log: {reason[:500]}")
    etag = f'"{file.sha256}-text"'
    if is_unchanged(call.headers, etag):
        return not_modified(etag)
    async with call.heavy_slot():
        packed = await call.store().artifacts.read(file, MAX_LOG_BYTES)
        text = await run_in_worker(unpack, packed, MAX_LOG_BYTES)
    tail = call.query["tailBytes"]
    if tail is not None:
        return Response(text[max(0, len(text) - tail) :], headers=SAFE_HEADERS, media_type=TEXT)
    return content_response(call.headers, text, etag, TEXT)


async def get_curves(call: Call) -> Response:
    """The curves of some metrics, or of all."""
    record = await find_trial(call)
    names, max_points = frozenset(call.query["metric"]), call.query["maxPoints"]
    file = await _find_file(call, record, CURVES_FILE)
    if file is None:
        return json_response({"curves": {}, "downsampled": {}})
    asked = hashlib.sha256(repr((sorted(names), max_points)).encode()).hexdigest()[:16]
    etag = f'"{file.sha256}-{asked}"'
    if is_unchanged(call.headers, etag):
        return not_modified(etag)
    async with call.heavy_slot():
        curves = await _read_curves(call.store().artifacts, file, CurveReader(names, max_points))
    return json_response(curves, headers={"ETag": etag})


async def _read_curves(artifacts: Artifacts, file: File, reader: CurveReader) -> dict[str, Any]:
    if file.size > MAX_CURVE_BYTES:
        raise TooLarge(
            f"'{file.path}' has {file.size:,} bytes, more than {MAX_CURVE_BYTES:,}; download it by its path under files/"
        )
    async for chunk in artifacts.stream(file):
        await run_in_worker(reader.feed, chunk)
    reader.close()
    return await run_in_worker(reader.result)


async def _find_file(call: Call, record: dict[str, Any], path: str) -> File | None:
    digest = tracking_digest(record)
    return None if digest is None else (await call.store().artifacts.files(digest)).get(path)


ENDPOINTS = (
    Endpoint(
        f"{TRIAL}/log",
        get_log,
        "The last 10 MiB of main's output; takes the header Range",
        TRIAL_RIGHT,
        (Parameter("tailBytes", "The last bytes alone", "integer", None, 1, MAX_LOG_BYTES), *OWNER),
        ("text/plain",),
    ),
    Endpoint(
        f"{TRIAL}/curves",
        get_curves,
        "The curves of metrics: [step, value, time] of each point, down-sampled beyond maxPoints",
        TRIAL_RIGHT,
        (
            Parameter("metric", "The curves of these metrics alone; may be repeated", repeated=True),
            Parameter("maxPoints", "The most points of each curve", "integer", 1000, 10, MAX_POINTS),
            *OWNER,
        ),
    ),
)
