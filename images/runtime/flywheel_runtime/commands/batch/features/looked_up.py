"""Chunks of a batch with the features of FeatureSets as further columns: many chunks at once, because each join reads the Datasets."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from flywheel_runtime.commands.batch.features.input_values import find_wrong, input_sql, whole_microseconds_sql
from flywheel_runtime.commands.batch.features.pinned_sets import PinnedSet, PinnedSets
from flywheel_runtime.commands.batch.inference.cells import Cell
from flywheel_runtime.commands.batch.reading import Chunk, Piece, RowError
from flywheel_runtime.commands.batch.reading.text_rows import TABLE_NUMBERS
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.sql import is_resource_error, quote_column
from flywheel_runtime.datasets.types import SQL_TYPE
from flywheel_runtime.features.feature_sets.definition import ColumnType, Definition
from flywheel_runtime.features.feature_sets.point_in_time import BASE, FeatureSource, Found, look_up

# Of one join. Its tables are in the step's database, on disk: more rows take more disk, and fewer read the Datasets more often.
MAX_ROWS, MAX_CHUNKS = 1_000_000, 64
ReadChunk = tuple[Piece, Chunk]


@dataclass(frozen=True)
class FeatureJoin:
    """Adds the features of these sets, each with its rows in `sources`. `describe_cells`: what the columns of a piece's chunks hold."""

    connection: duckdb.DuckDBPyConnection
    sets: PinnedSets
    sources: Sequence[FeatureSource]
    describe_cells: Callable[[Piece], Mapping[str, Cell]]

    def add_to(self, chunks: Iterable[ReadChunk]) -> Iterator[ReadChunk]:
        """The chunks with the features. Refused are rows without a value by the rule `missing: Refuse`, and those with an input that is no value."""
        for group in divide((piece, self._own_table(chunk)) for piece, chunk in chunks):
            with _translate_resource_errors():
                for pinned, source in zip(self.sets.sets, self.sources, strict=True):
                    group = self._join(group, pinned, source)
            yield from group

    def _own_table(self, chunk: Chunk) -> Chunk:
        """The chunk with a table of its own, whose rows DuckDB numbers."""
        if not len(chunk):
            return chunk
        table = f"chunk{next(TABLE_NUMBERS)}"
        self.connection.execute(f"CREATE TEMP TABLE {table} AS FROM {chunk.rows}")
        if chunk.table is not None:
            self.connection.execute(f"DROP TABLE {chunk.table}")
        return replace(chunk, rows=table, table=table)

    def _join(self, group: Sequence[ReadChunk], pinned: PinnedSet, source: FeatureSource) -> list[ReadChunk]:
        starts = self._fill_base(group, source.definition)
        with look_up(self.connection, source) as found:
            wanted = [each for each in found if each.feature in pinned.wanted]
            joined = []
            for (piece, chunk), start in zip(group, starts, strict=True):
                refused = {**self._find_wrong(piece, chunk, source.definition.asked_inputs), **chunk.refused}
                checked = replace(chunk, refused=refused)
                joined.append((piece, self._with_features(checked, start, pinned, wanted) if len(chunk) else chunk))
            return joined

    def _fill_base(self, group: Sequence[ReadChunk], definition: Definition) -> list[int]:
        """Fill the table BASE from all chunks; the number there of the first row of each."""
        inputs, time = definition.asked_inputs, definition.event_time
        keys = {each.name: f"i{place}" for place, each in enumerate(definition.inputs) if each.name in inputs}
        del keys[time]  # a time is no key
        declared = ", ".join(f"{column} {SQL_TYPE[inputs[name]]}" for name, column in keys.items())
        self.connection.execute(f"CREATE TABLE {BASE} (row BIGINT, micros BIGINT, {declared})")
        starts, start = [], 0
        for piece, chunk in group:
            starts.append(start)
            if len(chunk):
                cells = self.describe_cells(piece)
                values = [f"{input_sql(cells[name], inputs[name])} AS {column}" for name, column in keys.items()]
                selected = ", ".join([f"{input_sql(cells[time], inputs[time])} AS micros", *values])
                # In two steps, so that a text is parsed once.
                named = f"SELECT rowid + {start} AS row, {selected} FROM {chunk.rows}"
                micros = whole_microseconds_sql("micros")
                self.connection.execute(f"INSERT INTO {BASE} SELECT * REPLACE ({micros} AS micros) FROM ({named})")
            start += len(chunk)
        return starts

    def _find_wrong(self, piece: Piece, chunk: Chunk, inputs: Mapping[str, ColumnType]) -> dict[int, RowError]:
        found: dict[int, RowError] = {}
        cells = self.describe_cells(piece)
        for name, kind in inputs.items() if len(chunk) else ():
            for place, words in find_wrong(self.connection, chunk.rows, cells[name], kind).items():
                found[place] = RowError(chunk.numbers[place], "BadValue", f"column '{name}': {words}")
        return found

    def _with_features(self, chunk: Chunk, start: int, pinned: PinnedSet, found: Sequence[Found]) -> Chunk:
        table = f"chunk{next(TABLE_NUMBERS)}"
        added = ", ".join(f"{each.name}.{each.column} AS {quote_column(each.feature)}" for each in found)
        tables = dict.fromkeys(each.name for each in found)
        joins = " ".join(f"JOIN {name} ON {name}.row = rows.rowid + {start}" for name in tables)
        query = f"SELECT rows.*, {added} FROM {chunk.rows} AS rows {joins} ORDER BY rows.rowid"
        self.connection.execute(f"CREATE TEMP TABLE {table} AS {query}; DROP TABLE {chunk.rows}")
        missing: dict[int, RowError] = {}
        for each in found:
            if each.missing == "Refuse":
                words = f"FeatureSet '{pinned.definition.name}' has no value of '{each.feature}' as of this row, and refuses such rows (missing: Refuse)"
                without = f"SELECT rowid AS place FROM {table} WHERE {quote_column(each.feature)} IS NULL"
                for place in self.connection.execute(without).fetchnumpy()["place"].tolist():
                    missing[place] = RowError(chunk.numbers[place], "FeatureMissing", words)
        return replace(chunk, rows=table, table=table, refused={**missing, **chunk.refused})


@contextmanager
def _translate_resource_errors() -> Iterator[None]:
    """Turn DuckDB's running out of memory or disk into what a batch step says of it."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise MemoryError from error
    except duckdb.IOException as error:
        if not is_resource_error(error):
            raise
        words = "the pod's disk is full with the rows that are joined; raise the limit of ephemeral-storage in spec.resources"
        raise Failure("DiskFull", words) from error


def divide(chunks: Iterable[ReadChunk]) -> Iterator[list[ReadChunk]]:
    """The chunks that are joined at once, in their order."""
    group: list[ReadChunk] = []
    for each in chunks:
        group.append(each)
        if len(group) == MAX_CHUNKS or sum(len(chunk) for _, chunk in group) >= MAX_ROWS:
            yield group
            group = []
    if group:
        yield group


def add_stand_ins(connection: duckdb.DuckDBPyConnection, rows: str, features: Mapping[str, ColumnType]) -> str:
    """A table of the rows with a value for each feature that differs from row to row, for who asks the model and not what it predicts."""
    values: Mapping[ColumnType, str] = {
        "Integer": '"#row" + 1',
        "Float": '("#row" + 1)::DOUBLE',
        "String": '"#row"::VARCHAR',
        "Boolean": '"#row" % 2 = 0',
        "Timestamp": 'make_timestamp("#row")',
    }
    added = ", ".join(f"{values[kind]} AS {quote_column(name)}" for name, kind in features.items())
    name = f"chunk{next(TABLE_NUMBERS)}"
    numbered = f'SELECT *, row_number() OVER () - 1 AS "#row" FROM {rows}'
    connection.execute(
        f'CREATE TEMP TABLE {name} AS SELECT * EXCLUDE ("#row"), {added} FROM ({numbered}) ORDER BY "#row"'
    )
    return name
