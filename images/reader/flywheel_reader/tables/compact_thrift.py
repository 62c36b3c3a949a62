"""Reading Thrift's compact protocol, in which Parquet describes itself: fields one by one, without building what nobody needs."""

from collections.abc import Iterator

BOOLEAN_TRUE, BOOLEAN_FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
MAX_DEPTH = 16
MAX_FIELDS = 1_000_000  # of all structures: it takes a second


class ThriftReader:
    """Reads from `position` on. A field is read, or it is skipped. All methods raise ValueError for what is no Thrift."""

    def __init__(self, content: bytes, position: int) -> None:
        self.position = position
        self._content = content
        self._fields = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """The number and type of each field of a structure, whose value is at the position then."""
        number = 0
        while head := self._byte():
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise ValueError("it has too many fields")
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 15

    def elements(self) -> tuple[int, int]:
        """The number and type of the elements of a list, the first of which is at the position then."""
        head = self._byte()
        count = head >> 4
        return (self._varint() if count == 15 else count), head & 15

    def integer(self) -> int:
        """A whole number."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def binary(self) -> bytes:
        """Bytes, or a text in UTF-8."""
        size = self._varint()
        self._advance(size)
        return self._content[self.position - size : self.position]

    def skip(self, kind: int, depth: int = 0) -> None:
        """Leaves out a value."""
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deep")
        match kind:
            case 1 | 2:  # the type of a field has the value
                pass
            case 3:
                self._byte()
            case 4 | 5 | 6:
                self._varint()
            case 7:
                self._advance(8)
            case 8:
                self._advance(self._varint())
            case 9 | 10:
                count, element = self.elements()
                self._skip_elements(count, element, depth)
            case 12:
                for _, field in self.fields():
                    self.skip(field, depth + 1)
            case _:  # Parquet has no maps
                raise ValueError(f"it has a value of the type {kind}")

    def _skip_elements(self, count: int, kind: int, depth: int) -> None:
        if kind in (BOOLEAN_TRUE, BOOLEAN_FALSE, I8):
            self._advance(count)
            return
        for _ in range(count):
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise ValueError("it has too many elements")
            self.skip(kind, depth + 1)

    def _byte(self) -> int:
        if self.position >= len(self._content):
            raise ValueError("it ends too early")
        self.position += 1
        return self._content[self.position - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("it has a number that is too large")

    def _advance(self, count: int) -> None:
        self.position += count
        if self.position > len(self._content):
            raise ValueError("it ends too early")
