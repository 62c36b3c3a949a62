"""What the reader of a connection received and the writer has not written yet."""

import time
from dataclasses import dataclass, field

MAX_RECENT_NUMBERS = 100_000  # more than the messages that wait at any time


class RecentNumbers:
    """The numbers of the newest messages, by which one that a server sends again is known."""

    def __init__(self, limit: int = MAX_RECENT_NUMBERS) -> None:
        self._limit = limit
        self._numbers: dict[int, None] = {}  # oldest first

    def add(self, number: int) -> bool:
        """Returns whether the number is new. Forgets the oldest one beyond the limit."""
        if number in self._numbers:
            return False
        self._numbers[number] = None
        if len(self._numbers) > self._limit:
            del self._numbers[next(iter(self._numbers))]
        return True


@dataclass
class MessageBatch:
    """Messages that are written as one file, with so many `items` (rows or labels); `size` is in bytes."""

    contents: list[bytes] = field(default_factory=list)
    items: int = 0
    size: int = 0
    oldest_at: float = 0.0  # time.monotonic's clock

    def add(self, content: bytes, items: int) -> None:
        if not self.contents:
            self.oldest_at = time.monotonic()
        self.contents.append(content)
        self.items += items
        self.size += len(content)

    def remove(self, contents: list[bytes], items: int) -> int:
        """Removes the first messages, which were written; returns their bytes. The others are as old as this moment."""
        size = sum(map(len, contents))
        del self.contents[: len(contents)]
        self.items -= items
        self.size -= size
        self.oldest_at = time.monotonic()
        return size

    def is_due(self, max_items: int, max_bytes: int, seconds: float) -> bool:
        """Whether it is full, or the oldest message has waited so long."""
        is_full = self.items >= max_items or self.size >= max_bytes
        return bool(self.contents) and (is_full or time.monotonic() - self.oldest_at >= seconds)


@dataclass
class Queue:
    """Messages that were read and not yet written; `batches` are by kind, and `size` is in bytes."""

    batches: dict[str, MessageBatch] = field(default_factory=lambda: {"rows": MessageBatch(), "labels": MessageBatch()})
    counts: list[bytes] = field(default_factory=list)
    size: int = 0
    ended_at: float | None = None  # when the server closed the pipe
    is_complete: bool = False  # all that the server sent was read

    @property
    def is_empty(self) -> bool:
        return not self.counts and not any(batch.contents for batch in self.batches.values())
