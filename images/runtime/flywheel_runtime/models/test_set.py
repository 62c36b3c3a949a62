"""The test split as a model's clients would send it, and its answers as scikit-learn's metrics take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.features import Data, Feature
from flywheel_runtime.models import onnx_export

Array = NDArray[Any]
NOT_SCORABLE = "ModelNotScorable"


def mismatch(schema: Mapping[str, Any], signature: Mapping[str, Any]) -> str | None:
    """Why a model with this signature cannot be asked rows of this data; None if it can."""
    types = {column["name"]: column["type"] for column in schema["columns"]}
    inputs = [each["name"] for each in signature["inputs"]]
    for role in ("target", "task"):
        if signature.get(role) not in (None, schema[role]):
            return f"the {role} of the model is '{signature[role]}' and that of the data is '{schema[role]}'"
    if unknown := [name for name in inputs if types.get(name, "Timestamp") == "Timestamp"]:
        what = "a time, which no model takes" if unknown[0] in types else "no column of the data"
        return f"the model's input '{unknown[0]}' is {what}"
    if not schema["rows"].get("test"):
        return "the data has no test rows"
    return None


@dataclass(frozen=True)
class TestSet:
    """An open test split. `classes` are the data's, then those that only the model knows; `values` stand for them in answers.

    `known` are the model's own classes, in the order of its probabilities.
    """

    __test__ = False  # no test of pytest's

    data: Data
    known: list[str]
    classes: list[str]
    values: list[Any]

    def rows(self, most: int, start: int = 0) -> dict[str, Array]:
        """At most that many rows from `start` on, each input (rows, 1)."""
        return self.data.raw("test", most, start)

    def truth(self) -> Array:
        """The right answers (rows,): class numbers or values."""
        return Data(self.data.folder, self.data.schema, (), self.data.connection).read("test").y

    def numbers(self, answers: Mapping[str, Array]) -> tuple[Array, Array]:
        """Class numbers or values (rows,), and probabilities (rows, classes), of a model's answers.

        Raises:
            Failure: ModelNotScorable where it has no outputs that say so.
        """
        wanted = ("label", "probabilities") if self.classes else ("prediction",)
        if missing := [name for name in wanted if name not in answers]:
            has = ", ".join(f"'{name}'" for name in answers)
            raise _not_scorable(f"the model has the outputs {has} and no '{missing[0]}' to be judged by")
        if not self.classes:
            value = answers["prediction"].reshape(len(answers["prediction"]), -1)[:, 0]
            return value, np.empty((len(value), 0))
        found, mine = answers["probabilities"], [self.classes.index(each) for each in self.known]
        if found.ndim != 2 or found.shape[1] != len(mine):
            raise _not_scorable(f"its probabilities have the shape {list(found.shape)} for {len(mine)} classes")
        full = np.zeros((len(found), len(self.classes)))
        full[:, mine] = found
        number = {self.values[place]: place for place in mine}
        labels = answers["label"].reshape(-1).tolist()
        if unknown := [each for each in set(labels) if each not in number]:
            raise _not_scorable(f"it answered the label {unknown[0]!r}, which is none of its classes")
        return np.array([number[each] for each in labels], dtype=np.int64), full


def _not_scorable(finding: str) -> Failure:
    return Failure(NOT_SCORABLE, f"{finding}; export the model with the outputs of images/README.md")


@contextmanager
def opened(folder: Path, schema: Mapping[str, Any], signature: Mapping[str, Any]) -> Iterator[TestSet]:
    """The test split of the data in `folder`, for a model whose signature does not mismatch."""
    types = {column["name"]: column["type"] for column in schema["columns"]}
    features = tuple(Feature(each["name"], types[each["name"]]) for each in signature["inputs"])
    known = list(signature.get("classes") or schema["classes"])
    classes = [*schema["classes"], *(each for each in known if each not in schema["classes"])]
    with duckdb.connect(config={"threads": 1}) as connection:
        data = Data(folder, schema, features, connection)
        everything = Data(folder, {**schema, "classes": classes}, (), connection)
        values = onnx_export.class_values(everything).tolist() if classes else []
        yield TestSet(data, known, classes, values)
