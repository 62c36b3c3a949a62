"""What counting every request costs a server: `python -m e2e.bench.serving.counting_cost [--rounds 20] [--seconds 2]`.

Three servers of one model on one core, asked in turn: without logging, with logging of no rows (`sample: 0%`), and with that and a
baseline, in whose bins every value is counted. The model is gradient boosting on 30 columns (`logging_cost.py`); requests are JSON of one
row over eight connections on loopback. CPU time of the server's process counts, so other work on the machine matters little; a round's
ratio is of turns beside each other in time. Result in `results/counting_cost.*`.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.bench import targets
from e2e.bench.serving.logging_cost import load, model, on_cores, processor_seconds, question
from e2e.bench.targets import Figures, Target
from e2e.waiting import wait_until
from tests.runtime import s3_server as s3
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import start_sink

OFF, UNCOUNTED, COUNTED = "without logging", "with logging of no rows", "and with counts"
MAX_RATIO = 1.02
WARM_UP_SECONDS = 1.0
FLAGS = ("--name", "m", "--threads", "1", "--drain-seconds", "0")


@contextmanager
def running_servers(folder: Path) -> Iterator[Mapping[str, LocalServer]]:
    """The three servers on the first core; what is started inside the block has the others."""
    first, *others = sorted(os.sched_getaffinity(0))
    counted, uncounted = folder / "counted", folder / "uncounted"
    counted.mkdir()
    model(counted, wide=False)
    uncounted.mkdir()
    shutil.copy(counted / "model.onnx", uncounted)
    with ExitStack() as stack:
        store = stack.enter_context(s3.running(folder))
        store.make_bucket("bench")
        secret = folder / "secret"
        secret.mkdir()
        for key, value in store.env("bench").items():
            (secret / key).write_text(value)
        servers: dict[str, LocalServer] = {}
        for name, artifact in ((OFF, counted), (UNCOUNTED, uncounted), (COUNTED, counted)):
            flags = FLAGS if name == OFF else (*FLAGS, "--record", _start_sink(stack, folder, secret, len(servers)))
            with on_cores({first}):
                servers[name] = stack.enter_context(LocalServer(artifact, *flags))
        stack.enter_context(on_cores(set(others) or {first}))
        yield servers


def _start_sink(stack: ExitStack, folder: Path, secret: Path, number: int) -> str:
    """Start a sink for one server, and return the configuration of both."""
    socket = folder / f"sink-{number}"
    config = json.dumps(
        {
            "socket": str(socket), "sample": 0.0, "service": f"service-{number}", "namespace": "bench",
            "store": str(secret), "seconds": 5.0,
        }
    )  # fmt: skip
    stack.enter_context(start_sink(config, folder / f"sink-{number}.log"))
    wait_until(socket.exists)
    return config


def measure(servers: Mapping[str, LocalServer], rounds: int, seconds: float) -> dict[str, Figures]:
    """Microseconds of CPU for a request by server, each round with another order, and the medians of the rounds' ratios."""
    content, names = question(wide=False), list(servers)
    for server in servers.values():
        cpu_of_request(server, content, WARM_UP_SECONDS)
    found = []
    for number in range(rounds):
        turn = names[number % 3 :] + names[: number % 3]
        costs = {name: cpu_of_request(servers[name], content, seconds) for name in (turn if number % 2 else turn[::-1])}
        found.append(costs)
        sys.stdout.write(
            f"{number + 1}/{rounds}: " + ", ".join(f"{name} {costs[name]:.1f}" for name in names) + " us\n"
        )
        sys.stdout.flush()
    figures: dict[str, Figures] = {
        name: {"cpu_us": round(statistics.median(each[name] for each in found), 2)} for name in names
    }
    for name, before in ((UNCOUNTED, OFF), (COUNTED, UNCOUNTED)):
        figures[name]["ratio"] = round(statistics.median(each[name] / each[before] for each in found), 4)
    return figures


def cpu_of_request(server: LocalServer, content: bytes, seconds: float) -> float:
    """Microseconds of the server's process for one request, at full load."""
    process = server.process.pid
    before, _ = processor_seconds(process, 0)
    rate, _ = asyncio.run(load(int(server.http.rpartition(":")[2]), content, seconds))
    after, _ = processor_seconds(process, 0)
    return 1e6 * (after - before) / (rate * seconds)


def main() -> int:
    """1 if counting costs more than it may."""
    parser = argparse.ArgumentParser(description="What counting of requests costs a server.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_servers(Path(folder)) as servers:
        figures = measure(servers, options.rounds, options.seconds)
    bounds = [Target("CPU of a request with counts by that without", figures[COUNTED]["ratio"], MAX_RATIO)]
    command = f"python -m e2e.bench.serving.counting_cost --rounds {options.rounds} --seconds {options.seconds:g}"
    targets.write_results("counting_cost", command, figures, bounds)
    sys.stdout.write(targets.format_targets(bounds) + "\n")
    return 0 if all(each.is_met for each in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
