"""One logged prediction by its id: the rows of one request among all files of a service's log (images/README.md, "Logged predictions").

An id that the server made has the minute of its request, by which few files come into question. Of any other id the caller says when the
request was; else the last day is searched, newest first, as far as a response may take. Clients choose ids, so that several requests may have one:
the rows are those of the file that was written next to the time, and `others` names the other files with the id.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.endpoint import Endpoint, Parameter
from flywheel_reader.endpoints.predictions import MAX_FILE_BYTES, parse_moment, time_text
from flywheel_reader.errors import BadRequest, NotFound, StoredDataInvalid, TooLarge
from flywheel_reader.responses import json_response
from flywheel_reader.store.bucket import MAX_LISTED, Bucket, ObjectMissing
from flywheel_reader.tables.footer_bounds import may_contain
from flywheel_reader.tables.rows import find_rows
from flywheel_reader.workers import run_in_worker

MAX_ID_CHARACTERS = 1024
MAX_ROWS = 1000  # of one request
MAX_SECONDS = 20.0  # of a search
MAX_SECONDS_ONCE_FOUND = 0.5  # that it goes on for other requests with the id
MAX_OTHERS = 20  # further files with the id
MAX_READ_BYTES = 512 << 20  # that it reads: the ends of files, and whole ones
TAIL_BYTES = 64 << 10  # in which a footer lies, and often a whole file
PARALLEL = 32  # files whose ends are read side by side
HOUR = timedelta(hours=1)
HOURS_WITHOUT_TIME = 24
WRITTEN_AFTER = timedelta(seconds=60)  # a row, at the latest, while the store responds
GENERATED_ID = re.compile(r"[0-9a-f]{12}-([0-9a-f]{7})-[0-9]{1,18}")  # <boot>-<minutes since 1970>-<number>
RULES = "flywheel.columns"
FIRST, DAY = datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=1)


@dataclass
class Search:
    """A search for one id in a folder of hours, and what it has looked at."""

    bucket: Bucket
    folder: str
    id: str
    moment: datetime | None
    until: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)
    found: dict[str, Any] | None = None  # the rows, and the file that they are in
    others: list[dict[str, Any]] = field(default_factory=list)  # further files with the id, and how many rows
    files: int = 0
    read_bytes: int = 0
    unreadable: int = 0
    hours: list[datetime] = field(default_factory=list)
    is_exhausted: bool = False  # the search took too much, and ended
    is_truncated: bool = False  # an hour has more files than are listed

    @property
    def is_complete(self) -> bool:
        """Whether all files of the hours were looked at."""
        return not (self.is_exhausted or self.is_truncated)

    async def run(self, now: datetime) -> None:
        """Looks at all files of the hours, since clients may have chosen one id for several requests."""
        for hour in _hours(self.moment, now):
            if self._is_spent():
                return
            keys = await self._list(hour)
            for start in range(0, len(keys), PARALLEL):
                if self._is_spent():
                    return
                await self._look_at(keys[start : start + PARALLEL])

    def _is_spent(self) -> bool:
        """Whether the search must end although files are left."""
        self.is_exhausted |= (
            self.read_bytes > MAX_READ_BYTES or len(self.others) >= MAX_OTHERS or time.monotonic() > self.until
        )
        return self.is_exhausted

    async def _list(self, hour: datetime) -> list[str]:
        """The files of an hour, those first that were written when a row of the moment is."""
        listed = await self.bucket.list(f"{self.folder}dt={hour:%Y-%m-%d}/hour={hour:%H}/")
        self.hours.append(hour)
        self.is_truncated |= len(listed) >= MAX_LISTED
        expected = self.moment + WRITTEN_AFTER if self.moment else hour + 2 * HOUR
        near = sorted(listed, key=lambda each: abs(each[1] - expected))
        return [key for key, _ in near if key.endswith(".parquet")]

    async def _look_at(self, keys: Sequence[str]) -> None:
        tails = await asyncio.gather(*[self._tail(key) for key in keys])
        for key, (tail, size) in zip(keys, tails, strict=True):
            if self._is_spent():
                return
            self.files += 1
            self.read_bytes += len(tail)
            if tail and may_contain(tail, "id", self.id):
                await self._read(key, tail, size)

    async def _read(self, key: str, tail: bytes, size: int) -> None:
        try:
            rows, metadata = await self._rows(key, tail, size)
            rules = orjson.loads(metadata[RULES]) if RULES in metadata else None
        except ObjectMissing:
            return
        except (StoredDataInvalid, TooLarge, orjson.JSONDecodeError):  # one such file must not hide the others
            self.unreadable += 1
            return
        file = key.removeprefix(self.folder)
        if rows and self.found is None:
            self.found = {"items": rows, "file": file, "columns": rules}
            self.until = min(self.until, time.monotonic() + MAX_SECONDS_ONCE_FOUND)
        elif rows:
            self.others.append({"file": file, "rows": len(rows)})

    async def _tail(self, key: str) -> tuple[bytes, int]:
        try:
            return await self.bucket.get_tail(key, TAIL_BYTES)
        except ObjectMissing:  # retention was faster
            return b"", 0

    async def _rows(self, key: str, tail: bytes, size: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
        is_whole = size <= len(tail)
        self.read_bytes += 0 if is_whole else size
        content = tail if is_whole else await self.bucket.get(key, MAX_FILE_BYTES)
        return await run_in_worker(find_rows, content, "id", self.id, MAX_ROWS)

    def describe(self) -> dict[str, Any]:
        """What was looked at."""
        period = {"from": time_text(min(self.hours)), "to": time_text(max(self.hours) + HOUR)} if self.hours else {}
        return {"files": self.files, "unreadable": self.unreadable, "isComplete": self.is_complete, **period}


async def get_prediction(call: Call) -> Response:
    """All rows of the request with this id. A service's log is read by its folder, so that a service that was deleted has its rows still."""
    name, wanted = call.path["name"], call.query["id"]
    await call.require_data("inferenceservices", name)
    if not wanted or len(wanted) > MAX_ID_CHARACTERS:
        raise BadRequest(f"'id' must have 1 to {MAX_ID_CHARACTERS:,} characters; it is the id of a response")
    now = datetime.now(UTC)
    around = call.query["around"]
    moment = parse_moment("around", around) if around else request_minute(wanted, now)
    if moment is not None and not FIRST <= moment <= now + DAY:
        raise BadRequest(f"'around' is {str(around)[:60]!r}, and must be a time of a request, from 1970 until now")
    search = Search(call.store().bucket, f"predictions/{name}/rows/", wanted, moment)
    async with call.heavy_slot():
        await search.run(now)
    if search.found is None:
        raise NotFound(_not_found_message(name, search), {"searched": search.describe()})
    return json_response({**search.found, "others": search.others, "searched": search.describe()})


def request_minute(id_: str, now: datetime) -> datetime | None:
    """When the request with this id came, to the minute; None where the id does not say."""
    found = GENERATED_ID.fullmatch(id_)
    if found is None:
        return None
    moment = datetime.fromtimestamp(int(found[1], 16) * 60, UTC)
    return moment if moment <= now + HOUR else None


def _hours(moment: datetime | None, now: datetime) -> list[datetime]:
    """The hours to look at, the likeliest first. A file's hour is that of its first row, which may be of another hour than its last."""
    hour = (moment or now).replace(minute=0, second=0, microsecond=0)
    if moment is None:
        return [hour - number * HOUR for number in range(HOURS_WITHOUT_TIME)]
    return [hour, hour - HOUR, hour + HOUR]


def _not_found_message(name: str, search: Search) -> str:
    seen = search.describe()
    where = f"{seen['files']:,} files of the hours from {seen['from']} to {seen['to']}"
    message = f"InferenceService '{name}' has no logged row with the id '{search.id[:200]}' in {where}"
    if search.unreadable:
        message += f", of which {search.unreadable:,} cannot be read"
    if not search.is_complete:
        return f"{message}, where the search ended since it took too much; say when the request was with 'around'"
    if search.moment is None:
        return (
            f"{message}; the id does not say when its request was: say it with 'around', such as 2026-11-29T12:00:00Z"
        )
    return (
        f"{message}; a row is stored a minute after its request if it is in the sample, and until retention deletes it"
    )


ENDPOINTS = (
    Endpoint(
        "/v1/namespaces/{namespace}/inferenceservices/{name}/prediction",
        get_prediction,
        "The logged rows of one request, by its id",
        "read-data inferenceservices NAME",
        (
            Parameter("id", "The id of a response: any text that its client chose, so no part of the path"),
            Parameter(
                "around",
                "When the request was, to the hour, a time in ISO 8601; ids that the server made say it themselves",
            ),
        ),
    ),
)
