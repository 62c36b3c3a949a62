"""Measure the operator.

python -m e2e.bench.operator           restart, memory, latency and silence, on an API server of its own
python -m e2e.bench.operator trial     a trial's and a server's start, on the development cluster ('make up images deploy')
python -m e2e.bench.operator trial --before a9eee5f     a step's start with that revision and with this one, as processes of this machine
python -m e2e.bench.operator tracking  what records, curves and logs cost a trial, on stores of its own
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.bench import targets
from e2e.bench.operator import clones, figures, installation, report, resources
from e2e.bench.operator.figures import Watched
from e2e.bench.targets import Figures
from e2e.cluster.progress import Failure, announce
from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL

PER_LOOP = 3  # Dataset, Experiment, InferenceService: what is counted; a Model and a ModelVersion come on top
BY_THE_OPERATOR = 50  # loops that the operator brings to their end; the others are copies of the first
OF_A_LOOP = len(installation.KINDS)


def measured(options: argparse.Namespace) -> dict[str, Figures]:
    """Two servers: a small one for the latency, and one that grows."""
    found: dict[str, Figures] = {}
    if not options.no_latency:
        found["latency"] = measured_latency(options)
        announce(f"{found['latency']}")
    with folder() as place, installation.running(place) as grown:
        loops = 0
        for size in options.sizes:
            more = -(-size // PER_LOOP)
            announce(f"bringing {size:,} resources to Ready; 10,000 take ten minutes on 2 cores")
            if not loops:
                loops = min(more, BY_THE_OPERATOR)
                with figures.operator(grown) as process:
                    grown.grow(loops)
                    figures.settle(grown, process)
            clones.grow(grown, range(loops, more))
            loops = more
            announce(f"restarting with {size:,} resources")
            found[f"restart_{size}"] = restarted(grown, loops)
            announce(f"{found[f'restart_{size}']}")
            if options.idle and size == options.sizes[0]:
                announce(f"{options.idle:g} s of silence")
                found["idle"] = figures.idle(grown, options.idle)
                announce(f"{found['idle']}")
    return found


def restarted(grown: installation.Installation, loops: int) -> Figures:
    """`resources` is what was asked for; `looks` counts every resource."""
    return {**figures.restart(grown, loops * OF_A_LOOP), "resources": loops * PER_LOOP}


def measured_latency(options: argparse.Namespace) -> Figures:
    """Services of one shared Model, patched one after another."""
    watched = Watched()
    with folder() as place, installation.running(place, watched) as small, figures.operator(small) as process:
        announce(f"latency: bringing {options.services} InferenceServices to Ready")
        small.apply(resources.shared_model())
        small.wait({MODEL: 1})
        names = (f"service-{number}" for number in range(options.services))
        small.apply((INFERENCE_SERVICE, resources.service(name, resources.SHARED)) for name in names)
        small.wait({INFERENCE_SERVICE: options.services})
        figures.settle(small, process)
        announce(f"latency: {options.samples} changes of spec.replicas, {options.rate:g} a second")
        return figures.latency(small, watched, options.services, options.samples, options.rate)


@contextmanager
def folder() -> Iterator[Path]:
    """For a server's data; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="flywheel-bench-") as place:
        yield Path(place)


def trial(options: argparse.Namespace) -> dict[str, Figures]:
    """On the development cluster, or of two revisions on this machine."""
    if options.before:
        from e2e.bench.operator import step_start

        return step_start.measure(options.before, options.pairs)
    from e2e.bench.operator import startup as cluster

    return cluster.measure_startup()


def tracking(options: argparse.Namespace) -> dict[str, Figures]:
    """As processes of this machine."""
    from e2e.bench.operator import tracking_cost

    return tracking_cost.measure(options.pairs)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.operator", description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("operator", "trial", "tracking"), default="operator")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1000, 10_000], help="resources at each restart, growing"
    )
    parser.add_argument("--idle", type=float, default=600, help="seconds of silence after the first restart; 0: none")
    parser.add_argument("--services", type=int, default=100, help="InferenceServices for the latency")
    parser.add_argument("--samples", type=int, default=200, help="changes of spec.replicas")
    parser.add_argument("--rate", type=float, default=20, help="changes per second")
    parser.add_argument("--no-latency", action="store_true", help="leave the latency out")
    parser.add_argument("--before", metavar="REVISION", help="for trial: compare with this revision, without a cluster")
    parser.add_argument("--pairs", type=int, default=20, help="for trial --before and tracking: of each sort, in turn")
    return parser.parse_args()


def main() -> int:
    """Return 0 if every target is met."""
    options = parsed()
    try:
        found = {"operator": measured, "trial": trial, "tracking": tracking}[options.what](options)
    except Failure as failure:
        sys.stderr.write(f"{failure.report()}\n")
        return 1
    command = " ".join(("python -m e2e.bench.operator", *sys.argv[1:]))
    checked = report.targets(found)
    targets.write_results("step_start" if options.before else options.what, command, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(line.is_met for line in checked) else 1


if __name__ == "__main__":
    sys.exit(main())
