"""Which column of the data each column of the matrix is of that a model is fitted to: one for numbers, several for one-hot codes and text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flywheel_runtime.datasets.features import Data


def list_matrix_columns(pipeline: Any, data: Data) -> list[str]:
    """The name of the data's column for each column of the matrix before the last step."""
    names = [feature.name for feature in data.features]
    for step in ("encode", "columns"):
        if step in pipeline.named_steps:
            names = _spread(pipeline.named_steps[step], names)
    return names


def _spread(transformer: Any, names: Sequence[str]) -> list[str]:
    """The names of the columns that a fitted ColumnTransformer makes of columns with these names."""
    found: list[str] = []
    for name, fitted, columns in transformer.transformers_:
        width = transformer.output_indices_[name].stop - transformer.output_indices_[name].start
        if not width:
            continue
        positions = np.arange(len(names))[columns]
        found += np.repeat([names[position] for position in positions], _widths(fitted, len(positions), width)).tolist()
    return found


def _widths(fitted: Any, columns: int, width: int) -> list[int]:
    """How many columns the fitted transformer makes of each of its columns."""
    if hasattr(fitted, "categories_") and width != columns and hasattr(fitted, "drop_idx_"):
        return [len(categories) for categories in fitted.categories_]
    if width % columns:
        raise ValueError(f"{type(fitted).__name__} makes {width} columns of {columns}")
    return [width // columns] * columns
