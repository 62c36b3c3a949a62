"""The columns that a model's rows have, and the way from rows to the model's tensors."""

import struct
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from flywheel_serving.errors import InvalidRequest
from flywheel_serving.infer.requests import InputLayout
from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.model.signature import Signature, TensorSpec, column_names, is_single_column
from flywheel_serving.rest.predict.cells import has_inexact, key_array, to_array
from flywheel_serving.rest.predict.row_bodies import RowBody, quote_names

STRUCT_CODES = {"FP32": "f", "FP64": "d"}
MAX_LAYOUTS = 64  # by number of rows
MAX_BLOCK_ROWS = 4096  # of bodies that are packed at once

Tensors = dict[str, Array]
Block = tuple[InputLayout, Array]  # of all inputs, [input, *shape]


class ModelColumns:
    """The columns of a signature: one for each input, or one for each value of an input that takes several."""

    def __init__(self, signature: Signature) -> None:
        self._specs = signature.inputs
        self._names = [spec.name for spec in signature.inputs]
        self._batched = signature.batched
        self._ignored = signature.ignored_names
        self._layouts: dict[int, InputLayout] = {}
        self.column_names = [name for spec in self._specs for name in column_names(spec)]
        self._get_cells = itemgetter(*self.column_names)
        first = signature.inputs[0]
        self._has_timestamps = any(spec.is_timestamp for spec in self._specs)
        self._is_matrix = len(self._specs) == 1 and len(self.column_names) > 1
        self._datatype, self._row_shape = first.datatype, first.shape[1:]
        same = all((spec.datatype, spec.shape) == (first.datatype, first.shape) for spec in self._specs)
        fixed = self._batched and not first.any_rank and (self._is_matrix or is_single_column(first))
        self._packs = same and fixed and first.datatype in STRUCT_CODES

    def pack(self, body: RowBody) -> tuple[Tensors, Block] | None:
        """The tensors of records of numbers, all at once; None if they must be read one column after the other."""
        records = body.records
        if not self._packs or records is None or len(records) > MAX_BLOCK_ROWS:
            return None
        width, rows = len(self.column_names), len(records)
        kind = type(records[0])
        if (kind is not dict and kind is not list) or any(
            [type(record) is not kind or len(record) != width for record in records]  # noqa: C419  twice as fast
        ):
            return None
        try:
            cells = self._ordered_cells(records, kind)
            if self._has_timestamps:
                cells = list(cells)
                if bool in set(map(type, cells)):
                    return None  # struct takes a Boolean for a number, and it is no timestamp
            packed = _packer(self._datatype, width * rows)(*cells)
        except (KeyError, TypeError, struct.error, OverflowError):
            return None
        block = np.ndarray((len(self._names), rows, *self._row_shape), DTYPES[self._datatype], packed)
        if has_inexact(block, self._datatype):
            return None
        return dict(zip(self._names, block, strict=True)), (self._layout(rows), block)

    def _ordered_cells(self, records: list[Any], kind: type) -> Iterable[Any]:
        """All cells in the order of the block: row by row for a matrix, else column by column."""
        if len(self.column_names) == 1:
            [name] = self.column_names
            return [record[name] if kind is dict else record[0] for record in records]
        if len(records) == 1:
            cells: Iterable[Any] = self._get_cells(records[0]) if kind is dict else records[0]
            return cells
        lines = map(self._get_cells, records) if kind is dict else records
        return chain.from_iterable(lines if self._is_matrix else zip(*lines, strict=True))

    def _layout(self, rows: int) -> InputLayout:
        layout = self._layouts.get(rows)
        if layout is None:
            layout = InputLayout()
            if len(self._layouts) < MAX_LAYOUTS:
                self._layouts[rows] = layout
        return layout

    def tensors(self, body: RowBody, key: str) -> Tensors:
        """The tensors of any rows, and that of the column `key` if the rows have it. Raises InvalidRequest."""
        if not self._batched:
            raise InvalidRequest("this model's inputs have no row axis; use the path that ends with /infer")
        columns = body.columns if body.records is None else self._columns_of_records(body.records, key)
        found: Tensors = {}
        remaining = set(columns)
        missing: list[str] = []
        for spec in self._specs:
            names = [spec.name] if spec.name in columns else column_names(spec)
            missing += [name for name in names if name not in columns]
            remaining.difference_update(names)
            if not missing:
                found[spec.name] = _tensor(spec, names, columns, is_text=body.is_text)
        unknown = remaining - self._ignored - {key}
        if missing or unknown:
            raise self._mismatch(missing, [name for name in columns if name in unknown])
        if key and key in columns and key not in found:
            found[key] = _convert(key, lambda: key_array(columns[key]))
        return found

    def _mismatch(self, missing: list[str], extra: list[str]) -> InvalidRequest:
        findings = [
            *([f"missing {quote_names(missing)}"] if missing else []),
            *([f"unknown {quote_names(extra)}"] if extra else []),
        ]
        return InvalidRequest(f"columns: {'; '.join(findings)}; the model takes {quote_names(self.column_names)}")

    def _columns_of_records(self, records: list[Any], key: str) -> dict[str, list[Any]]:
        kinds = {type(record) for record in records}
        if kinds == {dict}:
            return self._columns_of_objects(records, key)
        if dict not in kinds and (kinds == {list} or list not in kinds):  # else single cells, also of several types
            return self._columns_of_lists(records, is_list=kinds == {list})
        raise InvalidRequest("rows: wanted objects with a cell for each column, or lists of cells")

    def _columns_of_objects(self, records: list[dict[str, Any]], key: str) -> dict[str, list[Any]]:
        names = records[0].keys()
        for index, record in enumerate(records):
            if record.keys() != names:
                other = [name for name in (*record, *names) if (name in record) != (name in names)]
                raise InvalidRequest(f"rows: row {index} and row 0 differ in {quote_names(other)}")
        return {name: [record[name] for record in records] for name in names}

    def _columns_of_lists(self, records: list[Any], *, is_list: bool) -> dict[str, list[Any]]:
        """Cells in the order of the model's columns; a row of the only input, if it takes several values."""
        [*names] = self._names
        if len(names) == 1 and (not is_list or self._specs[0].any_rank or not is_single_column(self._specs[0])):
            return {names[0]: records}
        if not is_list or any(len(record) != len(names) for record in records):
            raise InvalidRequest(f"rows: wanted {len(names)} cells in each row, for {quote_names(names)}")
        return dict(zip(names, map(list, zip(*records, strict=True)), strict=True))


def _tensor(spec: TensorSpec, names: list[str], columns: dict[str, list[Any]], *, is_text: bool) -> Array:
    arrays = [_convert(name, lambda name=name: to_array(columns[name], spec, is_text=is_text)) for name in names]
    if names == [spec.name]:
        return arrays[0]
    for name, array in zip(names, arrays, strict=True):
        if array.ndim != 1:
            raise InvalidRequest(f"column {name[:100]!r}: wanted one value in each row, found a list")
    return np.stack(arrays, axis=1).reshape(-1, *spec.shape[1:])


def _convert(name: str, convert: Any) -> Array:
    try:
        array: Array = convert()
    except (ValueError, IndexError) as error:
        raise InvalidRequest(f"column {name[:100]!r}: {error}") from error
    return array


@lru_cache(256)
def _packer(datatype: str, count: int) -> Any:
    return struct.Struct(f"<{count}{STRUCT_CODES[datatype]}").pack
