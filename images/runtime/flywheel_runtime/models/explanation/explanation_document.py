"""The document explanation.json: how a server may take a prediction apart into contributions of columns."""

from typing import Any

import numpy as np

from flywheel_runtime.contract.step import log_line
from flywheel_runtime.datasets.features import Data
from flywheel_runtime.models.explanation.matrix_columns import list_matrix_columns
from flywheel_runtime.models.golden_rows import json_value
from flywheel_runtime.models.onnx_export import ExportedModel

FILE = "explanation.json"
MAX_ROWS = 10_000  # of which the means of a linear model are
BACKGROUND_ROWS = 100  # of a model that no exact method explains
TREES, LINEAR, KERNEL = "PathDependentTreeSHAP", "LinearSHAP", "KernelSHAP"


def describe_explanation(pipeline: Any, data: Data, exported: ExportedModel, digest: str) -> dict[str, Any] | None:
    """The document; None where the columns of the model's matrix cannot be told.

    `columns` has the data's column for each column of the matrix that the model takes, and `means` of a linear model the mean of each
    over the train rows. Covers of trees are in model.onnx. A model that neither of the two exact methods explains has `background`, train
    rows with which its answers are compared.
    """
    model = pipeline[-1]
    is_linear = hasattr(model, "coef_") and hasattr(model, "intercept_")
    document = {"v": 1, "model": f"sha256:{digest}", "method": LINEAR if is_linear else TREES}
    if not exported.has_covers and not is_linear:
        return document | {"method": KERNEL, "background": {"inputs": _keep_rows(data)}}
    try:
        columns = list_matrix_columns(pipeline, data)
    except ValueError as error:  # no training fails because its model cannot be explained
        log_line(f"warning: predictions of the model cannot be explained: {error}")
        return None
    if not is_linear:
        return document | {"columns": columns}
    x = data.read("train").x
    matrix = pipeline[:-1].transform(x[:: len(x) // MAX_ROWS + 1])
    return document | {"columns": columns, "means": np.ravel(matrix.mean(axis=0, dtype=np.float64)).tolist()}


def _keep_rows(data: Data) -> dict[str, list[Any]]:
    """Rows of the train split at equal distances, as golden.json has its inputs."""
    raw = data.raw("train", MAX_ROWS)
    rows = np.unique(np.linspace(0, len(next(iter(raw.values()))) - 1, BACKGROUND_ROWS).astype(int))
    return {name: [json_value(value) for value in values[rows, 0]] for name, values in raw.items()}
