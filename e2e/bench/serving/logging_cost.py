"""What logging costs: one server without and one with `--record`, asked in turns at full load, each with its sink on one core.

python -m e2e.bench.serving.logging_cost [--rounds 12] [--seconds 3] [--sample 0.1]

Gradient boosting with 100 trees on 30 float features, JSON, one row, 8 connections, loopback. `columns` has 30 inputs, as Flywheel's trainer
makes them, and a baseline, so everything is counted; `wide` has one input of 30 values, which has rows but no counts. The load generator and
the store (versitygw) have the other core. A pair is two turns beside each other in time; the median of their ratios is the figure.
"""

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from e2e.bench.targets import cpu_seconds
from e2e.waiting import wait_until
from flywheel_runtime.models.explanation.tree_covers import write_covers
from tests.runtime import s3_server as s3
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import start_sink

FEATURES, CONNECTIONS = 30, 8
NAMES = [f"f{number}" for number in range(FEATURES)]


def model(folder: Path, *, wide: bool) -> Path:
    """model.onnx; where every feature is an input, a baseline and what explains it."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(2_000, FEATURES)).astype(np.float32)
    forest = GradientBoostingClassifier(n_estimators=100, random_state=7).fit(rows, rows[:, :3].sum(axis=1) > 0)
    types = [("x", FloatTensorType([None, FEATURES]))]
    if not wide:
        types = [(name, FloatTensorType([None, 1])) for name in NAMES]
        edges = [float(edge) for edge in np.quantile(rows[:, 0], np.linspace(0, 1, 21))]
        features = {name: {"type": "Float", "edges": edges} for name in NAMES}
        predictions = {"edges": np.linspace(0, 1, 51).tolist(), "counts": {}}
        (folder / "baseline.json").write_text(json.dumps({"v": 1, "rows": len(rows), "features": features, "predictions": predictions}))  # fmt: skip
    pipeline = forest if wide else make_pipeline(FunctionTransformer(), forest)
    made = to_onnx(pipeline, initial_types=types, options={id(forest): {"zipmap": False}})
    write_covers(made.graph, forest)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    if not wide:
        digest = f"sha256:{hashlib.sha256(made.SerializeToString()).hexdigest()}"
        explained = {"v": 1, "model": digest, "method": "PathDependentTreeSHAP", "columns": NAMES}
        (folder / "explanation.json").write_text(json.dumps(explained))
    return folder


def question(*, wide: bool) -> bytes:
    """A whole HTTP request; without an id, so that the server makes one for each."""
    values = np.random.default_rng(1).normal(size=FEATURES).round(4).tolist()
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, FEATURES], "data": values}]
    if not wide:
        pairs = zip(NAMES, values, strict=True)
        inputs = [{"name": name, "datatype": "FP32", "shape": [1, 1], "data": [value]} for name, value in pairs]
    body = json.dumps({"inputs": inputs}).encode()
    return f"POST /v2/models/m/infer HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class Asker(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, content: bytes, times: list[float], end: float) -> None:
        self._content, self._times, self._end = content, times, end
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._content)

    def data_received(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200"), data[:200]
        self._times.append(time.perf_counter() - self._started)
        if time.perf_counter() < self._end:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed.set_result(None)


async def load(port: int, content: bytes, seconds: float) -> tuple[float, float]:
    """Requests for each second, and their 99th percentile in milliseconds."""
    loop, times = asyncio.get_running_loop(), list[float]()
    end = time.perf_counter() + seconds
    made = [
        await loop.create_connection(lambda: Asker(content, times, end), "127.0.0.1", port) for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(asker.closed for _, asker in made))
    return len(times) / seconds, 1_000 * float(np.percentile(times, 99))


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """What is started inside runs on these cores for ever."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    yield
    os.sched_setaffinity(0, before)


def compare(folder: Path, store: s3.Server, options: argparse.Namespace, *, wide: bool) -> None:
    """Prints a line for one model."""
    name = "wide" if wide else "columns"
    folder, secret = folder / name, folder / "secret"
    folder.mkdir()
    model(folder, wide=wide)
    secret.mkdir(exist_ok=True)
    for key, value in store.env("bench").items():
        (secret / key).write_text(value)
    order: dict[str, Any] = {
        "socket": str(folder / "sock"),
        "sample": options.sample,
        "service": name,
        "namespace": "bench",
        "store": str(secret),
        "seconds": 5.0,
    }
    flags = ("--name", "m", "--threads", "1", "--drain-seconds", "0")
    first, *others = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        with on_cores({first}):
            off = stack.enter_context(LocalServer(folder, *flags))
            sink = stack.enter_context(start_sink(json.dumps(order), folder / "sink.log"))
            wait_until(Path(order["socket"]).exists)
            on = stack.enter_context(LocalServer(folder, *flags, "--record", json.dumps(order)))
        stack.enter_context(on_cores(set(others) or {first}))
        content, ports = question(wide=wide), (int(off.http.rpartition(":")[2]), int(on.http.rpartition(":")[2]))
        processes = dict(zip(ports, ((off.process.pid, 0), (on.process.pid, sink.pid)), strict=True))
        for port in ports:
            asyncio.run(load(port, content, 1.0))
        pairs = []
        for turn in range(options.rounds):
            order_of_turn = ports if turn % 2 == 0 else ports[::-1]
            found = {}
            for port in order_of_turn:
                before = processor_seconds(*processes[port])
                rate, late = asyncio.run(load(port, content, options.seconds))
                used = [after - b for after, b in zip(processor_seconds(*processes[port]), before, strict=True)]
                found[port] = (rate, late, *(1e6 * each / (rate * options.seconds) for each in used))
            pairs.append((found[ports[0]], found[ports[1]]))
        memory = [peak(server.process.pid) for server in (off, on)]
        on.terminate()
        on.wait()
        said = next(line for line in on.log if line["message"] == "predictions logged")
    throughput, p99 = (statistics.median(b[i] / a[i] for a, b in pairs) for i in (0, 1))
    off_cpu, on_cpu, sink_cpu = (
        statistics.median(each[side][i] for each in pairs) for side, i in ((0, 2), (1, 2), (1, 3))
    )
    rates = [statistics.median(each[side][0] for each in pairs) for side in (0, 1)]
    print(f"{name:8} {rates[0]:8.0f} {rates[1]:8.0f} requests/s   throughput x {throughput:.3f}   p99 x {p99:.3f}   CPU {off_cpu:.0f} / {on_cpu:.0f} + {sink_cpu:.1f} us a request   peak RSS {memory[0]:.0f} / {memory[1]:.0f} MiB   rows {said['rows']}, dropped {said['dropped']}")  # fmt: skip


def processor_seconds(process: int, sink: int) -> tuple[float, float]:
    """Of the server, and of its sink (0: it has none): on a machine with other work, a better measure than time."""
    children = Path(f"/proc/{sink}/task/{sink}/children").read_text().split() if sink else []
    return cpu_seconds(process), sum(cpu_seconds(int(each)) for each in children)


def peak(process: int) -> float:
    """MiB of the server's own process."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="What logging of predictions costs a server.")
    parser.add_argument("--rounds", type=int, default=12, help="pairs of turns")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one turn")
    parser.add_argument("--sample", type=float, default=0.1, help="share of requests whose rows are logged")
    options = parser.parse_args()
    print(
        f"load average {os.getloadavg()[0]:.1f}, sample {options.sample}, {options.rounds} pairs of {options.seconds} s"
    )
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = stack.enter_context(s3.running(Path(folder)))
        store.make_bucket("bench")
        for wide in (False, True):
            compare(Path(folder), store, options, wide=wide)


if __name__ == "__main__":
    main()
