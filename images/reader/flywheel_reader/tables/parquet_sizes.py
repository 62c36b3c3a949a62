"""What a Parquet file takes in memory when it is decoded, from its footer and the heads of its pages, before a decoder reads it.

A few bytes may be gigabytes once they are unpacked: a page that compresses well, or one long text of a dictionary in every row. The
heads of pages are what a decoder allocates by; the footer's own sums are only what the file says of itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flywheel_reader.errors import StoredDataInvalid, TooLarge
from flywheel_reader.tables.compact_thrift import LIST, STRUCT, ThriftReader

MAGIC = b"PAR1"
MAX_FOOTER_BYTES = 4 << 20
MAX_PAGES = 50_000
MAX_CHUNKS = 50_000
MAX_UNPACKED_BYTES = 48 << 20  # of the pages that are unpacked at a time: one and the dictionary of each column
MAX_BATCH_BYTES = 48 << 20  # of a batch, if all of its values are as long as they may be
BATCH_ROWS = (1024, 256, 64, 16, 4, 1)
FIXED_BYTES = 16  # of a value with a fixed width, and what each value takes beside
BYTE_ARRAYS = (6, 7)  # physical types
DELTA_BYTE_ARRAY = 7  # an encoding in which a value may repeat the one before
DICTIONARY_PAGE = 2
REPEATED = 2  # a repetition type


@dataclass(frozen=True)
class _Page:
    rows: int
    size: int  # unpacked
    is_repeating: bool


@dataclass
class _Chunk:
    """A column in a row group."""

    kind: int = 0
    start: int = 0
    dictionary_start: int | None = None
    packed: int = 0
    dictionary: int = 0  # bytes, unpacked
    pages: list[_Page] = field(default_factory=list)

    @property
    def unpacked(self) -> int:
        """The bytes of its largest page and its dictionary."""
        return self.dictionary + max((page.size for page in self.pages), default=0)

    @property
    def longest(self) -> int:
        """The most bytes of a value that may repeat."""
        return (
            max(self.dictionary, *(page.size for page in self.pages if page.is_repeating), 0)
            if self.kind in BYTE_ARRAYS
            else 0
        )


@dataclass
class _Footer:
    groups: list[list[_Chunk]] = field(default_factory=list)
    has_lists: bool = False

    def columns(self) -> Iterator[list[_Chunk]]:
        """The chunks of each column."""
        for column in range(max(map(len, self.groups), default=0)):
            yield [group[column] for group in self.groups if column < len(group)]


def batch_rows(content: bytes) -> int:
    """How many rows may be decoded at a time. Raises TooLarge if not even one may, StoredDataInvalid for what is no Parquet."""
    try:
        footer = _read_footer(content)
        pages = MAX_PAGES
        for chunk in (chunk for group in footer.groups for chunk in group):
            _read_pages(content, chunk, pages)
            pages -= len(chunk.pages)
    except ValueError as error:
        raise StoredDataInvalid(
            f"a Parquet file in the store cannot be read: {error}; restore the store from a backup"
        ) from error
    unpacked = max((sum(chunk.unpacked for chunk in group) for group in footer.groups), default=0)
    if unpacked <= MAX_UNPACKED_BYTES:
        for rows in BATCH_ROWS:
            if _batch_bytes(footer, rows) <= MAX_BATCH_BYTES:
                return rows
    raise _too_large()


def _too_large() -> TooLarge:
    return TooLarge(
        f"rows of this file take more than {MAX_UNPACKED_BYTES:,} bytes of memory at a time once they are unpacked; download the file by its path"
    )


def _batch_bytes(footer: _Footer, rows: int) -> int:
    """The most bytes of a batch: fixed widths, texts that may repeat, and the pages whose texts are as long as they lie there.

    A row of a list may have all values of its column.
    """
    total = 0
    for chunks in footer.columns():
        values = max(sum(page.rows for page in chunk.pages) for chunk in chunks) if footer.has_lists else rows
        total += values * (FIXED_BYTES + max(chunk.longest for chunk in chunks))
        if any(chunk.kind in BYTE_ARRAYS for chunk in chunks):
            pages = [page for chunk in chunks for page in chunk.pages]
            total += sum(page.size for page in pages) if footer.has_lists else _window_bytes(pages, rows)
    return total


def _window_bytes(pages: list[_Page], rows: int) -> int:
    """The most bytes of the pages that any of the batches, each of `rows` rows from the first row on, has rows of."""
    most = size = row = 0
    window = -1  # the batch that `size` is of
    for page in pages:
        first, last = row // rows, max(row, row + page.rows - 1) // rows
        size = page.size + (size if first == window else 0)
        most = max(most, size)
        size = page.size if last > first else size
        window, row = last, row + page.rows
    return most


def _read_footer(content: bytes) -> _Footer:
    if not (content.startswith(MAGIC) and content.endswith(MAGIC)) or len(content) < 12:
        raise ValueError("it is no Parquet file, which its name says")
    size = int.from_bytes(content[-8:-4], "little")
    if size > MAX_FOOTER_BYTES:
        raise _too_large()
    if size > len(content) - 12:
        raise ValueError("its footer is longer than the file")
    reader = ThriftReader(content, len(content) - 8 - size)
    footer = _Footer()
    for number, kind in reader.fields():
        match number:
            case 2 if kind == LIST:
                footer.has_lists = REPEATED in [_read_repetition(reader) for _ in _structures(reader)]
            case 4 if kind == LIST:
                footer.groups = [_read_group(reader) for _ in _structures(reader)]
            case _:
                reader.skip(kind)
    if sum(map(len, footer.groups)) > MAX_CHUNKS:
        raise _too_large()
    return footer


def _structures(reader: ThriftReader) -> Iterator[int]:
    count, kind = reader.elements()
    if kind != STRUCT:
        raise ValueError("its footer has a list of something else")
    if count > MAX_CHUNKS:
        raise _too_large()
    yield from range(count)


def _read_repetition(reader: ThriftReader) -> int:
    """That of an element of the schema."""
    repetition = 0
    for number, kind in reader.fields():
        if number == 3:
            repetition = reader.integer()
        else:
            reader.skip(kind)
    return repetition


def _read_group(reader: ThriftReader) -> list[_Chunk]:
    chunks: list[_Chunk] = []
    for number, kind in reader.fields():
        if (number, kind) == (1, LIST):
            chunks = [_read_chunk(reader) for _ in _structures(reader)]
        else:
            reader.skip(kind)
    return chunks


def _read_chunk(reader: ThriftReader) -> _Chunk:
    chunk = _Chunk()
    for number, kind in reader.fields():
        if number == 3 and kind == STRUCT:
            _read_metadata(reader, chunk)
        else:
            reader.skip(kind)
    return chunk


def _read_metadata(reader: ThriftReader, chunk: _Chunk) -> None:
    for number, kind in reader.fields():
        match number:
            case 1:
                chunk.kind = reader.integer()
            case 7:
                chunk.packed = reader.integer()
            case 9:
                chunk.start = reader.integer()
            case 11:
                chunk.dictionary_start = reader.integer()
            case _:
                reader.skip(kind)


def _read_pages(content: bytes, chunk: _Chunk, max_pages: int) -> None:
    """The heads of a chunk's pages, one after the other as a decoder reads them."""
    position = chunk.start if chunk.dictionary_start is None else chunk.dictionary_start
    end = position + chunk.packed
    if not 0 <= position <= end <= len(content):
        raise ValueError("its footer leads out of the file")
    while position < end:
        kind, page, packed, position = _read_page(content, position)
        position += packed
        if packed < 0 or page.size < 0 or page.rows < 0 or position > end:
            raise ValueError("a page is longer than its column")
        if kind == DICTIONARY_PAGE:
            chunk.dictionary = max(chunk.dictionary, page.size)
        else:
            chunk.pages.append(page)
        if len(chunk.pages) > max_pages:
            raise _too_large()


def _read_page(content: bytes, position: int) -> tuple[int, _Page, int, int]:
    """Type and page, its length in the file, and where its content begins."""
    reader = ThriftReader(content, position)
    kind = size = packed = rows = encoding = 0
    for number, field_kind in reader.fields():
        match number:
            case 1:
                kind = reader.integer()
            case 2:
                size = reader.integer()
            case 3:
                packed = reader.integer()
            case 5 | 7 | 8 if field_kind == STRUCT:
                rows, encoding = _read_data_head(reader, encoding_field=4 if number == 8 else 2)
            case _:
                reader.skip(field_kind)
    return kind, _Page(rows, size, encoding == DELTA_BYTE_ARRAY), packed, reader.position


def _read_data_head(reader: ThriftReader, encoding_field: int) -> tuple[int, int]:
    values = encoding = 0
    for number, kind in reader.fields():
        if number == 1:
            values = reader.integer()
        elif number == encoding_field:
            encoding = reader.integer()
        else:
            reader.skip(kind)
    return values, encoding
