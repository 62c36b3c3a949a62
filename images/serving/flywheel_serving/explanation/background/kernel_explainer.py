"""Any model of rows, by its answers alone: columns that are not known have the values of kept rows."""

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

from flywheel_serving.errors import RequestError
from flywheel_serving.explanation.background.kernel_shap import kernel_shap
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.explained_rows import Array, Explanation, check_deadline
from flywheel_serving.model.datatypes import is_float
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.signature import TensorSpec, column_names

METHOD = "KernelSHAP"
MAX_COLUMNS, MAX_OUTPUTS = 200, 32
CALL_ROWS, CALL_SECONDS = 4_096, 0.5  # of one call of the model at most: between two calls the deadline is read
TOLERANCE = 1e-4  # relative, above 1: between the answer to a row alone and the one to it among others


class KernelExplainer:
    """Explains rows of one model by Kernel SHAP on the scale of its answers."""

    method_name = METHOD

    def __init__(self, model: OnnxModel, background: Mapping[str, Array]) -> None:
        """`background` are rows as the model takes them. Raises NotExplained."""
        self._model, self._background = model, background
        self._rows = len(next(iter(background.values())))
        signature = model.signature
        if not signature.fixed_row_shape or not signature.batched:
            raise NotExplained("RowsUnknown", "its inputs are no rows of columns")
        self._cells = [cell for spec in signature.inputs for cell in _cells(spec)]
        self.columns = [name for spec in signature.inputs for name in column_names(spec)]
        if len(self.columns) > MAX_COLUMNS:
            message = (
                f"it has {len(self.columns)} columns, and at most {MAX_COLUMNS} are explained by its answers alone"
            )
            raise NotExplained("TooManyColumns", message)
        self._output = _find_output(signature.outputs, signature.class_names)
        start = time.perf_counter()
        answers = self._answer(background)
        call_rows = min(CALL_ROWS, int(self._rows * CALL_SECONDS / max(time.perf_counter() - start, 1e-6)))
        self._sets_per_call = max(1, call_rows // self._rows)
        self._base: Array = answers.mean(axis=0)
        self._outputs, self.scale = _name_outputs(answers.shape[1], signature.class_names)
        # Of two classes the second alone: the first is its opposite.
        self._shown = slice(answers.shape[1] - len(self._outputs), None)

    def explain_rows(self, inputs: Mapping[str, Array], deadline: float = math.inf) -> Explanation:
        """The contributions to the predictions of rows, as the model takes them. Raises NotExplained, Late after `deadline`."""
        rows = len(next(iter(inputs.values())))
        each = [{name: array[number : number + 1] for name, array in inputs.items()} for number in range(rows)]
        alone = np.concatenate([self._answer(row) for row in each])
        among = self._answer(inputs)
        if not np.all(np.abs(alone - among) <= TOLERANCE * np.maximum(1, np.abs(alone))):
            raise NotExplained("RowsMixed", "its answer to a row depends on the other rows of a call")
        found = np.stack([self._explain_row(row, answer, deadline) for row, answer in zip(each, alone, strict=True)])
        base, values = self._base[self._shown], alone[:, self._shown]
        return Explanation(METHOD, self.scale, self._outputs, self.columns, base, values, found[:, self._shown])

    def _explain_row(self, row: Mapping[str, Array], answer: Array, deadline: float) -> Array:
        """Contributions (outputs, columns); those of columns whose value all kept rows have are 0."""
        varying = [number for number, cell in enumerate(self._cells) if self._differs(row, cell)]

        def values_of_sets(sets: Array) -> Array:
            known = np.ones((len(sets), len(self._cells)), dtype=bool)
            known[:, varying] = sets
            step, expected = self._sets_per_call, []
            for at in range(0, len(known), step):
                check_deadline(deadline)
                expected.append(self._expect(row, known[at : at + step]))
            return np.concatenate(expected)

        found = np.zeros((len(answer), len(self._cells)))
        found[:, varying] = kernel_shap(values_of_sets, len(varying), self._base, answer)
        return found

    def _differs(self, row: Mapping[str, Array], cell: tuple[str, int]) -> bool:
        name, number = cell
        value, background = (
            row[name].reshape(1, -1)[0, number],
            self._background[name].reshape(self._rows, -1)[:, number],
        )
        same = (background == value) | ((background != background) & (value != value))
        return not bool(np.all(same))

    def _expect(self, row: Mapping[str, Array], known: Array) -> Array:
        """The mean answer (sets, outputs) to the row's values where they are `known` (sets, columns), and kept ones elsewhere."""
        mixed = {name: np.repeat(background[None], len(known), axis=0) for name, background in self._background.items()}
        for column, (name, number) in enumerate(self._cells):
            cells = mixed[name].reshape(len(known), self._rows, -1)
            cells[known[:, column], :, number] = row[name].reshape(1, -1)[0, number]
        shaped = {name: array.reshape(-1, *array.shape[2:]) for name, array in mixed.items()}
        answers = self._answer(shaped)
        mean: Array = answers.reshape(len(known), self._rows, -1).mean(axis=1)
        return mean

    def _answer(self, inputs: Mapping[str, Array]) -> Array:
        """The model's answers (rows, outputs). Raises NotExplained if they are none that can be taken apart."""
        rows = len(next(iter(inputs.values())))
        try:
            [answers] = self._model.run(dict(inputs), [self._output])
        except RequestError as error:
            raise NotExplained("ModelFailed", f"the model failed while it was explained: {error}") from error
        if answers.ndim == 0 or len(answers) != rows or answers.size > MAX_OUTPUTS * rows:
            message = f"it returns {list(answers.shape)} for {rows} rows, and at most {MAX_OUTPUTS} numbers a row are explained"
            raise NotExplained("OutputUnknown", message)
        if not np.isfinite(answers).all():
            raise NotExplained("NotFinite", "it returns numbers that are not finite for mixed rows")
        return answers.reshape(rows, -1).astype(np.float64)


def _cells(spec: TensorSpec) -> list[tuple[str, int]]:
    return [(spec.name, number) for number in range(len(column_names(spec)))]


def _find_output(outputs: Sequence[TensorSpec], classes: Sequence[str]) -> str:
    """The scores of the classes, or the only output of floating-point numbers."""
    floats = [spec for spec in outputs if is_float(spec.datatype)]
    scores = [spec for spec in floats if classes and spec.shape[1:] == (len(classes),)]
    if len(scores or floats) != 1:
        raise NotExplained("OutputUnknown", f"it has {len(floats)} outputs of floating-point numbers, and not one")
    return (scores or floats)[0].name


def _name_outputs(width: int, classes: Sequence[str]) -> tuple[list[str], str]:
    """The names of the explained outputs, and their scale."""
    if len(classes) == width and width > 1:
        return ([*classes[1:]] if width == 2 else [*classes]), "Probability"
    return (["prediction"] if width == 1 else [f"prediction_{number}" for number in range(width)]), "Target"
