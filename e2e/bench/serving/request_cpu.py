"""The server's CPU for a request, of another revision and of this one in turn: the median of ratios of pairs.

python -m e2e.bench.serving.request_cpu --before REVISION [--rounds 20] [--requests 40000]

A process of its own runs one revision's server without sockets: eight connections, each of which sends JSON with new numbers as soon as it
is answered, to a small network (`e2e/onnx_models.py`). CPU time counts, so other work on the machine matters little. Result in
`results/request_cpu.*`.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from e2e import onnx_models
from e2e.bench import targets
from e2e.bench.revisions import checkout
from e2e.bench.targets import Target
from e2e.cluster.paths import CHECKOUT

MODULE = "e2e.bench.serving.request_cpu"
CONNECTIONS, BODIES, WARM_UP_REQUESTS = 8, 64, 4_000
MAX_RATIO = 1.03


class CountingTransport(asyncio.Transport):
    """Counts the responses."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.responses = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.responses += 1

    def is_closing(self) -> bool:
        return False


async def microseconds_per_request(model: Path, requests: int) -> float:
    """CPU time of this process for one request, with the flywheel_serving that it imports."""
    from flywheel_serving.http.connection import Connection
    from flywheel_serving.server import Server
    from flywheel_serving.settings import parse

    server = Server(parse(["--model", str(model), "--name", "m", "--http", "127.0.0.1:0", "--threads", "1"]))
    await server.start()
    pairs = []
    for _ in range(CONNECTIONS):
        connection, transport = Connection(server._http), CountingTransport()
        connection.connection_made(transport)
        pairs.append((connection, transport))
    contents = [content(number) for number in range(BODIES)]

    async def send(count: int) -> None:
        for number in range(count // CONNECTIONS):
            wanted = pairs[-1][1].responses + 1
            for connection, _ in pairs:
                connection.data_received(contents[number % BODIES])
            while pairs[-1][1].responses < wanted:  # a call that is not known to be short is computed in a thread
                await asyncio.sleep(0)

    await send(WARM_UP_REQUESTS)
    start = time.process_time()
    await send(requests)
    return 1e6 * (time.process_time() - start) / requests


def content(number: int) -> bytes:
    values = [number + column / 7 for column in range(32)]
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 32], "data": values}]}).encode()
    return b"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def measure(folder: Path, model: Path, requests: int) -> float:
    """Microseconds of the server in that checkout, measured in a process of its own by this module."""
    path = os.pathsep.join([str(folder / "images/serving"), str(CHECKOUT)])
    command = [sys.executable, "-m", MODULE, "--model", str(model), "--requests", str(requests)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True, cwd=CHECKOUT
    )
    return float(done.stdout)


def compare(before: str, rounds: int, requests: int) -> None:
    """Writes the result file, and prints whether the target is met."""
    found: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name, checkout(before, Path(name)) as earlier:
        (Path(name) / "model.onnx").write_bytes(onnx_models.network())
        for number in range(rounds):
            found.append((measure(earlier, Path(name), requests), measure(CHECKOUT, Path(name), requests)))
            print(f"{number + 1}/{rounds}: {found[-1][0]:.2f} -> {found[-1][1]:.2f} µs", flush=True)
    ratio = statistics.median(now / then for then, now in found)
    medians = {
        "before_us": round(statistics.median(then for then, _ in found), 3),
        "now_us": round(statistics.median(now for _, now in found), 3),
        "ratio": round(ratio, 4),
    }
    bounds = [Target("CPU of a request by that of before", medians["ratio"], MAX_RATIO)]
    command = f"python -m {MODULE} --before {before} --rounds {rounds} --requests {requests}"
    targets.write_results("request_cpu", command, {"request": medians}, bounds)
    print(targets.format_targets(bounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--before", help="the revision to compare with")
    mode.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=40_000)
    options = parser.parse_args()
    if options.before:
        compare(options.before, options.rounds, options.requests)
        return
    print(uvloop.run(microseconds_per_request(options.model, options.requests)), flush=True)
    os._exit(0)  # the server's threads need not end first


if __name__ == "__main__":
    main()
