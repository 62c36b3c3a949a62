"""Text cut into records: lines, or what CSV takes for one row, whose quoted cells may hold line ends.

Planning and reading use the same cut, so that they count the same rows. A line end counts where the number of quotes before it in the
record is even (RFC 4180: a quote inside a quoted cell is doubled).
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.commands.batch.formats import RowError, Slice
from flywheel_runtime.commands.batch.storage.locations import File, Source, blocks
from flywheel_runtime.contract.errors import Failure

T = TypeVar("T")
AT_ONCE = 4096  # rows
LONGEST = 16 << 20  # bytes of one record
LINE_END, RETURN, QUOTE = 10, 13, 34
GZIP = b"\x1f\x8b"
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Records:
    """Whole records of a text: `starts` and `ends` in `text` of those that are not blank."""

    text: bytes
    starts: Positions
    ends: Positions

    def all(self) -> list[bytes]:
        """Each record with its line end."""
        pairs = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return [self.text[start:end] for start, end in pairs]


def records(parts: Iterable[bytes], name: str, *, quoted: bool) -> Iterator[Records]:
    """Records as they come. Failure RecordTooLong names the file."""
    carry = b""
    for part in parts:
        text = carry + part
        ends = _ends(text, quoted)
        cut = int(ends[-1]) if ends.size else 0
        carry = text[cut:]
        if len(carry) > LONGEST:
            cure = "close the quote or write one record on each line" if quoted else "write one record on each line"
            words = f"file '{name}' has a record of more than {LONGEST >> 20} MiB"
            raise Failure("RecordTooLong", f"{words}; {cure}")
        if cut:
            yield _without_blanks(text[:cut], ends)
    if carry.strip():
        yield _without_blanks(carry, np.array([len(carry)], np.int64))


def _ends(text: bytes, quoted: bool) -> Positions:
    """Where records end: one beyond each line end that is in no quotes."""
    found = np.frombuffer(text, np.uint8)
    lines = np.flatnonzero(found == LINE_END)
    if quoted:
        quotes = np.flatnonzero(found == QUOTE)
        if quotes.size:
            lines = lines[np.searchsorted(quotes, lines) % 2 == 0]
    ends: Positions = lines + 1
    return ends


def _without_blanks(text: bytes, ends: Positions) -> Records:
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    lengths, found = ends - starts, np.frombuffer(text, np.uint8)
    blank = ((lengths == 1) & (found[starts] == LINE_END)) | ((lengths == 2) & (found[starts] == RETURN))
    return Records(text, starts[~blank], ends[~blank])


def first_records(source: Source, file: File, *, quoted: bool) -> list[bytes]:
    """The records at the beginning of a file; none where it has none."""
    found = records(content(source, file), file.path, quoted=quoted)
    return next((part.all() for part in found if part.starts.size), [])


def numbered_records(
    source: Source, file: File, part: Slice, *, quoted: bool, header: bool
) -> Iterator[tuple[int, list[bytes]]]:
    """The records of a slice but for the header, some thousand at a time; each time with the number of the first one's row."""
    number = part.first
    skip = header and part.start == 0  # only a compressed file's slice begins with the header
    for found in records(content(source, file, part.start, part.stop), file.path, quoted=quoted):
        whole = found.all()
        if skip and whole:
            whole, skip = whole[1:], False
        for start in range(0, len(whole), AT_ONCE):
            yield number + start, whole[start : start + AT_ONCE]
        number += len(whole)


def parse_each(
    lines: list[bytes], first: int, parse: Callable[[bytes, int], T | RowError]
) -> tuple[list[int], list[T], list[RowError]]:
    """The numbers and contents of the rows that can be read, and the others' errors. `parse` takes a record and its row's number."""
    found = [(number, parse(line, number)) for number, line in enumerate(lines, first)]
    good = [(number, row) for number, row in found if not isinstance(row, RowError)]
    bad = [row for _, row in found if isinstance(row, RowError)]
    return [number for number, _ in good], [row for _, row in good], bad


def slices(source: Source, file: File, every: int, *, quoted: bool, header: bool) -> list[Slice]:
    """The file cut after records, every so many bytes; a compressed file is one slice. Reads the file once."""
    if is_compressed(source, file):
        rows = sum(part.starts.size for part in records(content(source, file), file.path, quoted=quoted))
        return [Slice(0, file.size, 1, int(rows) - header, file.size)] if rows > header else []
    found: list[Slice] = []
    base, start, count, skip = 0, -1, 0, int(header)
    for part in records(blocks(source, file), file.path, quoted=quoted):
        starts, ends = (part.starts + base), (part.ends + base)
        if skip and starts.size:
            starts, ends, skip = starts[1:], ends[1:], 0
        while starts.size:
            start = int(starts[0]) if start < 0 else start
            last = int(np.searchsorted(ends, start + every))  # the first record that makes the slice long enough
            if last >= ends.size:
                count += ends.size
                break
            found.append(_slice(found, start, int(ends[last]), count + last + 1))
            starts, ends, start, count = starts[last + 1 :], ends[last + 1 :], -1, 0
        base += len(part.text)
    if count:
        found.append(_slice(found, start, file.size, count))
    return found


def _slice(before: list[Slice], start: int, stop: int, rows: int) -> Slice:
    first = before[-1].first + before[-1].rows if before else 1
    return Slice(start, stop, first, rows, stop - start)


def is_compressed(source: Source, file: File) -> bool:
    """Whether the bytes are gzip."""
    return source.read_range(file, 0, min(2, file.size)) == GZIP


def content(source: Source, file: File, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The text of a range, unpacked where the file is gzip. Failure BrokenGzip."""
    parts = blocks(source, file, start, stop)
    if start == 0 and is_compressed(source, file):
        return _unpacked(parts, file)
    return parts


def _unpacked(parts: Iterable[bytes], file: File) -> Iterator[bytes]:
    stream: Any = zlib.decompressobj(wbits=31)
    try:
        for part in parts:
            rest, more = part, True
            while rest or more:
                if stream.eof:  # gzip files may be written one after the other
                    stream = zlib.decompressobj(wbits=31)
                unpacked = stream.decompress(rest, LONGEST)
                yield unpacked
                rest = stream.unconsumed_tail or stream.unused_data
                more = len(unpacked) == LONGEST  # there may be more of it inside
        if not stream.eof:
            raise Failure("BrokenGzip", f"file '{file.path}' ends in the middle; write it again")
    except zlib.error as error:
        raise Failure("BrokenGzip", f"file '{file.path}' is broken gzip ({error}); write it again") from error
