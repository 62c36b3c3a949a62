"""Bringing one object to a file: to a temporary name, resumed where it broke off, renamed when it is whole."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from flywheel_runtime.contract.errors import DigestMismatch, ObjectMissing, Transient
from flywheel_runtime.store.retry import Retry

HASH_CHUNK = 1 << 20
OpenStream = Callable[[int], Iterator[bytes]]


def download(
    target: Path, stream: OpenStream, retry: Retry, *, sha256: str | None = None, size: int | None = None
) -> str:
    """Write `stream(start)`, an iterator of bytes from offset `start`, to `target`; the SHA-256 in hex.

    A part that an earlier try left is continued if a SHA-256 is there to check it. Bytes that came give the retry new
    patience. If the whole has the wrong SHA-256 it is brought once more from the start, for it may have been damaged on
    its way, then DigestMismatch.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name[:50] + ".part")
    if sha256 is None:
        part.unlink(missing_ok=True)
    for last in (False, True):
        try:
            found = _download(part, stream, retry, size)
        except ObjectMissing:
            part.unlink(missing_ok=True)  # nothing of it will ever come
            raise
        if sha256 in (None, found):
            part.rename(target)
            return found
        part.unlink()
        if last:
            raise DigestMismatch(found, str(sha256))
    raise AssertionError


def _download(part: Path, stream: OpenStream, retry: Retry, size: int | None) -> str:
    digest = hashlib.sha256()
    with part.open("a+b") as file:
        file.seek(0)
        while chunk := file.read(HASH_CHUNK):
            digest.update(chunk)

        def once() -> bool:
            """Whether the end was reached; False if it broke off after some bytes had come."""
            start = file.tell()
            if size is not None and start >= size:
                return True
            try:
                for chunk in stream(start):
                    file.write(chunk)
                    digest.update(chunk)
            except Transient:
                if file.tell() == start:
                    raise
                return False
            return True

        while not retry.call(once):
            pass
    return digest.hexdigest()
