"""All rows are in some shard, in order, and no shard has much more than its share."""

from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.commands.batch.reading import Slice
from flywheel_runtime.commands.batch.scoring_plan import shards

FILES = st.lists(st.lists(st.integers(1, 1000), max_size=8), min_size=1, max_size=6).filter(any)


def cut(sizes: list[int]) -> list[Slice]:
    """A file's slices, one row for each byte."""
    found: list[Slice] = []
    at = 0
    for size in sizes:
        found.append(Slice(at, at + size, at + 1, size, size))
        at += size
    return found


@given(FILES, st.integers(1, 10))
def test_every_row_is_in_one_shard(files: list[list[int]], most: int) -> None:
    found = shards([cut(sizes) for sizes in files], most)

    rows = [
        (p.file, row) for shard in found for p in shard for row in range(p.slice.first, p.slice.first + p.slice.rows)
    ]
    assert rows == [(at, row) for at, sizes in enumerate(files) for row in range(1, sum(sizes) + 1)]
    assert 1 <= len(found) <= most
    assert all(found)


@given(FILES, st.integers(1, 10))
def test_no_shard_has_more_than_its_share_and_one_slice(files: list[list[int]], most: int) -> None:
    slices = [cut(sizes) for sizes in files]
    total = sum(part.size for parts in slices for part in parts)
    largest = max(part.size for parts in slices for part in parts)

    for shard in shards(slices, most):
        assert sum(piece.slice.size for piece in shard) <= total / most + largest


def test_neighbours_in_a_file_are_read_as_one() -> None:
    (shard,) = shards([cut([10, 20]), cut([5])], 1)

    assert [(piece.file, piece.slice.start, piece.slice.stop, piece.slice.rows) for piece in shard] == [
        (0, 0, 30, 30),
        (1, 0, 5, 5),
    ]
