"""A model in ONNX, and what it predicts for a test set: the same on every machine."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import path_in_artifact
from flywheel_runtime.models import golden_rows
from flywheel_runtime.models.golden_rows import Tensors
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_output
from flywheel_runtime.models.test_set import TestSet, not_scorable
from flywheel_runtime.statistics.metrics import Array, ScoredRows

BATCH_ROWS = 50_000


@dataclass(frozen=True)
class OnnxModel:
    """A loaded model, its signature.json or, without one, the inputs that it declares, and its digest."""

    session: Any
    signature: Mapping[str, Any]
    sha256: str

    @classmethod
    def load(cls, content: bytes, signature: Mapping[str, Any] | None) -> Self:
        """A model from its bytes. Raises Failure ModelNotLoadable."""
        # One thread: with more, sums of floating numbers depend on how many.
        session = golden_rows.load_session(content, threads=1)
        declared = {"inputs": [{"name": each.name} for each in session.get_inputs()]}
        return cls(session, declared if signature is None else signature, hashlib.sha256(content).hexdigest())

    @classmethod
    def read(cls, artifact: Path, path: str = "model.onnx") -> Self:
        """The model at `path` of an artifact.

        Raises:
            Failure: ModelMissing, PathInvalid, SignatureInvalid.
            Failure: ModelNotLoadable.
        """
        file, signature = artifact / path_in_artifact(path), artifact / "signature.json"
        if not file.is_file():
            raise Failure("ModelMissing", f"The artifact has no file '{path}'; correct the path, or train again.")
        return cls.load(file.read_bytes(), _read_signature(signature) if signature.is_file() else None)

    def all_classes(self, test: TestSet) -> list[str]:
        """The classes of the data, then those that only the model knows."""
        return [*test.classes, *(each for each in self._classes(test) if each not in test.classes)]

    def score(self, test: TestSet) -> ScoredRows:
        """The test rows with the model's predictions; the numbers of predicted classes are those of `all_classes`.

        Raises:
            Failure: WarmUpFailed, ModelNotScorable.
        """
        starts = range(0, len(test), BATCH_ROWS)
        batches = [self.predict(test, self.read_inputs(test, start)) for start in starts]
        predicted, probabilities = (np.concatenate(each) for each in zip(*batches, strict=True))
        return ScoredRows(test.y_true, predicted, probabilities)

    @property
    def input_names(self) -> list[str]:
        """The names of its inputs, which are columns of the data."""
        return [each.name for each in self.session.get_inputs()]

    def predict(self, test: TestSet, inputs: Tensors) -> tuple[Array, Array]:
        """Class numbers or values (rows,), and probabilities (rows, classes of the data), none where a value is predicted.

        `inputs` are those of `read_inputs`, or others of their types.

        Raises:
            Failure: WarmUpFailed, ModelNotScorable.
        """
        outputs = golden_rows.run_session(self.session, inputs)
        _check_rows(outputs, len(next(iter(inputs.values()))))
        if test.task == "Regression":
            values = _output(outputs, PREDICTION)
            return values.reshape(len(values), -1)[:, 0].astype(float), np.empty((len(values), 0))
        return self._class_predictions(test, outputs)

    def read_inputs(self, test: TestSet, start: int) -> Tensors:
        """At most 50,000 rows from `start` on as the model takes them. Raises Failure ModelNotScorable."""
        declared = {each.name: each for each in self.session.get_inputs()}
        columns = test.inputs(list(declared), start, BATCH_ROWS)
        for name, each in declared.items():
            if (each.type == "tensor(string)") != (test.types[name] == "String"):
                raise not_scorable(f"its input '{name}' takes {each.type}, and the data has {test.types[name]}")
        with np.errstate(invalid="ignore"):  # a model that was not trained here may want int64, which has no NaN
            typed = {name: each.astype(golden_rows.dtype_of(declared[name].type)) for name, each in columns.items()}
        return {name: each[:, 0] if len(declared[name].shape) == 1 else each for name, each in typed.items()}

    def _class_predictions(self, test: TestSet, outputs: Tensors) -> tuple[Array, Array]:
        """Class numbers (rows,), and probabilities (rows, classes of the data)."""
        classes, given = self._classes(test), _output(outputs, PROBABILITIES)
        if given.ndim != 2 or given.shape[1] != len(classes):
            raise not_scorable(f"its probabilities have the shape {list(given.shape)} for {len(classes)} classes")
        numbers = [self.all_classes(test).index(each) for each in classes]
        probabilities = np.zeros((len(given), len(test.classes)))
        for column, number in enumerate(numbers):
            if number < len(test.classes):
                probabilities[:, number] = given[:, column]
        label = find_output(outputs, LABEL)
        if label is None:
            return np.asarray(numbers)[given.argmax(axis=1)], probabilities
        labels = test.labels_of(self.all_classes(test))
        number_of = {labels[number]: number for number in numbers}
        predicted = outputs[label].reshape(-1).tolist()
        if unknown := set(predicted) - number_of.keys():
            raise not_scorable(f"it predicted the label {min(unknown, key=str)!r}, which is none of its classes")
        return np.array([number_of[each] for each in predicted], dtype=np.int64), probabilities

    def _classes(self, test: TestSet) -> list[str]:
        """The model's own classes, in the order of its probabilities."""
        return [str(each) for each in self.signature.get("classes") or test.classes]


def _check_rows(outputs: Tensors, rows: int) -> None:
    """Raises Failure ModelNotScorable if an output that is scored has not one row for each row."""
    for name in map(partial(find_output, outputs), (LABEL, PROBABILITIES, PREDICTION)):
        if name is not None and outputs[name].shape[:1] != (rows,):
            raise not_scorable(f"its output '{name}' has the shape {list(outputs[name].shape)} for {rows} rows")


def _output(outputs: Tensors, role: str) -> Array:
    name = find_output(outputs, role)
    if name is None:
        raise not_scorable(f"the model has no output '{role}'; it has {', '.join(outputs)}")
    return outputs[name]


def _read_signature(file: Path) -> dict[str, Any]:
    try:
        signature: dict[str, Any] = json.loads(file.read_bytes())
        _ = [each["name"] for each in signature["inputs"]], signature.get("classes")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"The artifact's signature.json cannot be read ({type(error).__name__}); train again, or leave it out."
        )
        raise Failure("SignatureInvalid", message) from error
    return signature
