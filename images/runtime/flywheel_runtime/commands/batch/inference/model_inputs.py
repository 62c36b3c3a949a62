"""From a table's columns to the tensors that the model takes.

A cell becomes a value as it did when the model's data was checked for training (datasets/types): numbers for FP and INT tensors, where a
Boolean is 0 or 1; text for BYTES. What cannot be a value is told by its position.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import duckdb
import numpy as np

from flywheel_runtime.commands.batch.inference import cells
from flywheel_runtime.commands.batch.inference.cells import Cell, Wrong
from flywheel_runtime.commands.batch.inference.client import Array, Tensor
from flywheel_runtime.contract.errors import Failure

MOST_NAMED = 10


@dataclass(frozen=True)
class Feature:
    """One input of the model and the columns that it is made of: one, or several side by side; `whole`: its one column holds lists."""

    tensor: Tensor
    columns: tuple[str, ...]
    whole: bool = False


def match(
    inputs: Sequence[Tensor],
    given: tuple[str, ...],
    columns: Sequence[str],
    file: str,
    feature_sets: Mapping[str, str] = MappingProxyType({}),
) -> list[Feature]:
    """Each input's columns. Failure ColumnsMissing or FeaturesInvalid says what the model takes and what the file has.

    `feature_sets` maps columns to the FeatureSets in which they can be looked up.
    """
    found = [_feature(tensor, given, len(inputs) == 1, columns) for tensor in inputs]
    wanted = [name for each in found for name in each.columns]
    missing = [name for name in wanted if name not in columns]
    if missing:
        words = f"file '{file}' has no column {_listed(missing)}; the model takes {_listed(wanted)}"
        cure = _describe_lookup(missing, feature_sets) or "correct the input or choose another model"
        raise Failure("ColumnsMissing", f"{words}, and the file has {_listed(columns)}; {cure}")
    return found


def _describe_lookup(missing: Iterable[str], feature_sets: Mapping[str, str]) -> str:
    """What to do about columns that can be looked up, empty if none can."""
    found = {name: feature_sets[name] for name in missing if name in feature_sets}
    if not found:
        return ""
    sets = sorted(set(found.values()))
    fields = f"{{from: {sets[0]}}}" if len(set(feature_sets.values())) == 1 else "{}"
    return f"{_listed(found)} can be looked up in FeatureSet {_listed(sets)}; set spec.features to {fields}"


def _feature(tensor: Tensor, given: tuple[str, ...], alone: bool, columns: Sequence[str]) -> Feature:
    name, shape = tensor.name, tensor.shape
    if shape and shape[0] != -1 and len(shape) > 1 and shape[0] != 1:
        raise _invalid(f"input '{name}' of the model has the fixed shape {list(shape)}, whose first axis is no row")
    width = shape[1] if len(shape) == 2 else 1 if len(shape) == 1 else 0
    if not width:
        raise _invalid(
            f"input '{name}' of the model has the shape {list(shape)}; only columns can be read from a table"
        )
    if given and alone:
        if width not in (-1, len(given)):
            raise _invalid(
                f"spec.input.features names {len(given)} columns and input '{name}' of the model takes {width}"
            )
        return Feature(tensor, given)
    if width == 1:
        return Feature(tensor, (name,))
    if name in columns:
        return Feature(tensor, (name,), whole=True)
    if width == -1:
        raise _invalid(f"input '{name}' of the model has any number of columns; name them in spec.input.features")
    return Feature(tensor, tuple(f"{name}_{at}" for at in range(width)))


def _invalid(words: str) -> Failure:
    return Failure("FeaturesInvalid", f"{words}; see spec.input.features")


def _listed(names: Iterable[str]) -> str:
    shown = [f"'{name}'" for name in names]
    more = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return ", ".join(shown[:MOST_NAMED]) + more


def read_tensors(
    connection: duckdb.DuckDBPyConnection, table: str, features: Sequence[Feature], columns: Mapping[str, Cell]
) -> tuple[dict[str, Array], Wrong]:
    """The tensors of all rows of a table, and what is wrong with which of them; there the tensors hold anything."""
    wrong: Wrong = {}
    whole: dict[str, Array] = {}
    read = cells.read_numbers(connection, table, _plain_numbers(features, columns))
    for feature in features:
        array, found = _read_tensor(connection, table, feature, columns, read)
        whole[feature.tensor.name] = array
        wrong = {**found, **wrong}
    return whole, wrong


def _plain_numbers(features: Sequence[Feature], columns: Mapping[str, Cell]) -> list[tuple[Cell, str]]:
    """The columns that are plain numbers for a tensor that takes them, with the tensor's datatype."""
    return [
        (columns[column], feature.tensor.datatype)
        for feature in features
        if not feature.whole and not feature.tensor.is_timestamp
        for column in feature.columns
        if cells.is_plain_number(columns[column], feature.tensor.datatype)
    ]


def _read_tensor(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    feature: Feature,
    columns: Mapping[str, Cell],
    read: Mapping[tuple[Cell, str], tuple[Array, Wrong]],
) -> tuple[Array, Wrong]:
    tensor = feature.tensor
    if feature.whole:
        column = feature.columns[0]
        width = tensor.shape[1] if tensor.shape[1] > 0 else None
        array, found = cells.read_lists(connection, table, columns[column], tensor.datatype, width)
        return array, {at: f"column '{column}': {words}" for at, words in found.items()}
    arrays: list[Array] = []
    wrong: Wrong = {}
    for column in feature.columns:
        cell = replace(columns[column], is_timestamp=tensor.is_timestamp)
        array, found = read.get((cell, tensor.datatype)) or cells.read_values(connection, table, cell, tensor.datatype)
        arrays.append(array)
        wrong = {**{at: f"column '{column}': {words}" for at, words in found.items()}, **wrong}
    if len(tensor.shape) == 1:
        return arrays[0], wrong
    return arrays[0][:, None] if len(arrays) == 1 else np.stack(arrays, axis=1), wrong
