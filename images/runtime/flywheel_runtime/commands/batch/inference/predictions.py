"""From the tensors that the model gives to columns of the output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flywheel_runtime.commands.batch.config import Prediction
from flywheel_runtime.commands.batch.inference.client import DATATYPES, Array, Tensor
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_role


@dataclass(frozen=True)
class Answer:
    """One column of predictions: `at` is its place in the output's second axis, None where the whole row is the value."""

    name: str
    type: str  # in DuckDB's words
    output: str
    at: int | None = None


def choose(outputs: Sequence[Tensor], prediction: Prediction | None, classes: Sequence[str]) -> list[Answer]:
    """The columns that the spec asks for. Failure OutputsDiffer where the model does not give them."""
    if prediction is None:
        return [column for output in outputs for column in _columns(output, output.name, classes)]
    roles = {find_role(output.name): output for output in reversed(outputs)}
    if prediction == "Class":
        output = roles.get(LABEL) or roles.get(PREDICTION)
        if output is not None:
            return _columns(output, "prediction", classes)
    elif PROBABILITIES in roles:
        return _columns(roles[PROBABILITIES], PROBABILITIES, classes)
    words = f"the model gives {', '.join(repr(output.name) for output in outputs)} and nothing that is a {prediction}"
    raise Failure("OutputsDiffer", f"{words}; leave spec.output.prediction out to keep what it gives")


def _columns(output: Tensor, name: str, classes: Sequence[str]) -> list[Answer]:
    kind = DATATYPES[output.datatype].sql
    if len(output.shape) <= 1:
        return [Answer(name, kind, output.name)]
    if (
        find_role(output.name) == PROBABILITIES
        and len(output.shape) == 2
        and output.shape[1] in (-1, len(classes))
        and classes
    ):
        return [Answer(f"probability_{each}", kind, output.name, at) for at, each in enumerate(classes)]
    if len(output.shape) == 2 and output.shape[1] == 1:
        return [Answer(name, kind, output.name, 0)]
    if len(output.shape) == 2 and output.shape[1] > 1:
        return [Answer(f"{name}_{at}", kind, output.name, at) for at in range(output.shape[1])]
    return [Answer(name, kind + "[]" * (len(output.shape) - 1), output.name)]


def read_cells(answer: Answer, outputs: Mapping[str, Array]) -> Array:
    """The column's cells (rows,), as DuckDB reads an array: a row of several axes is a list."""
    array = outputs[answer.output]
    if answer.at is not None:
        array = array[:, answer.at]
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.ndim == 1:
        return array
    rows = np.empty(len(array), object)
    rows[:] = array.tolist()
    return rows
