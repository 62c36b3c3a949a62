"""The bounds of a text column in a Parquet file's footer, so that a file without a value is known by its last bytes."""

from collections.abc import Iterator

from flywheel_reader.tables.compact_thrift import LIST, STRUCT, ThriftReader

MAGIC = b"PAR1"
Bounds = tuple[
    bytes | None, bytes | None
]  # the least and the greatest value of a row group, None where the file does not say


def may_contain(tail: bytes, column: str, value: str) -> bool:
    """Whether the file that ends with `tail` may have this text in a column at its top. True where its footer does not say, or is longer."""
    try:
        return any(_is_within(bounds, value.encode()) for bounds in _row_groups(tail, column.encode()))
    except ValueError:
        return True  # whoever decodes it says what is wrong


def _is_within(bounds: Bounds, value: bytes) -> bool:
    least, greatest = bounds
    return (least is None or least <= value) and (greatest is None or value <= greatest)


def _row_groups(tail: bytes, column: bytes) -> Iterator[Bounds]:
    size = int.from_bytes(tail[-8:-4], "little")
    if not tail.endswith(MAGIC) or size > len(tail) - 8:
        raise ValueError("the footer is not in these bytes")
    reader = ThriftReader(tail, len(tail) - 8 - size)
    for number, kind in reader.fields():
        if (number, kind) == (4, LIST):
            for _ in range(_structures(reader)):
                yield _read_group(reader, column)
        else:
            reader.skip(kind)


def _structures(reader: ThriftReader) -> int:
    count, kind = reader.elements()
    if kind != STRUCT and count:
        raise ValueError("its footer has a list of something else")
    return count


def _read_group(reader: ThriftReader, column: bytes) -> Bounds:
    """Those of a row group; a file without the column contains nothing."""
    found: Bounds = (b"\xff", b"")
    for number, kind in reader.fields():
        if (number, kind) == (1, LIST):
            for _ in range(_structures(reader)):
                path, bounds = _read_chunk(reader)
                found = bounds if path == [column] else found
        else:
            reader.skip(kind)
    return found


def _read_chunk(reader: ThriftReader) -> tuple[list[bytes], Bounds]:
    path: list[bytes] = []
    bounds: Bounds = (None, None)
    for number, kind in reader.fields():
        if (number, kind) == (3, STRUCT):
            path, bounds = _read_metadata(reader)
        else:
            reader.skip(kind)
    return path, bounds


def _read_metadata(reader: ThriftReader) -> tuple[list[bytes], Bounds]:
    path: list[bytes] = []
    bounds: Bounds = (None, None)
    for number, kind in reader.fields():
        match number:
            case 3 if kind == LIST:
                path = [reader.binary() for _ in range(reader.elements()[0])]
            case 12 if kind == STRUCT:
                bounds = _read_statistics(reader)
            case _:
                reader.skip(kind)
    return path, bounds


def _read_statistics(reader: ThriftReader) -> Bounds:
    """A writer may shorten both; the greatest is then made greater, and stays a bound. Fields 1 and 2 compare otherwise."""
    least = greatest = None
    for number, kind in reader.fields():
        match number:
            case 5:
                greatest = reader.binary()
            case 6:
                least = reader.binary()
            case _:
                reader.skip(kind)
    return least, greatest
