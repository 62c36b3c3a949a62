"""The preset, FLAML and AutoGluon with the same seconds on the same splits of public tables, one after the other on each table.

python -m e2e.bench.automl [--seconds 120] [--tables titanic wine]

All three search for the best ROC AUC, or RMSE, and are scored on the test split by one function (scores.py). Ours is an Experiment on the
development cluster, which selects on the validation split; peers get the rows of train and validation, and split them as they like.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from e2e.artifacts import read_parquet
from e2e.bench import targets
from e2e.bench.automl import search
from e2e.bench.automl.peers import Peer, choose_peers
from e2e.bench.automl.scores import (
    METRIC_OF_TASK,
    OURS,
    SCORE,
    SECONDS,
    Predictions,
    Result,
    format_results,
    parse_scores,
    ratio,
    score,
)
from e2e.bench.targets import Figures, Target
from e2e.cluster.progress import Failure, announce
from e2e.namespace import Namespace
from e2e.tables import TABLES, Table

LEAST = 0.98  # of the quality of the better peer
QUIET_LOAD = 1.0


def main() -> int:
    """Measure, print and write results/automl.json and .md; 1 if a ratio is below its bound."""
    tables = {table.name: table for table in TABLES}
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.automl", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="the budget of each on each table")
    parser.add_argument("--tables", nargs="+", choices=tables, default=list(tables), metavar="TABLE")
    parser.add_argument(
        "--autogluon-preset", default="medium_quality", metavar="PRESET", help="its default; or best_quality"
    )
    args = parser.parse_args()
    load = os.getloadavg()[0]
    namespace = Namespace("bench-automl")
    namespace.create()
    found, is_met = dict[str, dict[str, Result]](), False
    peers = choose_peers(args.autogluon_preset)
    try:
        with tempfile.TemporaryDirectory(prefix="flywheel-bench-") as temporary:
            for table in (tables[name] for name in args.tables):
                try:
                    found[table.name] = measure(namespace, table, args.seconds, Path(temporary) / table.name, peers)
                    is_met = report(args.seconds, found, load)  # after each, so that a run that is ended has results
                except (Failure, TimeoutError) as failure:
                    print(
                        f"{table.name}: {failure.report() if isinstance(failure, Failure) else failure}",
                        file=sys.stderr,
                    )
    finally:
        namespace.delete(wait=False)
    return 0 if is_met and len(found) == len(args.tables) else 1


def measure(
    namespace: Namespace, table: Table, seconds: int, folder: Path, peers: tuple[Peer, ...]
) -> dict[str, Result]:
    """The result of each on a table."""
    folder.mkdir()
    splits = search.check_table(namespace, table)
    truth = read_parquet(splits["test.parquet"])[table.target]
    ours = search.run_search(namespace, table, splits["test.parquet"], seconds)
    model = f"{ours.estimator} of {ours.trials} trials"
    results = {OURS: Result(score(truth, ours.predictions), ours.seconds, model)}
    announce(f"{table.name}: {OURS} {results[OURS].score:.5f}, {model}")
    for peer in peers:
        found = peer.run(table, splits, seconds, folder / peer.environment)
        results[peer.name] = Result(
            score(truth, Predictions.parse(found)), found["seconds"], found["model"], found["version"]
        )
        announce(f"{table.name}: {peer.name} {results[peer.name].score:.5f}, {found['model']}")
    return results


def report(seconds: int, found: dict[str, dict[str, Result]], load: float) -> bool:
    """Write and print the results beside those of tables that an earlier run measured, and return whether every target is met."""
    metrics = {table.name: METRIC_OF_TASK[table.task] for table in TABLES}
    earlier = targets.earlier_results("automl", found)
    of_earlier = {name: parse_scores(each["figures"]) for name, each in earlier.items()}
    checked = [
        Target(
            f"{name}: {metrics[name]}, ratio to the better peer",
            round(ratio(each, metrics[name]), 4),
            LEAST,
            at_least=True,
        )
        for name, each in {**found, **of_earlier}.items()
    ]
    figures: dict[str, Figures] = {
        name: {
            f"{word}_{part}": round(value, 6)
            for word, result in each.items()
            for part, value in ((SCORE, result.score), (SECONDS, result.seconds))
        }
        for name, each in found.items()
    }
    state = "busy" if load > QUIET_LOAD else "quiet"
    versions = sorted({result.version for each in found.values() for result in each.values() if result.version})
    note = f"{', '.join(versions)}. The machine was {state}: load {load:.1f} at the start.\n\n{format_results(found, metrics)}"
    command = f"python -m e2e.bench.automl --seconds {seconds} --tables {' '.join(found)}"
    targets.write_results("automl", command, figures, checked, note, earlier)
    print(format_results(found, metrics), targets.format_targets(checked), sep="\n")
    return all(each.is_met for each in checked)


if __name__ == "__main__":
    sys.exit(main())
