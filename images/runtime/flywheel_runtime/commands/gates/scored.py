"""The challenger's test rows, and what a model answers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Unmeasurable
from flywheel_runtime.datasets.features import Data, Feature
from flywheel_runtime.datasets.sql import quote_identifier, quote_literal
from flywheel_runtime.models import onnx_export
from flywheel_runtime.statistics.metrics import Answers

Array = NDArray[Any]
MOST_ROWS = 200_000  # more say nothing new, and would need more memory than the Job has
AT_ONCE = 20_000
MISSING = "(missing)"
DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}


@dataclass(frozen=True)
class TestRows:
    """At most 200,000 rows of the test split of a Dataset's artifact, in the order in which its check wrote them."""

    __test__ = False  # pytest: no tests in here

    folder: Path
    schema: Mapping[str, Any]
    connection: duckdb.DuckDBPyConnection

    @classmethod
    def open(cls, folder: Path) -> TestRows:
        """The rows of the artifact in `folder`.

        Raises:
            Unmeasurable: there is no such artifact, or nothing in it can be tested on.
        """
        path = folder / "schema.json"
        if not path.is_file():
            raise Unmeasurable("the data that the version was made from is no artifact of a Dataset (no schema.json)")
        schema = json.loads(path.read_bytes())
        if schema.get("target") is None:
            raise Unmeasurable("the data has no target; set spec.target of its Dataset")
        if not (schema.get("rows") or {}).get("test"):
            raise Unmeasurable("the data has no test rows; give its Dataset a split with a test part")
        return cls(folder, schema, duckdb.connect(config={"threads": 1}))

    @property
    def task(self) -> str:
        """Classification or Regression."""
        return str(self.schema["task"])

    @property
    def classes(self) -> list[str]:
        """The target's classes by name; none where a value is predicted."""
        return list(self.schema["classes"]) if self.task == "Classification" else []

    @cached_property
    def truth(self) -> Array:
        """(rows,): class numbers, or values."""
        return self._data(()).read("test").y[:MOST_ROWS]

    @cached_property
    def class_values(self) -> list[Any]:
        """The classes as a model answers them."""
        return onnx_export.class_values(self._data(())).tolist() if self.classes else []

    def column(self, name: str) -> Array:
        """(rows,): the values of a column as text.

        Raises:
            Unmeasurable: the data has no such column.
        """
        known = [str(column["name"]) for column in self.schema["columns"]]
        if name not in known:
            raise Unmeasurable(f"the data has no column '{name}'; it has {', '.join(known)[:300]}")
        place = quote_literal(str(self.folder / "test.parquet"))
        found = self.connection.execute(
            f"SELECT coalesce({quote_identifier(name)}::VARCHAR, {quote_literal(MISSING)}) AS value FROM read_parquet({place}) LIMIT {MOST_ROWS}"
        ).fetchnumpy()
        return np.asarray(found["value"], dtype=str)

    def given(self, inputs: Mapping[str, str]) -> dict[str, Array]:
        """Each named column as a client would send it, (rows, 1); `inputs` maps names to ONNX types.

        Raises:
            Unmeasurable: an input is no column of the data, or of another type.
        """
        types = {str(column["name"]): str(column["type"]) for column in self.schema["columns"]}
        for name, kind in inputs.items():
            if name not in types:
                raise Unmeasurable(f"its input '{name}' is no column of the challenger's data")
            if kind not in DTYPES or (kind == "tensor(string)") != (types[name] == "String"):
                raise Unmeasurable(f"its input '{name}' takes {kind}, and the data has {types[name]}")
        raw = self._data(tuple(Feature(name, types[name]) for name in inputs)).raw("test", MOST_ROWS)
        return {name: values.astype(DTYPES[inputs[name]], copy=False) for name, values in raw.items()}

    def _data(self, features: tuple[Feature, ...]) -> Data:
        return Data(self.folder, self.schema, features, self.connection)


def answers(artifact: Path, rows: TestRows) -> Answers:
    """What the model of an artifact answers to these rows, by the classes of the data.

    Raises:
        Unmeasurable: it cannot be asked, or answers in a way that is not understood.
    """
    session = _session(artifact / "model.onnx")
    declared = {each.name: each for each in session.get_inputs()}
    given = rows.given({name: each.type for name, each in declared.items()})
    given = {name: values[:, 0] if len(declared[name].shape) == 1 else values for name, values in given.items()}
    found = _asked(session, given, len(rows.truth))
    if rows.task == "Regression":
        return Answers(_output(found, "prediction").reshape(-1).astype(float), np.empty((len(rows.truth), 0)))
    probabilities = _by_class(_output(found, "probabilities"), _classes(artifact, rows), rows.classes)
    return Answers(_numbered(found, probabilities, rows.class_values), probabilities)


def _session(model: Path) -> Any:
    import onnxruntime

    if not model.is_file():
        raise Unmeasurable("its artifact has no model.onnx")
    try:
        return onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise Unmeasurable(f"it cannot be loaded ({_words(error)})") from error


def _asked(session: Any, given: Mapping[str, Array], count: int) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    parts: list[list[Array]] = []
    try:
        for start in range(0, count, AT_ONCE):
            some = {name: values[start : start + AT_ONCE] for name, values in given.items()}
            parts.append([np.asarray(each) for each in session.run(names, some)])
        return {name: np.concatenate([part[at] for part in parts]) for at, name in enumerate(names)}
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise Unmeasurable(f"it did not answer the test rows ({_words(error)})") from error


def _output(found: Mapping[str, Array], name: str) -> Array:
    if name not in found:
        raise Unmeasurable(f"it answers {', '.join(found)} and not {name}, which gates on rows understand")
    return found[name]


def _classes(artifact: Path, rows: TestRows) -> list[str]:
    """Those of the model's own signature, which may be fewer or others than the data's."""
    path = artifact / "signature.json"
    said = json.loads(path.read_bytes()).get("classes") if path.is_file() else None
    return [str(each) for each in said or rows.classes]


def _by_class(given: Array, said: list[str], wanted: list[str]) -> Array:
    if given.ndim != 2 or given.shape[1] != len(said):
        raise Unmeasurable(f"its probabilities have the shape {list(given.shape)}, for {len(said)} classes")
    full = np.zeros((len(given), len(wanted)), dtype=given.dtype)
    for at, name in enumerate(said):
        if name in wanted:
            full[:, wanted.index(name)] = given[:, at]
    return full


def _numbered(found: Mapping[str, Array], probabilities: Array, values: list[Any]) -> Array:
    """The labels as class numbers; -1 for a class that the data does not have."""
    if "label" not in found:
        return np.asarray(probabilities.argmax(axis=1))
    known, at = np.unique(found["label"].reshape(-1), return_inverse=True)
    numbers = [values.index(each) if each in values else -1 for each in known.tolist()]
    return np.asarray(numbers, dtype=int)[at]


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
