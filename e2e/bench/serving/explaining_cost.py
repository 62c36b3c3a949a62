"""What explaining 1 % of the requests costs a server: `python -m e2e.bench.serving.explaining_cost [--rounds 20] [--seconds 2]`.

Two servers of one model on one core, asked in turn: both log 10 % of the rows, and one has an explainer and explains 1 % of the requests.
The model is gradient boosting of 100 trees on 30 columns (`logging_cost.py`); requests are JSON of one row over eight connections on
loopback. CPU time of the server's process counts, not that of the explainer, which has the other core. A round's ratio is of turns beside
each other in time. Result in `results/explaining_cost.*`.
"""

import json
import os
import sys
import urllib.request
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
from e2e.waiting import wait_until
from tests.serving.explanation.explained_server import start_explainer
from tests.serving.local_server import LocalServer

PLAIN, EXPLAINED = "with logging", "and with 1 % explained"
LOGGED, EXPLAINED_SHARE = 0.1, 0.01
MAX_RATIO = 1.02


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """Both servers on the first core; what is started inside the block has the others."""
    first, *others = sorted(os.sched_getaffinity(0))
    artifact = folder / "model"
    artifact.mkdir()
    model(artifact, wide=False)
    with ExitStack() as stack:
        secret = start_store(stack, folder)
        stack.enter_context(on_cores(set(others) or {first}))
        explain = json.dumps({"sample": EXPLAINED_SHARE, "socket": str(folder / "explain"), "model": str(artifact)})
        stack.enter_context(start_explainer(explain, folder / "explain.log"))
        wait_until((folder / "explain").exists)
        servers: dict[str, LocalServer] = {}
        for name, more in ((PLAIN, ()), (EXPLAINED, ("--explain", explain))):
            logged = {"sample": LOGGED, "explanations": name == EXPLAINED}
            record = start_sink_of_server(stack, folder, secret, len(servers), **logged)
            with on_cores({first}):
                servers[name] = stack.enter_context(LocalServer(artifact, *FLAGS, "--record", record, *more))
        wait_until(lambda: "explaining" in (folder / "explain.log").read_text(), 120)
        yield servers


def describe(found: Rounds, servers: Servers) -> dict[str, Figures]:
    """Microseconds of CPU for a request by server, the median of the rounds' ratios, and what became of the explanations."""
    figures = median_costs(found, servers)
    figures[EXPLAINED]["ratio"] = median_ratio(found, EXPLAINED, PLAIN)
    figures[EXPLAINED]["explained"] = _count(servers[EXPLAINED], 'flywheel_explanations_total{outcome="Explained"}')
    figures[EXPLAINED]["busy"] = _count(servers[EXPLAINED], 'flywheel_explanations_total{outcome="ExplainerBusy"}')
    return figures


def _count(server: LocalServer, series: str) -> float:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series + " "))


def bound(figures: Mapping[str, Figures]) -> Target:
    """What explaining may cost."""
    return Target("CPU of a request with 1 % explained by that without", figures[EXPLAINED]["ratio"], MAX_RATIO)


if __name__ == "__main__":
    sys.exit(run("explaining_cost", running_servers, describe, bound))
