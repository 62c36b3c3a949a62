"""The test split of a Dataset's artifact: what evaluate, the gates and quantisation measure models on."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.features import Data, Feature
from flywheel_runtime.datasets.sql import connect, quote_identifier, quote_literal
from flywheel_runtime.datasets.types import TIMESTAMP
from flywheel_runtime.models.onnx_export import class_values

Array = NDArray[Any]
SAMPLE_ROWS = 200_000  # more rows say nothing new, and would need more memory than a verify or gates pod has
MISSING = "(missing)"


@dataclass(frozen=True)
class TestSet:
    """The rows of the test split in the order in which check wrote them, or the first `max_rows` of them."""

    __test__ = False  # pytest: no tests in here

    data: Data
    max_rows: int | None = None

    def __len__(self) -> int:
        return len(self.y_true)

    @property
    def task(self) -> str:
        """Classification or Regression."""
        return str(self.data.schema["task"])

    @property
    def classes(self) -> list[str]:
        """The target's classes by name; none where a value is predicted."""
        return self.data.classes if self.task == "Classification" else []

    @property
    def shows_values(self) -> bool:
        """Whether a status may quote values of these rows (`showValues` of the Dataset)."""
        return self.data.schema.get("showValues") is True

    @property
    def types(self) -> dict[str, str]:
        """The type of each column."""
        return {str(column["name"]): str(column["type"]) for column in self.data.schema["columns"]}

    @cached_property
    def y_true(self) -> Array:
        """Class numbers or values (rows,)."""
        return self.data.read("test").y[: self.max_rows]

    def labels_of(self, classes: list[str]) -> list[Any]:
        """Classes as a model returns them in its output `label`."""
        labels: list[Any] = class_values(replace(self.data, schema={**self.data.schema, "classes": classes})).tolist()
        return labels

    def inputs(self, names: list[str], start: int, count: int) -> dict[str, Array]:
        """Rows from `start` on as a client would send them: each column (rows, 1), text or 64-bit floats.

        Raises:
            Failure: a name is no column of the data.
        """
        if finding := _find_missing(names, self.types):
            raise not_scorable(finding)
        features = tuple(Feature(name, self.types[name]) for name in names)
        return replace(self.data, features=features).raw("test", min(count, len(self) - start), start)

    def column(self, name: str) -> Array:
        """The values (rows,) of a column as text. Raises Failure where the data has no such column."""
        if name not in self.types:
            raise not_scorable(f"the data has no column '{name}'; it has {', '.join(self.types)[:300]}")
        values = f"SELECT coalesce({quote_identifier(name)}::VARCHAR, {quote_literal(MISSING)}) AS value"
        file = quote_literal(str(self.data.folder / "test.parquet"))
        found = self.data.connection.execute(f"{values} FROM read_parquet({file}) LIMIT {len(self)}").fetchnumpy()
        return np.asarray(found["value"], dtype=str)


@contextmanager
def open_test_set(folder: Path, max_rows: int | None = None) -> Iterator[TestSet]:
    """The test split of the artifact in `folder`.

    Raises:
        Failure: InputInvalid, TargetMissing, or DataMismatch where there are no test rows.
    """
    try:
        schema = json.loads((folder / "schema.json").read_bytes())
    except (OSError, ValueError) as error:
        message = "the data is no artifact of a Dataset (its schema.json cannot be read); give a Dataset or the output of prepare"
        raise Failure("InputInvalid", message) from error
    if schema.get("target") is None:
        message = "the data has no target; set spec.target of its Dataset, or keep the target's column in prepare"
        raise Failure("TargetMissing", message)
    if not (schema.get("rows") or {}).get("test"):
        message = "the data has no test rows; give its Dataset a split with a test part"
        raise Failure("DataMismatch", message)
    with connect(threads=1) as connection:
        yield TestSet(Data(folder, schema, (), connection), max_rows)


def find_mismatch(schema: Mapping[str, Any], signature: Mapping[str, Any]) -> str | None:
    """Why a model with this signature was not made for this data; None if it may have been."""
    types = {column["name"]: column["type"] for column in schema["columns"]}
    for role in ("target", "task"):
        if signature.get(role) not in (None, schema[role]):
            return f"the {role} of the model is '{signature[role]}' and that of the data is '{schema[role]}'"
    if finding := _find_missing([each["name"] for each in signature["inputs"]], types):
        return finding
    for each in signature["inputs"]:
        if types[each["name"]] == TIMESTAMP and each.get("content") != TIMESTAMP:
            return (
                f"its input '{each['name']}' is no timestamp (content in signature.json), and the data has timestamps"
            )
    return None


def _find_missing(inputs: list[str], types: Mapping[str, str]) -> str | None:
    missing = next((name for name in inputs if name not in types), None)
    return None if missing is None else f"its input '{missing}' is no column of the data"


def not_scorable(finding: str) -> Failure:
    """A model that these rows cannot be scored with."""
    return Failure(
        "ModelNotScorable", f"{finding}; see the inputs and outputs of a model in images/README.md", retry=False
    )
