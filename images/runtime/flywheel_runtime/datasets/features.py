"""Read a Dataset's artifact into one 32-bit float matrix: numbers as they are, text by a dictionary of codes.

The dictionary is made here, not by scikit-learn, and becomes the first node of the ONNX model (models/onnx_export.py). Numbers are
32-bit before anything is fitted, because a served model receives them so: a threshold learnt from 64 bits could cut
elsewhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.sql import connect, prefix_columns, quote_column, quote_literal
from flywheel_runtime.params import Params

Floats = NDArray[np.float32]

# More categories than this are names of things rather than kinds of things; the rarer ones count as unknown.
MAX_CATEGORIES = 256
MEMORY_FRACTION = 0.3  # of DuckDB; the rest is for the matrix
UNKNOWN = -1.0


class ChosenFeatures(Params):
    """The columns to learn from, by how they are prepared."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One column: a number, or a category with its known values in the order of their codes 0, 1, …"""

    name: str
    type: str
    categories: tuple[str, ...] | None = None

    @property
    def is_text(self) -> bool:
        """Whether the model is given text; a category that is a number stays a number."""
        return self.type == "String"


@dataclass(frozen=True)
class Rows:
    """Rows of one or more splits: `x` is (rows, features), `y` (rows,) holds class numbers or values, `groups` (rows,)."""

    x: Floats
    y: NDArray[Any]
    groups: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """The artifact of a Dataset, read by its chosen features."""

    folder: Path
    schema: Mapping[str, Any]
    features: tuple[Feature, ...]
    connection: duckdb.DuckDBPyConnection

    @property
    def target(self) -> str:
        return str(self.schema["target"])

    @property
    def classes(self) -> list[str]:
        return list(self.schema["classes"])

    @property
    def target_type(self) -> str:
        return next(str(c["type"]) for c in self.schema["columns"] if c["name"] == self.target)

    def count(self, split: str) -> int:
        return int(self.schema["rows"][split])

    def read(self, *splits: str) -> Rows:
        """The rows of `splits`, one after the other, in the order in which the check wrote them."""
        group = self.schema["split"]["group"] if self.schema["split"]["by"] == "Group" else None
        columns = [_feature_sql(feature) for feature in self.features] + [self._target_sql()]
        columns += [f"hash({quote_column(group)})"] if group else []
        named = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(columns))
        parts = [self.connection.execute(f"SELECT {named} FROM {self._table(split)}").fetchnumpy() for split in splits]
        x = np.empty((sum(len(part["c0"]) for part in parts), len(self.features)), dtype=np.float32)
        for number in range(len(self.features)):
            x[:, number] = np.concatenate([np.ma.filled(part[f"c{number}"], np.nan) for part in parts])
        x[~np.isfinite(x)] = np.nan
        targets = np.concatenate([np.asarray(part[f"c{len(self.features)}"]) for part in parts])
        groups = np.concatenate([np.asarray(part[f"c{len(self.features) + 1}"]) for part in parts]) if group else None
        return Rows(x, targets, groups)

    def read_targets(self, split: str) -> NDArray[Any]:
        """Class numbers or values (rows,) of a split."""
        found = self.connection.execute(f"SELECT {self._target_sql()} AS c0 FROM {self._table(split)}").fetchnumpy()
        return np.asarray(found["c0"])

    def raw(self, split: str, limit: int, start: int = 0) -> dict[str, NDArray[Any]]:
        """Rows of a split from `start` on as a client would send them: each column (rows, 1), text or 32-bit floats."""
        columns = ", ".join(
            f"coalesce({quote_column(f.name)}, '') AS c{i}" if f.is_text else f"{quote_column(f.name)}::FLOAT AS c{i}"
            for i, f in enumerate(self.features)
        )
        found = self.connection.execute(
            f"SELECT {columns} FROM {self._table(split)} LIMIT {limit} OFFSET {start}"
        ).fetchnumpy()
        return {
            f.name: np.ma.filled(found[f"c{i}"], np.nan).astype(object if f.is_text else np.float32).reshape(-1, 1)
            for i, f in enumerate(self.features)
        }

    def _target_sql(self) -> str:
        column = quote_column(self.target)
        if self.schema["task"] == "Regression":
            return f"{column}::DOUBLE"
        classes = ", ".join(quote_literal(name) for name in self.classes)
        return f"list_position([{classes}], {column}::VARCHAR) - 1"

    def _table(self, split: str) -> str:
        return _split_table(self.folder, split)


def open_data(folder: Path, chosen: ChosenFeatures | None) -> Data:
    """Open the artifact in `folder` with the chosen features, or with all that can be used."""
    schema = json.loads((folder / "schema.json").read_text())
    if schema["target"] is None:
        raise Failure("TargetMissing", "The Dataset has no target; set its spec.target.")
    connection = connect(memory_fraction=MEMORY_FRACTION)
    picked = _choose(schema, chosen) if chosen else _usable_features(schema)
    if not picked:
        raise Failure("NoFeatures", "The Dataset has no column that can be a feature; name some in features.")
    features = tuple(_with_categories(connection, folder, feature) for feature in picked)
    return Data(folder, schema, features, connection)


def _usable_features(schema: Mapping[str, Any]) -> list[Feature]:
    """All columns but the target, keys, event time, group and other times: a time only ever grows, so it is no feature."""
    roles = {schema["target"], schema["eventTime"], schema["split"]["group"], *schema["keys"]}
    columns = [c for c in schema["columns"] if c["name"] not in roles and c["type"] != "Timestamp"]
    return [Feature(c["name"], c["type"], () if c["type"] == "String" else None) for c in columns]


def _choose(schema: Mapping[str, Any], chosen: ChosenFeatures) -> list[Feature]:
    types = {column["name"]: column["type"] for column in schema["columns"]}
    for name in (*chosen.numeric, *chosen.categorical):
        if name not in types:
            raise Failure("FeatureMissing", f"Feature '{name}' is not in the data; it has {', '.join(types)}.")
        if name == schema["target"] or types[name] == "Timestamp":
            what = "the target" if name == schema["target"] else "a time"
            raise Failure("FeatureInvalid", f"Feature '{name}' is {what} and cannot be a feature; leave it out.")
        if name in chosen.numeric and types[name] == "String":
            message = f"Feature '{name}' holds text; move it from features.numeric to features.categorical."
            raise Failure("FeatureInvalid", message)
    return [Feature(n, types[n]) for n in chosen.numeric] + [
        Feature(n, types[n], None if types[n] == "Boolean" else ()) for n in chosen.categorical
    ]


def _with_categories(connection: duckdb.DuckDBPyConnection, folder: Path, feature: Feature) -> Feature:
    if feature.categories is None:
        return feature
    # Known values come from the train split alone: validation and test stay unseen.
    rows = connection.execute(
        f"SELECT {_as_text(feature)} AS value FROM {_split_table(folder, 'train')} "
        f"WHERE value IS NOT NULL GROUP BY value ORDER BY count(*) DESC, value LIMIT {MAX_CATEGORIES}"
    ).fetchall()
    return Feature(feature.name, feature.type, tuple(str(row[0]) for row in rows))


def _as_text(feature: Feature) -> str:
    # The served model sees a number of 32 bits, so its category is the text of that number.
    return quote_column(feature.name) if feature.is_text else f"{quote_column(feature.name)}::FLOAT::VARCHAR"


def _split_table(folder: Path, split: str) -> str:
    """SQL for the rows of a split, by the names of `quote_column`."""
    return prefix_columns(f"read_parquet({quote_literal(str(folder / f'{split}.parquet'))})")


def _feature_sql(feature: Feature) -> str:
    if feature.categories is None:
        return f"{quote_column(feature.name)}::FLOAT"
    known = ", ".join(quote_literal(value) for value in feature.categories)
    return f"coalesce(list_position([{known}]::VARCHAR[], {_as_text(feature)}) - 1, {UNKNOWN})::FLOAT"
