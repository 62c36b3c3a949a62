"""Text cut into records: lines, or what CSV takes for one row, whose quoted cells may hold line ends.

A line ends with LF, CR LF or CR. A quote opens a cell only where the cell begins, and inside it a quote is doubled (RFC 4180);
anywhere else it is a character like others, as in `5" disk`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats.dialect import Dialect

MAX_RECORD_BYTES = 16 << 20
LINE_END, RETURN, BLANK = 10, 13, 32
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Positions = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Records:
    """Whole records of a text: `starts` and `ends` in `text` of those that are not blank, line ends included."""

    text: bytes
    starts: Positions
    ends: Positions

    def __len__(self) -> int:
        return len(self.starts)

    def all(self) -> list[bytes]:
        """Each record with its line end."""
        pairs = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return [self.text[start:end] for start, end in pairs]

    def without_first(self) -> "Records":
        """All records but the first."""
        return Records(self.text, self.starts[1:], self.ends[1:])

    def canonical(self) -> bytes:
        """The records alone, each with LF as its end, but for the last one that has none."""
        has_gaps = int((self.ends - self.starts).sum()) < len(self.text)
        if not has_gaps and b"\r" not in self.text:
            return self.text
        text = np.frombuffer(self.text, np.uint8)
        bounds = np.zeros(len(text) + 1, np.int8)
        bounds[self.starts] += 1
        bounds[self.ends] -= 1
        stays = np.cumsum(bounds[:-1], dtype=np.int8) > 0
        last = self.ends - 1
        if b"\r" in self.text:
            text = text.copy()
            before = last[(text[last] == LINE_END) & (last > self.starts)] - 1
            stays[before[text[before] == RETURN]] = False
            text[last[text[last] == RETURN]] = LINE_END
        return text[stays].tobytes()


def split_records(blocks: Iterable[bytes], name: str, dialect: Dialect | None) -> Iterator[Records]:
    """Records as they come; `dialect` None: lines. Failure RecordTooLong names the file."""
    rest = b""
    for block in blocks:
        text = rest + block
        ends = find_ends(text, dialect)
        cut = int(ends[-1]) if ends.size else 0
        rest = text[cut:]
        if len(rest) > MAX_RECORD_BYTES:
            cure = "close the quote or write one record on each line" if dialect else "write one record on each line"
            message = f"File '{name}' has a record of more than {MAX_RECORD_BYTES >> 20} MiB; {cure}."
            raise Failure("RecordTooLong", message)
        if cut:
            yield _without_blanks(text[:cut], ends)
    if rest.strip():
        ends = find_ends(rest, dialect, is_last=True)
        ends = ends if ends.size and ends[-1] == len(rest) else np.append(ends, len(rest))
        yield _without_blanks(rest, ends)


def find_ends(text: bytes, dialect: Dialect | None, *, is_last: bool = False) -> Positions:
    """Where records end: one beyond each line end that is in no quotes. `text` begins with a record."""
    found = np.frombuffer(text, np.uint8)
    lines = np.flatnonzero(found == LINE_END)
    if b"\r" in text:
        # What follows a CR at the end of the text is not known yet.
        following = np.append(found[1:], 0 if is_last else LINE_END)
        lines = np.sort(np.concatenate([lines, np.flatnonzero((found == RETURN) & (following != LINE_END))]))
    if dialect is not None and dialect.quote and dialect.quote.encode() in text:
        opening, closing = _find_quoted(found, dialect)
        if opening.size:
            place = np.searchsorted(opening, lines) - 1
            lines = lines[(place < 0) | (lines > closing[place])]
    ends: Positions = lines + 1
    return ends


def _find_quoted(text: Bytes, dialect: Dialect) -> tuple[Positions, Positions]:
    """Where quoted cells begin and end; the last one ends beyond the text where it is not closed in it."""
    quotes = np.flatnonzero(text == ord(dialect.quote))
    opening, closing = quotes[0::2], quotes[1::2]
    opens = _begins_cell(text, opening, dialect) | (text[opening - 1] == ord(dialect.quote))
    following = text[np.minimum(closing + 1, len(text) - 1)]
    closes = (closing == len(text) - 1) | np.isin(
        following, [LINE_END, RETURN, *map(ord, dialect.delimiter + dialect.quote)]
    )
    if not (opens.all() and closes.all()):
        opening, closing = _walk_quotes(text, quotes, dialect)
    return opening, np.append(closing, len(text)) if len(closing) < len(opening) else closing


def _begins_cell(text: Bytes, places: Positions, dialect: Dialect) -> NDArray[np.bool_]:
    before = places - 1
    while dialect.blank_follows:
        blank = (before >= 0) & (text[before] == BLANK)
        if not blank.any():
            break
        before = np.where(blank, before - 1, before)
    return (before < 0) | np.isin(text[before], [LINE_END, RETURN, ord(dialect.delimiter)])


def _walk_quotes(text: Bytes, quotes: Positions, dialect: Dialect) -> tuple[Positions, Positions]:
    """As `_find_quoted`, quote by quote, where some of them are neither the begin nor the end of a cell."""
    begins = _begins_cell(text, quotes, dialect).tolist()
    places = quotes.tolist()
    opening: list[int] = []
    closing: list[int] = []
    at = 0
    while at < len(places):
        if len(opening) == len(closing):
            if begins[at]:
                opening.append(places[at])
        elif at + 1 < len(places) and places[at + 1] == places[at] + 1:
            at += 1
        else:
            closing.append(places[at])
        at += 1
    return np.array(opening, np.int64), np.array(closing, np.int64)


def _without_blanks(text: bytes, ends: Positions) -> Records:
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    found = np.frombuffer(text, np.uint8)
    first, length = found[starts], ends - starts
    is_blank = ((length == 1) & ((first == LINE_END) | (first == RETURN))) | ((length == 2) & (first == RETURN))
    return Records(text, starts[~is_blank], ends[~is_blank])
