"""What counting every request costs a server: `python -m e2e.bench.serving.counting_cost [--rounds 20] [--seconds 2]`.

Three servers of one model on one core, asked in turn: without logging, with logging of no rows (`sample: 0%`), and with that and a
baseline, in whose bins every value is counted. The model is gradient boosting on 30 columns (`logging_cost.py`); requests are JSON of one
row over eight connections on loopback. CPU time of the server's process counts, so other work on the machine matters little; a round's
ratio is of turns beside each other in time. Result in `results/counting_cost.*`.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.bench.serving.cpu_rounds import (
    FLAGS,
    Rounds,
    Servers,
    median_costs,
    median_ratio,
    run,
    start_sink_of_server,
    start_store,
)
from e2e.bench.serving.logging_cost import model, on_cores
from e2e.bench.targets import Figures, Target
from tests.serving.local_server import LocalServer

OFF, UNCOUNTED, COUNTED = "without logging", "with logging of no rows", "and with counts"
MAX_RATIO = 1.02


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """The three servers on the first core; what is started inside the block has the others."""
    first, *others = sorted(os.sched_getaffinity(0))
    counted, uncounted = folder / "counted", folder / "uncounted"
    counted.mkdir()
    model(counted, wide=False)
    uncounted.mkdir()
    shutil.copy(counted / "model.onnx", uncounted)
    with ExitStack() as stack:
        secret = start_store(stack, folder)
        servers: dict[str, LocalServer] = {}
        for name, artifact in ((OFF, counted), (UNCOUNTED, uncounted), (COUNTED, counted)):
            flags: tuple[str, ...] = FLAGS
            if name != OFF:
                flags = (*FLAGS, "--record", start_sink_of_server(stack, folder, secret, len(servers), sample=0.0))
            with on_cores({first}):
                servers[name] = stack.enter_context(LocalServer(artifact, *flags))
        stack.enter_context(on_cores(set(others) or {first}))
        yield servers


def describe(found: Rounds, servers: Servers) -> dict[str, Figures]:
    """Microseconds of CPU for a request by server, and the medians of the rounds' ratios."""
    figures = median_costs(found, servers)
    for name, before in ((UNCOUNTED, OFF), (COUNTED, UNCOUNTED)):
        figures[name]["ratio"] = median_ratio(found, name, before)
    return figures


def bound(figures: Mapping[str, Figures]) -> Target:
    """What counting may cost."""
    return Target("CPU of a request with counts by that without", figures[COUNTED]["ratio"], MAX_RATIO)


if __name__ == "__main__":
    sys.exit(run("counting_cost", running_servers, describe, bound))
