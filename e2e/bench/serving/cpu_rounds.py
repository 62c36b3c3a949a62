"""What a request costs several servers of one model, in rounds of turns beside each other in time, by the CPU time of their processes."""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from e2e.bench import targets
from e2e.bench.serving.logging_cost import load, processor_seconds, question
from e2e.bench.targets import Figures, Target
from e2e.waiting import wait_until
from tests.runtime import s3_server as s3
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import start_sink

WARM_UP_SECONDS = 1.0
FLAGS = ("--name", "m", "--threads", "1", "--drain-seconds", "0")
Servers = Mapping[str, LocalServer]
Rounds = list[dict[str, float]]
"""For each round the microseconds of CPU for a request, by server."""


def start_store(stack: ExitStack, folder: Path) -> Path:
    """Start a store with the bucket `bench`, and return the folder of its Secret."""
    store = stack.enter_context(s3.running(folder))
    store.make_bucket("bench")
    secret = folder / "secret"
    secret.mkdir()
    for key, value in store.env("bench").items():
        (secret / key).write_text(value)
    return secret


def start_sink_of_server(stack: ExitStack, folder: Path, secret: Path, number: int, **given: Any) -> str:
    """Start a sink for one server, and return the configuration of both."""
    socket = folder / f"sink-{number}"
    where = {"socket": str(socket), "service": f"service-{number}", "namespace": "bench", "store": str(secret)}
    config = json.dumps({**where, "seconds": 5.0, **given})
    stack.enter_context(start_sink(config, folder / f"sink-{number}.log"))
    wait_until(socket.exists)
    return config


def measure_rounds(servers: Servers, rounds: int, seconds: float) -> Rounds:
    """Ask each server in each round, in another order than in the last one, and print the figures."""
    content, names = question(wide=False), list(servers)
    for server in servers.values():
        _cpu_of_request(server, content, WARM_UP_SECONDS)
    found: Rounds = []
    for number in range(rounds):
        start = number % len(names)
        turn = names[start:] + names[:start]
        in_order = turn if number // len(names) % 2 else turn[::-1]
        costs = {name: _cpu_of_request(servers[name], content, seconds) for name in in_order}
        found.append(costs)
        sys.stdout.write(
            f"{number + 1}/{rounds}: " + ", ".join(f"{name} {costs[name]:.1f}" for name in names) + " us\n"
        )
        sys.stdout.flush()
    return found


def median_costs(found: Rounds, servers: Servers) -> dict[str, Figures]:
    """The median microseconds of CPU for a request, by server."""
    return {name: {"cpu_us": round(statistics.median(each[name] for each in found), 2)} for name in servers}


def median_ratio(found: Rounds, name: str, before: str) -> float:
    """The median of the rounds' ratios of two servers."""
    return round(statistics.median(each[name] / each[before] for each in found), 4)


def _cpu_of_request(server: LocalServer, content: bytes, seconds: float) -> float:
    """Microseconds of the server's process for one request, at full load."""
    process = server.process.pid
    before, _ = processor_seconds(process, 0)
    rate, _ = asyncio.run(load(int(server.http.rpartition(":")[2]), content, seconds))
    after, _ = processor_seconds(process, 0)
    return 1e6 * (after - before) / (rate * seconds)


def run(
    name: str,
    running_servers: Callable[[Path], AbstractContextManager[Servers]],
    describe: Callable[[Rounds, Servers], dict[str, Figures]],
    bound: Callable[[Mapping[str, Figures]], Target],
) -> int:
    """Measure as the command line says, and write `results/<name>.*`; 1 if the bound is missed."""
    parser = argparse.ArgumentParser(prog=f"e2e.bench.serving.{name}")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_servers(Path(folder)) as servers:
        figures = describe(measure_rounds(servers, options.rounds, options.seconds), servers)
    bounds = [bound(figures)]
    command = f"python -m e2e.bench.serving.{name} --rounds {options.rounds} --seconds {options.seconds:g}"
    targets.write_results(name, command, figures, bounds)
    sys.stdout.write(targets.format_targets(bounds) + "\n")
    return 0 if bounds[0].is_met else 1
