"""What explanations cost: `python -m e2e.bench.explanation`, without a cluster. The result is in `results/explanation.md`.

Contributions of 100 rows, row by row, in turn with shap's TreeExplainer of the same models in a process of its own: the best of 15 rounds
of each. shap gets all 100 rows in one call, which costs it less for each.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from e2e.bench import targets
from e2e.bench.explanation.models import COLUMNS, EXPLAINED_ROWS, make_models, make_rows
from e2e.bench.targets import Figures, Target
from e2e.cluster.paths import CHECKOUT
from flywheel_runtime.models.explanation.tree_covers import write_covers
from flywheel_serving.explanation.tree_paths import parse_ensemble
from flywheel_serving.explanation.tree_shap import TreeShap
from flywheel_serving.protocol.onnx_proto import Model

COMMAND = "make bench-explanation"
SHAP = CHECKOUT / ".venv/shap/bin/python"
ROUNDS = 15
MILLISECONDS = 1_000


def main() -> int:
    """1 if a promise is not kept."""
    rows = make_rows()[0][:EXPLAINED_ROWS]
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as text, shap_peer(Path(text)) as shap_seconds:
        for name, model in make_models().items():
            found[name] = measure(name, make_explainer(model), rows, shap_seconds, np.load(Path(text) / f"{name}.npy"))
    checked = judge(found)
    targets.write_results("explanation", COMMAND, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def make_explainer(model: Any) -> TreeShap:
    """As a server has it: from the exported graph, with the covers that training writes."""
    kind = [("x", FloatTensorType([None, COLUMNS]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exported = to_onnx(
            model, initial_types=kind, options={id(model): {"zipmap": False}}, target_opset={"": 18, "ai.onnx.ml": 3}
        )
    assert write_covers(exported.graph, model)
    graph = Model.FromString(exported.SerializeToString()).graph
    node = next(node for node in graph.node if node.op_type.startswith(b"TreeEnsemble"))
    return TreeShap(parse_ensemble(node), COLUMNS)


def measure(name: str, explainer: TreeShap, rows: Any, shap_seconds: Callable[[str], float], expected: Any) -> Figures:
    """Milliseconds of a row on both sides in turn, and the largest difference."""
    ours: list[float] = []
    theirs: list[float] = []
    contributions = explainer.shap_values(rows)[:, -1]
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for row in rows:
            explainer.shap_values(row[None])
        ours.append((time.perf_counter() - start) / len(rows))
        theirs.append(shap_seconds(name))
    return {
        "row_ms": round(min(ours) * MILLISECONDS, 4),
        "shap_row_ms": round(min(theirs) * MILLISECONDS, 4),
        "largest_difference": float(f"{np.abs(contributions - expected).max():.2g}"),
    }


@contextmanager
def shap_peer(folder: Path) -> Iterator[Callable[[str], float]]:
    """A process with shap; the function returns the seconds of a row of one round."""
    command = [str(SHAP), "-m", "e2e.bench.explanation.shap_peer", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout
        if answers.readline().strip() != "ready":
            sys.exit("shap did not start; run 'make bench-explanation', which makes .venv/shap")

        def measure_row(name: str) -> float:
            requests.write(f"{name}\n")
            requests.flush()
            return float(answers.readline())

        yield measure_row
        requests.close()


def judge(found: dict[str, Figures]) -> list[Target]:
    """The promises: the time of a row of boosting, and for larger trees that of shap."""
    forest = found["forest_of_depth_8"]
    rows = [
        Target(f"contributions of a row, {name}, 100 trees of 30 columns", found[name]["row_ms"], 0.5, "ms")
        for name in ("histogram_boosting", "boosting")
    ]
    ratio = round(forest["row_ms"] / forest["shap_row_ms"], 2)
    differences = [
        Target(f"the largest difference from shap, {name}", figures["largest_difference"], 1e-6)
        for name, figures in found.items()
    ]
    return [*rows, Target("contributions of a row, forest_of_depth_8, of shap's time", ratio, 1.0), *differences]


if __name__ == "__main__":
    sys.exit(main())
