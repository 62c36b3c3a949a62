"""Reading the log of records from the store into the index (images/README.md, "The tracking records")."""

import asyncio
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable

import orjson

from flywheel_reader.errors import StoredDataInvalid, StoreUnreachable, TooLarge
from flywheel_reader.store.bucket import Bucket, ObjectMissing
from flywheel_reader.tracking.index import ROW_BYTES, RecordIndex
from flywheel_reader.workers import run_in_worker

SEGMENT_RECORDS = 256
MAX_RECORD_BYTES = 256 << 10  # writers keep to 128 KiB
MAX_SEGMENT_BYTES = 16 << 20  # unpacked; the records of a larger one are read one by one
MAX_HEAD_BYTES = 4096
PARALLEL_SEGMENTS = 2
REFRESH_SECONDS = 60.0
RETRY_SECONDS = 60.0  # after a refresh that took longer
PARALLEL_RECORDS = 16
FRESH_SECONDS = 0.5
COMPARED_SECONDS = 15.0
MAX_COMPARED = 1000


class TrackingLog:
    """The records of one namespace. `refresh` reads those that were written since, once for all who wait.

    `loads` bounds how many namespaces read segments at a time, and `after_refresh` is called when records were read.
    """

    def __init__(
        self, bucket: Bucket, max_bytes: int, loads: asyncio.Semaphore, after_refresh: Callable[[], None]
    ) -> None:
        self.index = RecordIndex(max_bytes)
        self.read_at: float | None = None  # seconds since 1970 of the last successful refresh
        self._bucket = bucket
        self._max_bytes = max_bytes
        self._loads = loads
        self._after_refresh = after_refresh
        self._refreshing: asyncio.Task[None] | None = None
        self._fresh_until = 0.0
        self._refused_until = 0.0  # after one that took too long
        self._compared_until: OrderedDict[str, float] = OrderedDict()  # Experiments, by when they are compared again

    async def refresh(self) -> None:
        """Reads all records up to now, or up to half a second ago. Raises StoreUnreachable."""
        if self._refreshing is None:
            if time.monotonic() < self._fresh_until:
                return
            if time.monotonic() < self._refused_until:
                raise self._too_slow()
            self._refreshing = asyncio.create_task(self._read_new())
            self._refreshing.add_done_callback(self._finish)
        await asyncio.shield(self._refreshing)

    def may_miss_trials(self, experiment: str) -> bool:
        """Whether the Experiment's history was not compared with the records for some time."""
        return self._compared_until.get(experiment, 0.0) <= time.monotonic()

    def mark_compared(self, experiment: str) -> None:
        """Remembers that the Experiment's history was compared with the records now."""
        self._compared_until[experiment] = time.monotonic() + COMPARED_SECONDS
        self._compared_until.move_to_end(experiment)
        while len(self._compared_until) > MAX_COMPARED:
            self._compared_until.popitem(last=False)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled() and task.exception() is None:
            self._fresh_until, self.read_at = time.monotonic() + FRESH_SECONDS, time.time()
            self._after_refresh()

    async def _read_new(self) -> None:
        number = self.index.number
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                texts = await self._read_records(number + 1, number + 1)
                head = await self._read_head() if texts else 0
            if head - number > SEGMENT_RECORDS:
                async with self._loads, asyncio.timeout(REFRESH_SECONDS):
                    await self._read_segments(number, head)
            async with asyncio.timeout(REFRESH_SECONDS):
                if self.index.number == number:
                    await self._add(texts, number + 1)
                if texts:
                    await self._read_forward()
        except TimeoutError as error:
            self._refused_until = time.monotonic() + RETRY_SECONDS
            raise self._too_slow() from error

    def _too_slow(self) -> StoreUnreachable:
        return StoreUnreachable(
            f"the records of namespace '{self._bucket.namespace}' were not read within {REFRESH_SECONDS:g} seconds; retry in a minute"
        )

    async def _read_forward(self) -> None:
        """Reads on by number until there is no further record."""
        parallel = 1
        while True:
            first = self.index.number + 1
            texts = await self._read_records(first, first + parallel - 1)
            await self._add(texts, first + len(texts) - 1)
            if len(texts) < parallel:
                return
            parallel = min(2 * parallel, PARALLEL_RECORDS)

    async def _read_segments(self, number: int, head: int) -> None:
        """Reads whole segments from the newest back to record `number`, or until the index is full; then those of the last one.

        It ends at a segment without any record: a head that is wrong leads to no others, and older ones are gone.
        """
        newest, oldest = head // SEGMENT_RECORDS, number // SEGMENT_RECORDS + 1
        segments: list[list[bytes]] = []
        size = 0
        last = newest
        while last >= oldest and size <= self._max_bytes and all(segments):
            wanted = range(last, max(last - PARALLEL_SEGMENTS, oldest - 1), -1)
            segments += await asyncio.gather(*map(self._read_segment, wanted))
            size = sum(len(text) + ROW_BYTES for texts in segments for text in texts)
            last = wanted[-1] - 1
        found = segments.index([]) if [] in segments else len(segments)
        del segments[found:]
        if segments:
            self.index.left_out += (newest - found + 1 - oldest) * SEGMENT_RECORDS
        last_number = number
        for k, texts in zip(range(newest - len(segments) + 1, newest + 1), reversed(segments), strict=True):
            first = (k - 1) * SEGMENT_RECORDS + 1
            await self._add(texts[max(0, last_number + 1 - first) :] if k == oldest else texts, k * SEGMENT_RECORDS)

    async def _read_segment(self, segment: int) -> list[bytes]:
        """The 256 records of a segment; one by one where it is missing or damaged."""
        try:
            packed = await self._bucket.get(f"tracking/segments/{segment:010d}.json.gz", MAX_SEGMENT_BYTES)
            lines = await run_in_worker(_unpack_lines, packed)
        except (ObjectMissing, TooLarge, StoredDataInvalid):
            lines = []
        if len(lines) == SEGMENT_RECORDS:
            return lines
        first = (segment - 1) * SEGMENT_RECORDS + 1
        return await self._read_records(first, first + SEGMENT_RECORDS - 1)

    async def _read_records(self, first: int, last: int) -> list[bytes]:
        """The records from `first` to `last`, up to the first that does not exist."""
        found: list[bytes] = []
        for start in range(first, last + 1, PARALLEL_RECORDS):
            numbers = range(start, min(start + PARALLEL_RECORDS, last + 1))
            for text in await asyncio.gather(*map(self._read_record, numbers)):
                if text is None:
                    return found
                found.append(text)
        return found

    async def _read_record(self, number: int) -> bytes | None:
        try:
            return await self._bucket.get(f"tracking/log/{number:010d}.json", MAX_RECORD_BYTES)
        except ObjectMissing:
            return None
        except TooLarge:
            return b""  # no record of ours: it is left out

    async def _read_head(self) -> int:
        """The number in the head, 0 where there is none."""
        try:
            number = orjson.loads(await self._bucket.get("tracking/head.json", MAX_HEAD_BYTES))["number"]
        except (ObjectMissing, TooLarge, ValueError, KeyError, TypeError):
            return 0
        return number if isinstance(number, int) else 0

    async def _add(self, texts: list[bytes], number: int) -> None:
        if texts:
            await run_in_worker(self.index.add, texts, number)


def _unpack_lines(packed: bytes) -> list[bytes]:
    """The lines of a segment, and what follows the last one of 256 as one more: any number of them would take any memory."""
    lines = unpack(packed, MAX_SEGMENT_BYTES).split(b"\n", SEGMENT_RECORDS)
    return lines if lines[-1] else lines[:-1]


def unpack(packed: bytes, limit: int) -> bytes:
    """The content of gzip bytes. Raises TooLarge beyond `limit`, StoredDataInvalid for what is no gzip."""
    decompressor = zlib.decompressobj(wbits=31)
    try:
        content = decompressor.decompress(packed, limit)
    except zlib.error as error:
        raise StoredDataInvalid(
            "a compressed object in the store cannot be unpacked; restore it from a backup"
        ) from error
    if decompressor.unconsumed_tail:
        raise TooLarge(f"a compressed object has more than {limit:,} bytes unpacked")
    return content
