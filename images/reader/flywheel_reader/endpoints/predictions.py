"""Logged predictions of an InferenceService (images/README.md, "Logged predictions")."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.errors import BadRequest
from flywheel_reader.responses import SAFE_HEADERS
from flywheel_reader.store.bucket import Bucket
from flywheel_reader.tables.rows import MAX_ROWS, Window, encode_rows
from flywheel_reader.tracking.columns import parse_time
from flywheel_reader.workers import run_in_worker

MAX_HOURS = 31 * 24
MAX_FILE_BYTES = 16 << 20
MAX_BYTES = 16 << 20  # of the files of one response; the one that exceeds it is the last
FILE = re.compile(r"dt=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/[^/]+/[^/]+\.parquet")
DEFAULT_PERIOD = timedelta(hours=24)


async def get_predictions(call: Call) -> Response:
    """Rows of the hours from `from` to `to`, oldest first."""
    await call.require_data("inferenceservices", call.path["name"])
    start, end = _period(call.query["from"], call.query["to"])
    after = _file_name(call.query["after"])
    bucket = call.store().bucket
    folder = f"predictions/{call.path['name']}/rows/"
    limit = call.query["limit"]
    async with call.heavy_slot():
        files, last = await _read_files(bucket, folder, start, end, after)
        body = await run_in_worker(encode_rows, files, Window((), call.query["offset"], limit), "json")
    rest: dict[str, object] = {"total": None, "next": body.next_offset, "from": time_text(start), "to": time_text(end)}
    if body.next_offset is not None:
        rest["message"] = f"there are more rows; go on with offset={body.next_offset}"
    elif last is not None:
        rest |= {
            "after": last,
            "message": f"the rows so far have {MAX_BYTES:,} bytes or more; go on with after={last}, the same 'from' and 'to', and offset=0",
        }
    return Response(
        b'{"items":' + body.content + b"," + orjson.dumps(rest)[1:], headers=SAFE_HEADERS, media_type="application/json"
    )


async def _read_files(
    bucket: Bucket, folder: str, start: datetime, end: datetime, after: str | None
) -> tuple[list[bytes], str | None]:
    """The files of the hours that follow `after`, and the name of the one that exceeded the bound; None if none did."""
    files: list[bytes] = []
    size = 0
    for hour in _hours(start, end):
        hour_folder = f"dt={hour:%Y-%m-%d}/hour={hour:%H}/"
        if after is not None and hour_folder < after[: len(hour_folder)]:
            continue
        for key, _ in await bucket.list(folder + hour_folder):
            name = key.removeprefix(folder)
            if not name.endswith(".parquet") or (after is not None and name <= after):
                continue
            files.append(await bucket.get(key, MAX_FILE_BYTES))
            size += len(files[-1])
            if size >= MAX_BYTES:
                return files, name
    return files, None


def _file_name(after: str | None) -> str | None:
    if after is not None and not FILE.fullmatch(after):
        raise BadRequest(f"'after' is {after[:120]!r}, and must be the 'after' of the response before")
    return after


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    hour = start.replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour
        hour += timedelta(hours=1)


def _period(first: str | None, last: str | None) -> tuple[datetime, datetime]:
    end = parse_moment("to", last) if last else datetime.now(UTC)
    start = parse_moment("from", first) if first else end - DEFAULT_PERIOD
    if not timedelta() < end - start <= timedelta(hours=MAX_HOURS):
        raise BadRequest(f"'from' must be before 'to', and at most {MAX_HOURS // 24} days before it")
    return start, end


def parse_moment(name: str, text: str) -> datetime:
    """The time in the parameter `name`. Raises BadRequest."""
    milliseconds = parse_time(text)
    if milliseconds is None:
        raise BadRequest(f"'{name}' is {text[:60]!r}, and must be a time such as 2026-11-29T12:00:00Z")
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def time_text(moment: datetime) -> str:
    """The time as responses have it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


ENDPOINTS = (
    Endpoint(
        "/v1/namespaces/{namespace}/inferenceservices/{name}/predictions",
        get_predictions,
        "Logged rows by hour, at most 100,000 or 16 MiB",
        "read-data inferenceservices NAME",
        (
            Parameter("from", "The first hour, a time in ISO 8601; 24 hours before 'to' by default"),
            Parameter("to", "The end; now by default"),
            Parameter("limit", "The most rows", "integer", 1000, 1, MAX_ROWS),
            Parameter("offset", "The first row of the period, or of what follows 'after', from 0", "integer", 0),
            Parameter("after", "The 'after' of the response before, where one does not take all rows of the period"),
        ),
    ),
)
