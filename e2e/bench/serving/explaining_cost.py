"""What explaining 1 % of the requests costs a server: `python -m e2e.bench.serving.explaining_cost [--rounds 20] [--seconds 2]`.

Two servers of one model on one core, asked in turn: both log 10 % of the rows, and one has an explainer and explains 1 % of the requests.
The model is gradient boosting of 100 trees on 30 columns (`logging_cost.py`); requests are JSON of one row over eight connections on
loopback. CPU time of the server's process counts, not that of the explainer, which has the other core. A round's ratio is of turns beside
each other in time. Result in `results/explaining_cost.*`.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.bench import targets
from e2e.bench.serving.counting_cost import FLAGS, WARM_UP_SECONDS, cpu_of_request
from e2e.bench.serving.logging_cost import model, on_cores, question
from e2e.bench.targets import Figures, Target
from e2e.waiting import wait_until
from tests.runtime import s3_server as s3
from tests.serving.explanation.explained_server import start_explainer
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import start_sink

PLAIN, EXPLAINED = "with logging", "and with 1 % explained"
LOGGED, EXPLAINED_SHARE = 0.1, 0.01
MAX_RATIO = 1.02


@contextmanager
def running_servers(folder: Path) -> Iterator[Mapping[str, LocalServer]]:
    """Both servers on the first core; what is started inside the block has the others."""
    first, *others = sorted(os.sched_getaffinity(0))
    artifact = folder / "model"
    artifact.mkdir()
    model(artifact, wide=False)
    with ExitStack() as stack:
        store = stack.enter_context(s3.running(folder))
        store.make_bucket("bench")
        secret = folder / "secret"
        secret.mkdir()
        for key, value in store.env("bench").items():
            (secret / key).write_text(value)
        stack.enter_context(on_cores(set(others) or {first}))
        explain = json.dumps({"sample": EXPLAINED_SHARE, "socket": str(folder / "explain"), "model": str(artifact)})
        stack.enter_context(start_explainer(explain, folder / "explain.log"))
        wait_until((folder / "explain").exists)
        servers: dict[str, LocalServer] = {}
        for name, more in ((PLAIN, ()), (EXPLAINED, ("--explain", explain))):
            flags = (*FLAGS, "--record", _start_sink(stack, folder, secret, len(servers)), *more)
            with on_cores({first}):
                servers[name] = stack.enter_context(LocalServer(artifact, *flags))
        wait_until(lambda: "explaining" in (folder / "explain.log").read_text(), 120)
        yield servers


def _start_sink(stack: ExitStack, folder: Path, secret: Path, number: int) -> str:
    """Start a sink for one server, and return the configuration of both."""
    socket = folder / f"sink-{number}"
    config = json.dumps(
        {
            "socket": str(socket), "sample": LOGGED, "service": f"service-{number}", "namespace": "bench",
            "store": str(secret), "seconds": 5.0, "explanations": number == 1,
        }
    )  # fmt: skip
    stack.enter_context(start_sink(config, folder / f"sink-{number}.log"))
    wait_until(socket.exists)
    return config


def measure(servers: Mapping[str, LocalServer], rounds: int, seconds: float) -> dict[str, Figures]:
    """Microseconds of CPU for a request by server, each round in the other order, and the median of the rounds' ratios."""
    content, names = question(wide=False), list(servers)
    for server in servers.values():
        cpu_of_request(server, content, WARM_UP_SECONDS)
    found = []
    for number in range(rounds):
        turn = names if number % 2 else names[::-1]
        costs = {name: cpu_of_request(servers[name], content, seconds) for name in turn}
        found.append(costs)
        sys.stdout.write(
            f"{number + 1}/{rounds}: " + ", ".join(f"{name} {costs[name]:.1f}" for name in names) + " us\n"
        )
        sys.stdout.flush()
    figures: dict[str, Figures] = {
        name: {"cpu_us": round(statistics.median(each[name] for each in found), 2)} for name in names
    }
    figures[EXPLAINED]["ratio"] = round(statistics.median(each[EXPLAINED] / each[PLAIN] for each in found), 4)
    figures[EXPLAINED]["explained"] = _count(servers[EXPLAINED], 'flywheel_explanations_total{outcome="Explained"}')
    figures[EXPLAINED]["busy"] = _count(servers[EXPLAINED], 'flywheel_explanations_total{outcome="ExplainerBusy"}')
    return figures


def _count(server: LocalServer, series: str) -> float:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series + " "))


def main() -> int:
    """1 if explaining costs more than it may."""
    parser = argparse.ArgumentParser(description="What explanations of a sample cost a server.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_servers(Path(folder)) as servers:
        figures = measure(servers, options.rounds, options.seconds)
    bounds = [Target("CPU of a request with 1 % explained by that without", figures[EXPLAINED]["ratio"], MAX_RATIO)]
    command = f"python -m e2e.bench.serving.explaining_cost --rounds {options.rounds} --seconds {options.seconds:g}"
    targets.write_results("explaining_cost", command, figures, bounds)
    sys.stdout.write(targets.format_targets(bounds) + "\n")
    return 0 if all(each.is_met for each in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
