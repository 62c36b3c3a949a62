"""The preset Tabular beside boosting that somebody tuned by hand: `python -m e2e.bench.preset [dataset …]`, without a cluster.

Each Dataset is checked and split as in its pod, and each trial runs as in its pod (steps `check` and `train`), in this process. The search is
the Experiment's own: `trainer: {sklearn: {}}` with 20 trials, one after the other. Told is ROC AUC on the test split, which neither has seen:
of the trial that was best on validation, and of a HistGradientBoostingClassifier with the parameters below. Small data is split three
times with other seeds, and the mean is reported, since 70 rows of one split say little. The result is in `results/preset.md`.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from demo import flights
from e2e.bench import targets
from e2e.bench.targets import Figures, Target
from flywheel.kinds.experiment.children import trial_params
from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.schema.status import Data
from flywheel.kinds.experiment.search.defaults import resolve_setup
from flywheel.kinds.experiment.search.sampler import suggest
from flywheel.kinds.experiment.search.space import PastTrial
from tests.simulation import resource

TRIALS = 20
LEAST = 0.99  # of the hand-tuned ROC AUC
SPLITS = 3  # of small data

# Of each the best of 60 combinations (flights: 10) of these, drawn at random, on the validation part of the first split.
HAND_TUNED: dict[str, dict[str, Any]] = {
    "flights": {"learning_rate": 0.077, "max_iter": 300, "max_leaf_nodes": 63, "min_samples_leaf": 100},
    "breast_cancer": {"learning_rate": 0.22, "max_iter": 300, "max_leaf_nodes": 7, "min_samples_leaf": 20},
    "digits": {"learning_rate": 0.22, "max_iter": 300, "max_leaf_nodes": 7, "min_samples_leaf": 20},
    "diabetes": {
        "learning_rate": 0.044, "max_iter": 300, "max_leaf_nodes": 127, "min_samples_leaf": 40, "l2_regularization": 10,
    },
}  # fmt: skip


def main() -> int:
    """Measure those that are named, else all; 1 if the preset is further away than it may be."""
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # as in a pod without a CPU limit
        os.environ.setdefault(library, "1")
    found = {name: measured(name) for name in sys.argv[1:] or HAND_TUNED}
    checked = [
        Target(f"{name}: ROC AUC of the preset over the hand-tuned one", round(each["ratio"], 4), LEAST, at_least=True)
        for name, each in found.items()
    ]
    targets.write_results("preset", "python -m e2e.bench.preset", found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def measured(name: str) -> Figures:
    """Means over the splits."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for seed in range(1 if name == "flights" else SPLITS):
            data = checked(name, Path(folder) / f"data-{seed}", seed)
            tuned = trial(data, hand_tuned(name), Path(folder) / f"tuned-{seed}")
            found.append((searched(data, Path(folder) / f"preset-{seed}"), tuned["test_roc_auc"]))
    preset, tuned_mean = (sum(each) / len(found) for each in zip(*found, strict=True))
    seconds = round(time.monotonic() - began, 1)
    return {"preset": preset, "hand_tuned": tuned_mean, "ratio": preset / tuned_mean, "seconds": seconds}


def searched(data: Path, folder: Path) -> float:
    """The test ROC AUC of the preset's best trial on validation."""
    experiment = resource(KIND, "preset", {"dataset": "data", "trainer": {"sklearn": {}}})
    digest = "sha256:" + "0" * 64
    params = Data.model_validate({"version": "data", "digest": digest, "task": "Classification", "classes": 2})
    setup = resolve_setup(experiment.spec, params)
    assert setup is not None
    past: list[PastTrial] = []
    best = (0.0, 0.0)
    for number in range(1, TRIALS + 1):
        point = suggest(setup.space, past, trial=number, algorithm="TPE", seed=0, maximize=True, budget=TRIALS)
        assert point is not None
        metrics = trial(data, trial_params(experiment, setup, point), folder / str(number))
        past.append(PastTrial(point, metrics["roc_auc"]))
        best = max(best, (metrics["roc_auc"], metrics["test_roc_auc"]))
        print(f"{folder.name} {number} {setup.estimators[int(point[0])].name} {point[1:]} {metrics['roc_auc']:.4f}")
    return best[1]


def hand_tuned(name: str) -> dict[str, Any]:
    """params.json of the trial that somebody tuned."""
    return {
        "estimator": "HistGradientBoostingClassifier",
        "parameters": HAND_TUNED[name],
        "objective": {"metric": "roc_auc"},
        "validation": {"holdout": "Validation"},
        "seed": 0,
    }


def trial(data: Path, params: Mapping[str, Any], root: Path) -> dict[str, float]:
    """The metrics of one trial, by the step `train`."""
    from flywheel_runtime.commands.train import main as train

    (root / "inputs").mkdir(parents=True)
    (root / "inputs" / "data").symlink_to(data)
    step(train.main, params, root)
    found: dict[str, float] = json.loads((root / "outputs" / "metrics.json").read_text())
    return found


def checked(name: str, root: Path, seed: int) -> Path:
    """The version of a Dataset, by the step `check`."""
    from flywheel_runtime.commands.check import main as check

    source = root / "inputs" / "source"
    source.mkdir(parents=True)
    if name == "flights":
        for file in flights.flights_folder().iterdir():
            (source / file.name).symlink_to(file)
        times: dict[str, Any] = {"by": "Time", "validation": "15%", "test": "15%"}
        spec = {"name": name, "target": "late", "keys": ["flight_id"], "eventTime": "time_hour", "split": times}
    else:
        table(name).to_csv(source / "data.csv", index_label="row")
        split: dict[str, Any] = {"by": "Random", "stratify": "answer", "seed": seed}
        spec = {"name": name, "target": "answer", "keys": ["row"], "split": split}
    step(check.main, spec, root)
    return root / "outputs" / "data"


def table(name: str) -> Any:
    """A table that scikit-learn brings along, with a column `answer` of 0 and 1."""
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")(as_frame=True)
    answers = {
        "breast_cancer": loaded.target,
        "digits": loaded.target % 2,
        "diabetes": loaded.target > loaded.target.median(),
    }
    named = loaded.data.rename(columns=lambda column: column.replace(" ", "_"))
    return named.assign(answer=answers[name].astype(int))


def step(run: Any, params: Mapping[str, Any], root: Path) -> None:
    """One step in this process, as its pod would run it. Its log is printed if it fails."""
    (root / "params.json").write_text(json.dumps(dict(params)))
    os.environ.update({"FLYWHEEL_ROOT": str(root), "FLYWHEEL_TERMINATION_LOG": str(root / "termination-log")})
    with (root / "log").open("w") as log, redirect_stdout(log):
        code = run()
    if code != 0:
        raise SystemExit((root / "log").read_text())


if __name__ == "__main__":
    sys.exit(main())
