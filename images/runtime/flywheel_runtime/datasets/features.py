"""Read a Dataset's artifact into one 32-bit float matrix: numbers as they are, text by a dictionary of codes.

The dictionary is made here, not by scikit-learn, and becomes the first node of the ONNX model (models/onnx_inputs.py). A model receives
64-bit numbers and makes 32-bit ones of them before anything else, as it is done here before anything is fitted: trees of ONNX compare 32
bits (decision 28). A number that is infinite or beyond 1e37 is missing. Of microseconds since 1970, 32 bits
hold two minutes: a timestamp is scaled first, to -1 … 1 for the times of the train split.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line
from flywheel_runtime.datasets.profile import describe_no_features, find_unlearnable
from flywheel_runtime.datasets.split import Rows
from flywheel_runtime.datasets.sql import connect, prefix_columns, quote_column, quote_literal
from flywheel_runtime.datasets.target import order_by_target
from flywheel_runtime.datasets.texts import TextPool
from flywheel_runtime.datasets.types import TIMESTAMP, narrow_number, timestamp_number
from flywheel_runtime.params import Params

# More categories than this are encoded by their mean target; identifiers, which have none, keep the most frequent.
MAX_CATEGORIES = 256
MAX_ENCODED_CATEGORIES = 10_000  # the rarer ones count as unknown
MEMORY_FRACTION = 0.3  # of DuckDB; the rest is for the matrix
UNKNOWN = -1.0


class ChosenFeatures(Params):
    """The columns to learn from, by how they are prepared."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One column: a number, free text, or a category with its known values in the order of their codes 0, 1, …

    That is the order of their mean target where numbers are predicted, else the most frequent first.

    `center` and `half_range`: of a timestamp, those of the train split in microseconds, by which it is scaled.
    """

    name: str
    type: str
    categories: tuple[str, ...] | None = None
    is_free_text: bool = False
    center: float = 0.0
    half_range: float = 1.0

    @property
    def has_many_categories(self) -> bool:
        """Whether its mean target stands for a category."""
        return len(self.categories or ()) > MAX_CATEGORIES

    @property
    def is_text(self) -> bool:
        """Whether the model is given text; a category that is a number stays a number."""
        return self.type == "String"

    @property
    def is_timestamp(self) -> bool:
        """Whether the model is given microseconds since 1970 (UTC)."""
        return self.type == TIMESTAMP

    @property
    def number(self) -> str:
        """SQL for the number that a client sends, as a 64-bit float."""
        column = quote_column(self.name)
        return timestamp_number(column) if self.is_timestamp else f"{column}::DOUBLE"


@dataclass(frozen=True)
class Front:
    """What a model computes first: the graph `model` (ONNX, FP64 and texts in, FP32 out) makes the features `names`, in this order.

    `raw` is the data by the columns that callers send; `digest` is that of the record features.json.
    """

    model: Any
    names: tuple[str, ...]
    raw: "Data"
    digest: str


@dataclass(frozen=True)
class Data:
    """The artifact of a Dataset, read by its chosen features, some of which `front` makes."""

    folder: Path
    schema: Mapping[str, Any]
    features: tuple[Feature, ...]
    connection: duckdb.DuckDBPyConnection
    texts: TextPool = field(default_factory=TextPool)
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that could be features, and what the train split says against them."""
    front: Front | None = None

    @property
    def sent(self) -> "Data":
        """The data by the columns that callers send: the features, or what those that the model makes itself are made of."""
        return self.front.raw if self.front else self

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
        parts = [
            self.connection.execute(f"SELECT {named} FROM {_split_table(self.folder, split)}").fetchnumpy()
            for split in splits
        ]
        x = np.empty((sum(len(part["c0"]) for part in parts), len(self.features)), dtype=np.float32)
        for number, feature in enumerate(self.features):
            x[:, number] = np.concatenate([self._numbers(feature, part[f"c{number}"]) for part in parts])
        x[~np.isfinite(x)] = np.nan
        targets = np.concatenate([np.asarray(part[f"c{len(self.features)}"]) for part in parts])
        groups = np.concatenate([np.asarray(part[f"c{len(self.features) + 1}"]) for part in parts]) if group else None
        return Rows(x, targets, groups)

    def _numbers(self, feature: Feature, values: Any) -> NDArray[Any]:
        """A column's values as numbers (rows,): as they are, codes, or the numbers of its texts in `texts`."""
        if feature.is_free_text:
            return self.texts.add(values)
        if not feature.has_many_categories:
            return np.asarray(np.ma.filled(values, np.nan))
        codes = {category: float(code) for code, category in enumerate(feature.categories or ())}
        return np.array([codes.get(value, UNKNOWN) for value in values])

    def read_targets(self, split: str) -> NDArray[Any]:
        """Class numbers or values (rows,) of a split."""
        found = self.connection.execute(
            f"SELECT {self._target_sql()} AS c0 FROM {_split_table(self.folder, split)}"
        ).fetchnumpy()
        return np.asarray(found["c0"])

    def raw(self, split: str, limit: int, start: int = 0) -> dict[str, NDArray[Any]]:
        """Rows of a split from `start` on as a client would send them: each column (rows, 1), text or 64-bit floats."""
        columns = ", ".join(
            f"coalesce({quote_column(f.name)}, '') AS c{i}" if f.is_text else f"{f.number} AS c{i}"
            for i, f in enumerate(self.features)
        )
        found = self.connection.execute(
            f"SELECT {columns} FROM {_split_table(self.folder, split)} LIMIT {limit} OFFSET {start}"
        ).fetchnumpy()
        return {
            f.name: np.ma.filled(found[f"c{i}"], np.nan).astype(object if f.is_text else np.float64).reshape(-1, 1)
            for i, f in enumerate(self.features)
        }

    def _target_sql(self) -> str:
        column = quote_column(self.target)
        if self.schema["task"] == "Regression":
            return f"{column}::DOUBLE"
        classes = ", ".join(quote_literal(name) for name in self.classes)
        return f"list_position([{classes}], {column}::VARCHAR) - 1"


def open_data(folder: Path, chosen: ChosenFeatures | None) -> Data:
    """Open the artifact in `folder` with the chosen features, or with all that can be used."""
    schema = json.loads((folder / "schema.json").read_text())
    if schema["target"] is None:
        raise Failure("TargetMissing", "The Dataset has no target; set its spec.target.")
    columns = json.loads((folder / "profile.json").read_text())["columns"]
    connection = connect(memory_fraction=MEMORY_FRACTION)
    wanted = _choose(schema, chosen) if chosen else _usable_features(schema, columns)
    left_out = {feature.name: why for feature in wanted if (why := find_unlearnable(columns[feature.name]))}
    picked = [feature for feature in wanted if feature.name not in left_out]
    for name, why in left_out.items():
        log_line(f"warning: column '{name}' is left out: it has {why} in the train split")
    if not picked:
        raise describe_no_features(left_out)
    fitted = (_fit_feature(connection, folder, each, columns[each.name]) for each in picked)
    if schema["task"] == "Regression":
        fitted = (_order_codes(connection, folder, each, schema["target"]) for each in fitted)
    return Data(folder, schema, tuple(fitted), connection, left_out=left_out)


def _usable_features(schema: Mapping[str, Any], profile: Mapping[str, Any]) -> list[Feature]:
    """All columns but the target, keys, event time and group, and of times those in timestampFeatures (none before that field existed)."""
    roles = {schema["target"], schema["eventTime"], schema["split"]["group"], *schema["keys"]}
    columns = [c for c in schema["columns"] if c["name"] not in roles]
    times = {c["name"] for c in columns if c["type"] == TIMESTAMP} - set(schema.get("timestampFeatures", ()))
    for name in sorted(times):
        log_line(f"warning: timestamp '{name}' is left out; to learn from it, name it in features.numeric")
    return [_feature(c["name"], c["type"], profile[c["name"]]) for c in columns if c["name"] not in times]


def _feature(name: str, kind: str, profile: Mapping[str, Any]) -> Feature:
    if kind != "String":
        return Feature(name, kind)
    is_free_text = profile.get("content") == "FreeText"
    return Feature(name, kind, None if is_free_text else (), is_free_text)


def _choose(schema: Mapping[str, Any], chosen: ChosenFeatures) -> list[Feature]:
    types = {column["name"]: column["type"] for column in schema["columns"]}
    for name in (*chosen.numeric, *chosen.categorical, *chosen.text):
        if name not in types:
            raise Failure("FeatureMissing", f"Feature '{name}' is not in the data; it has {', '.join(types)}.")
        if name == schema["target"]:
            raise Failure("FeatureInvalid", f"Feature '{name}' is the target and cannot be a feature; leave it out.")
        if types[name] == TIMESTAMP and name not in chosen.numeric:
            message = f"Feature '{name}' is a timestamp, which is learnt as a number; move it to features.numeric."
            raise Failure("FeatureInvalid", message)
        if name in chosen.numeric and types[name] == "String":
            message = f"Feature '{name}' holds text; move it from features.numeric to features.categorical."
            raise Failure("FeatureInvalid", message)
        if name in chosen.text and types[name] != "String":
            message = f"Feature '{name}' is {types[name]} and no text; move it from features.text to features.numeric."
            raise Failure("FeatureInvalid", message)
    return [
        *(Feature(name, types[name]) for name in chosen.numeric),
        *(Feature(name, types[name], None if types[name] == "Boolean" else ()) for name in chosen.categorical),
        *(Feature(name, types[name], None, is_free_text=True) for name in chosen.text),
    ]


def _fit_feature(
    connection: duckdb.DuckDBPyConnection, folder: Path, feature: Feature, profile: Mapping[str, Any]
) -> Feature:
    """The feature with what the train split says: its categories, or how its timestamps are scaled."""
    if feature.is_timestamp:
        ends = f"coalesce(min({feature.number}), 0), coalesce(max({feature.number}), 0)"
        first, last = connection.execute(f"SELECT {ends} FROM {_split_table(folder, 'train')}").fetchall()[0]
        center = (first + last) // 2
        return replace(feature, center=center, half_range=max(last - center, 1.0))
    if feature.categories is None:
        return feature
    # Known values come from the train split alone: validation and test stay unseen. Text of older builds has no `content`.
    is_encoded = not feature.is_text or profile.get("content") in ("Category", "FreeText")
    most = MAX_ENCODED_CATEGORIES if is_encoded else MAX_CATEGORIES
    rows = connection.execute(
        f"SELECT {_as_text(feature)} AS value FROM {_split_table(folder, 'train')} "
        f"WHERE value IS NOT NULL GROUP BY value ORDER BY count(*) DESC, value LIMIT {most + 1}"
    ).fetchall()
    if len(rows) > most:
        log_line(
            f"warning: column '{feature.name}' has more than {most:,} categories in the train split; the rarer ones count as unknown"
        )
    return Feature(feature.name, feature.type, tuple(str(row[0]) for row in rows[:most]))


def _order_codes(connection: duckdb.DuckDBPyConnection, folder: Path, feature: Feature, target: str) -> Feature:
    """The feature with its categories in the order of their mean target."""
    if not feature.categories or feature.has_many_categories:
        return feature
    coded = f"{_feature_sql(feature)}::BIGINT AS code, {quote_column(target)}::DOUBLE AS target"
    rows = connection.execute(f"SELECT {coded} FROM {_split_table(folder, 'train')} WHERE code >= 0").fetchnumpy()
    order = order_by_target(np.asarray(rows["code"]), np.asarray(rows["target"]), len(feature.categories))
    return replace(feature, categories=tuple(feature.categories[code] for code in order))


def _as_text(feature: Feature) -> str:
    # The model makes 32 bits of a number, so its category is the text of that number; -0.0 is 0.0.
    column = quote_column(feature.name)
    if feature.is_text:
        return f"nullif({column}, '')"  # as in a CSV file, and in a request, where a missing text is empty
    return f"({narrow_number(f'({column}::DOUBLE + 0)')})::VARCHAR"


def _split_table(folder: Path, split: str) -> str:
    """SQL for the rows of a split, by the names of `quote_column`."""
    return prefix_columns(f"read_parquet({quote_literal(str(folder / f'{split}.parquet'))})")


def _feature_sql(feature: Feature) -> str:
    if feature.is_free_text or feature.has_many_categories:
        return f"coalesce({_as_text(feature)}, '')"
    if feature.categories is None:
        # As models/onnx_inputs.py has it.
        scaled = f"(({feature.number} - {feature.center!r}::DOUBLE) / {feature.half_range!r}::DOUBLE)"
        return narrow_number(scaled if feature.is_timestamp else quote_column(feature.name))
    known = ", ".join(quote_literal(value) for value in feature.categories)
    return f"coalesce(list_position([{known}]::VARCHAR[], {_as_text(feature)}) - 1, {UNKNOWN})::FLOAT"
