"""A Dataset with rowwise features, as a trial reads it, and the record of what was compared."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line, write_json
from flywheel_runtime.datasets import features
from flywheel_runtime.datasets.features import ChosenFeatures, Data, Feature, Front
from flywheel_runtime.datasets.sql import connect, prefix_columns, quote_column, quote_literal
from flywheel_runtime.features.compiler import CompiledFeatures
from flywheel_runtime.models.rowwise.computed_rows import write_computed_rows
from flywheel_runtime.models.rowwise.edge_rows import make_edge_rows
from flywheel_runtime.models.rowwise.equality import Rows, check_training_rows, measure_differences
from flywheel_runtime.models.rowwise.rowwise_expressions import INVALID, compile_rowwise, describe_digest, sql_types

MAX_COMPARED_ROWS = 2_000  # of the train and test splits together
FLOAT = "Float"  # the type of a rowwise feature


@dataclass(frozen=True)
class RowwiseData:
    """Data with rowwise features, and the document features.json."""

    data: Data
    document: Mapping[str, Any]


def open_rowwise_data(
    folder: Path, chosen: ChosenFeatures | None, rowwise: Mapping[str, str], scratch: Path
) -> RowwiseData:
    """Compute the features into `scratch`, and compare what the model will compute with them.

    Raises:
        Failure: RowwiseInvalid before anything is read, RowwiseNotEqual, and those of features.open_data.
    """
    schema = json.loads((folder / "schema.json").read_text())
    if schema["target"] is None:
        raise Failure("TargetMissing", "The Dataset has no target; set its spec.target.")
    compiled = compile_rowwise(schema, rowwise)
    _check_chosen(chosen, rowwise)
    columns = [str(column["name"]) for column in schema["columns"]]
    write_computed_rows(folder, scratch, columns, sql_types(schema), compiled)
    _write_documents(folder, scratch, schema, rowwise)
    data = features.open_data(scratch, chosen)
    kept = {each.name: rowwise[each.name] for each in data.features if each.name in rowwise}
    if not kept:
        raise Failure(
            INVALID,
            "No rowwise feature tells rows of the train split apart; correct the expressions, or leave them out.",
        )
    compiled = compiled if kept.keys() == compiled.features.keys() else compile_rowwise(schema, kept)
    digest = describe_digest(schema, compiled)
    raw = _raw_data(folder, schema, data, compiled)
    data = replace(data, front=Front(compiled.model, tuple(compiled.features), raw, digest))
    return RowwiseData(data, _compare(data, compiled))


def _check_chosen(chosen: ChosenFeatures | None, rowwise: Mapping[str, str]) -> None:
    if chosen is None:
        return
    named = {*chosen.numeric, *chosen.categorical, *chosen.text}
    if unused := [name for name in rowwise if name not in named]:
        listed = ", ".join(f"'{name}'" for name in unused)
        message = f"rowwise makes {listed}, which trainer.sklearn.features does not name; name it in numeric or categorical, or leave it out."
        raise Failure(INVALID, message)


def _write_documents(folder: Path, scratch: Path, schema: Mapping[str, Any], rowwise: Mapping[str, str]) -> None:
    """Write schema.json and profile.json with the rowwise features, of which the profile has what tells whether they can be learnt from."""
    made = [{"name": name, "type": FLOAT, "nullable": True} for name in rowwise]
    write_json(scratch / "schema.json", {**schema, "columns": [*schema["columns"], *made]})
    profile = json.loads((folder / "profile.json").read_text())
    table = prefix_columns(f"read_parquet({quote_literal(str(scratch / 'train.parquet'))})")
    with connect(threads=1) as connection:
        for name in rowwise:
            column = quote_column(name)
            counts = (
                f"count(*), count_if({column} IS NULL), count_if(NOT isfinite({column})), min({column}), max({column})"
            )
            rows, missing, invalid, low, high = connection.execute(f"SELECT {counts} FROM {table}").fetchall()[0]
            train = {"rows": rows, "missing": missing, "invalid": invalid, "bins": [], "min": low, "max": high}
            profile["columns"][name] = {"type": FLOAT, "splits": {"train": train}}
    (scratch / "profile.json").write_text(json.dumps(profile), encoding="utf-8")


def _raw_data(folder: Path, schema: Mapping[str, Any], data: Data, compiled: CompiledFeatures) -> Data:
    """The data by the columns that callers send: those that are learnt from as they are, then others that expressions read."""
    learnt = [each for each in data.features if each.name not in compiled.features]
    read = {name for feature in compiled.features.values() for name in feature.columns}
    others = [
        Feature(str(column["name"]), str(column["type"]))
        for column in schema["columns"]
        if column["name"] in read - {each.name for each in learnt}
    ]
    sent = (*learnt, *others)
    types = sql_types(schema)
    left_out = {
        name: why for name, why in data.left_out.items() if name in types and name not in {each.name for each in sent}
    }
    return replace(data, folder=folder, schema=schema, features=sent, left_out=left_out, front=None)


def _compare(data: Data, compiled: CompiledFeatures) -> dict[str, Any]:
    """Compare the graph with DuckDB on rows of the data and on edge rows; return the document features.json."""
    types = sql_types(data.sent.schema)
    read = {name: types[name] for feature in compiled.features.values() for name in feature.columns}
    literals = [literal for feature in compiled.features.values() for literal in feature.literals]
    tried = [Rows(make_edge_rows(read, literals), "the edge row", shows_values=True)]
    shows_values = data.schema.get("showValues") is True
    for split in ("train", "test"):
        if data.count(split):
            requests = data.sent.raw(split, MAX_COMPARED_ROWS // 2)
            rows = Rows({name: requests[name] for name in read}, f"the {split} split", shows_values)
            check_training_rows(compiled, rows, _fitted_rows(data, compiled, split))
            tried.append(rows)
    found = [measure_differences(compiled, read, rows) for rows in tried]
    differences = {name: max(each[name] for each in found) for name in compiled.features}
    count, largest = sum(map(len, tried)), max(differences.values())
    log_line(
        f"{len(differences)} rowwise features equal DuckDB's on {count:,} rows; largest difference {largest:g} ulp"
    )
    return {
        "v": 1,
        "rowwise": {name: feature.sql for name, feature in compiled.features.items()},
        "digest": data.front.digest if data.front else None,
        "largestDifference": largest,
        "unit": "ulp",
        "rows": count,
        "duckdb": compiled.duckdb_version,
        "columns": read,
        "features": {
            name: {
                "columns": list(feature.columns),
                "functions": list(feature.functions),
                "inexact": list(feature.inexact),
                "difference": differences[name],
            }
            for name, feature in compiled.features.items()
        },
    }


def _fitted_rows(data: Data, compiled: CompiledFeatures, split: str) -> Any:
    """The FP32 features (rows, features) that were computed for training."""
    columns = ", ".join(f"{quote_column(name)} AS c{place}" for place, name in enumerate(compiled.features))
    table = prefix_columns(f"read_parquet({quote_literal(str(data.folder / f'{split}.parquet'))})")
    found = data.connection.execute(f"SELECT {columns} FROM {table} LIMIT {MAX_COMPARED_ROWS // 2}").fetchnumpy()
    stacked = [np.ma.filled(found[f"c{place}"], np.nan) for place in range(len(compiled.features))]
    return np.stack(stacked, axis=1).astype(np.float32)
