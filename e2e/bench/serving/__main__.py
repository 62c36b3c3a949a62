"""Measure the model server beside KServe, MLServer, BentoML and FastAPI.

python -m e2e.bench.serving                 everything, about 15 minutes; peers come from PyPI the first time
python -m e2e.bench.serving --peers         without peers, 2 minutes
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from e2e.bench import targets
from e2e.bench.serving import figures, models, report
from e2e.bench.serving.peers import OURS, OURS_WITHOUT_GRPC, PEERS, Competitor
from e2e.bench.targets import Figures
from e2e.cluster.progress import Failure, announce


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Figures]:
    """By `<work>_<server>`, and the figures that only ours has."""
    everybody = (OURS, *(peer for peer in PEERS if peer.name in options.peers))
    speaking = tuple(peer for peer in everybody if peer.grpc)
    for peer in everybody:
        peer.compile()
    asked, seconds = models.trees(folder / "trees"), options.seconds
    many = models.trees(folder / "trees", rows=32)
    works = {
        "json": (everybody, asked, figures.rest(asked, seconds)),
        "rpc": (speaking, asked, figures.rpc(asked, seconds)),
        "json32": (everybody, many, figures.rest(many, seconds)),
    }
    for name, make in (("wide", models.wide), ("text", models.text)):
        other = make(folder / name)
        works[name] = (everybody, other, figures.rest(other, seconds))
    found: dict[str, Figures] = {}
    for work, (peers, question, measure) in works.items():
        if options.work in (None, work):
            announce(f"{report.WORKS[work]}: {question.name} {list(question.rows.shape)}")
            found |= named(work, figures.in_turn(peers, question, options.rounds, measure))
    if options.work is None:
        found |= named("start", figures.measure_starts((*everybody, OURS_WITHOUT_GRPC), asked, options.rounds))
        found["added"] = figures.added(asked, seconds)
        found["rows"] = figures.rows(asked, seconds, options.rounds)
        found["overload"] = figures.overload(asked, seconds)
    return found


def named(work: str, found: dict[str, Figures]) -> dict[str, Figures]:
    return {f"{work}_{name}": each for name, each in found.items()}


def versions(peers: Iterable[Competitor]) -> dict[str, str]:
    """Of the packages that are measured."""
    script = "import sys, importlib.metadata; print(importlib.metadata.version(sys.argv[1]))"
    found = {OURS.name: targets.revision()}
    for peer in peers:
        python = str(peer.environment() / "bin/python")
        found[peer.name] = subprocess.check_output([python, "-c", script, peer.package], text=True).strip()
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.serving", description=__doc__.partition("\n")[0])
    names = [peer.name for peer in PEERS]
    parser.add_argument(
        "--peers", nargs="*", choices=names, default=names, help="those beside ours; writes a result with all"
    )
    parser.add_argument("--work", choices=tuple(report.WORKS), help="one kind of work alone; writes no result")
    parser.add_argument("--seconds", type=float, default=4, help="of load for each server in each round")
    parser.add_argument("--rounds", type=int, default=3, help="turns of all servers; medians are reported")
    return parser.parse_args()


def main() -> int:
    """Return 0 if every target is met."""
    options = parsed()
    try:
        with tempfile.TemporaryDirectory(prefix="flywheel-bench-") as folder:
            found = measured(options, Path(folder))
    except Failure as failure:
        sys.stderr.write(f"{failure.report()}\n")
        return 1
    checked = report.targets(found)
    if options.work is None and len(options.peers) == len(PEERS):
        table = report.table(found, versions(PEERS))
        targets.write_results(
            "serving", " ".join(("python -m e2e.bench.serving", *sys.argv[1:])), found, checked, table
        )
        print(table)
    print(targets.format_targets(checked))
    return 0 if all(line.is_met for line in checked) else 1


if __name__ == "__main__":
    sys.exit(main())
