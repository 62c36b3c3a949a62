"""Bodies that take long or much memory to decode: bounded in size, and decoded in a thread, one after the other.

Small bodies are decoded where they arrive, since a thread would cost more than the decoding. A large one would delay all
other clients and the probes there. orjson holds the interpreter's lock while it parses; between two bodies, and while
their values become arrays, other requests are answered.
"""

import asyncio
import gc
import logging
import re
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from flywheel_serving.errors import ModelFailed, RequestError, RequestTooLarge, TooManyRequests

INLINE_BYTES = 256 * 1024
BINARY_TEXTS_FACTOR = 4  # these have four bytes of length each, and take less memory for their bytes than JSON's values
MAX_WAITING_OF_PEER = 16
TEXTS = re.compile(rb"BYTES|\\u00[45]")  # the datatype, also with one of its letters escaped

log = logging.getLogger(__name__)

Callback = Callable[[Any], None]  # of what was decoded, or of a RequestError


@dataclass(frozen=True, slots=True)
class _Job:
    decode: Callable[[], Any]
    on_decoded: Callback


class LargeBodies:
    """Belongs to one event loop. `max_bytes` bounds what is decoded value by value: JSON, CSV and texts."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()  # by peer; the first is next
        self._is_decoding = False
        self._executor: ThreadPoolExecutor | None = None  # most servers never need it

    def is_large(self, body: bytes, json_length: int | None = None) -> bool:
        """Whether `body` must be decoded by `decode`. Raises RequestTooLarge.

        Binary numbers, which follow `json_length` bytes of JSON, are not decoded value by value. Binary texts are.
        """
        size, max_bytes = len(body), self._max_bytes
        if size <= INLINE_BYTES:
            return False
        if json_length is not None:
            head = body[: max(0, json_length)]
            if TEXTS.search(head) is None or len(head) > max_bytes:
                size = len(head)
            else:
                max_bytes *= BINARY_TEXTS_FACTOR
        if size > max_bytes:
            raise RequestTooLarge(
                f"body: {size} bytes of JSON, CSV or texts, at most {max_bytes} are decoded with the memory of this "
                "container; send numbers as binary tensors or over gRPC, send fewer rows in each request, or "
                "raise the memory in spec.resources"
            )
        return size > INLINE_BYTES

    def decode(self, peer: str, decode: Callable[[], Any], on_decoded: Callback) -> None:
        """Calls `decode` in the thread when it is the turn of `peer`, then `on_decoded` on the loop. Raises TooManyRequests."""
        jobs = self._waiting.setdefault(peer, deque())
        if len(jobs) >= MAX_WAITING_OF_PEER:
            raise TooManyRequests(
                f"{len(jobs)} large bodies of this client wait to be decoded, the limit; retry in a second"
            )
        jobs.append(_Job(decode, on_decoded))
        self._start_next()

    def _start_next(self) -> None:
        if self._is_decoding or not self._waiting:
            return
        peer, jobs = next(iter(self._waiting.items()))
        job = jobs.popleft()
        self._waiting.move_to_end(peer)
        if not jobs:
            del self._waiting[peer]
        self._is_decoding = True
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "decoding")
        loop = asyncio.get_running_loop()
        decoding = self._executor.submit(_decode_without_collections, job.decode)
        decoding.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finish, job, done))

    def _finish(self, job: _Job, decoding: "Future[Any]") -> None:
        self._is_decoding = False
        self._start_next()
        job.on_decoded(decoding.result())


def max_decoded_bytes(memory: int) -> int:
    """The largest body that is decoded value by value: decoding takes up to 32 times its bytes, and has a quarter of the memory."""
    return max(memory // 128, INLINE_BYTES)


def _decode_without_collections(decode: Callable[[], Any]) -> Any:
    # Each list of a document counts as garbage to come: collections take three times as long as the parsing.
    gc.disable()
    try:
        return decode()
    except RequestError as error:
        # Its traceback and causes hold the body, and a cycle of references would keep them until the next collection.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error
    except Exception:
        log.exception("a body could not be decoded")
        return ModelFailed("the server failed on this request; its log says why")
    finally:
        gc.enable()
