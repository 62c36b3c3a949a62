"""shap's contributions: `python -m e2e.bench.explanation.shap_peer FOLDER`, in an environment with shap.

Writes FOLDER/<model>.npy, the contributions (rows, columns) of the second class. It prints the seconds of a row for each line `NAME` on stdin.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import shap

from e2e.bench.explanation.models import EXPLAINED_ROWS, make_models, make_rows


def main(folder: Path) -> None:
    """Explain the rows once for each model, and then as often as asked."""
    rows = make_rows()[0][:EXPLAINED_ROWS].astype(np.float64)
    explainers = {
        name: shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
        for name, model in make_models().items()
    }
    for name, explainer in explainers.items():
        np.save(folder / f"{name}.npy", second_class(explain(explainer, rows)))
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        explain(explainers[line.strip()], rows)
        print((time.perf_counter() - start) / len(rows), flush=True)


def explain(explainer: Any, rows: Any) -> Any:
    return np.asarray(explainer.shap_values(rows, check_additivity=False))


def second_class(values: Any) -> Any:
    return values[:, :, 1] if values.ndim == 3 else values


if __name__ == "__main__":
    main(Path(sys.argv[1]))
