"""What a good client loses while a model server is attacked: requests, and its p99 against that of calm turns.

python -m e2e.bench.attacks [--pairs 10] [--seconds 8] [--kinds idle tokens rpc_tokens stuck]

All traffic stays on loopback, and attackers have nice 19 (attackers.py states their rates). A pair is a calm turn and one under attack,
beside each other in time. The good client sends 50 requests a second over four connections, of which it opens one anew every second; with
authentication, a new good token comes with each new connection. Where gRPC is attacked, it uses gRPC. The kubelet's probe is sent once a second to the health port, and must
never fail.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from e2e import onnx_models
from e2e.bench import targets
from e2e.bench.attacks.attackers import INFER_METHOD, KINDS, read_response, request
from e2e.bench.targets import Target
from flywheel_serving.protocol import open_inference_pb2 as pb
from tests.serving.auth.https_server import HttpsServer
from tests.serving.local_server import LocalServer

RATE, CONNECTIONS, RENEWAL_SECONDS = 50, 4, 1.0
ESTABLISHING_SECONDS = 60.0  # that an attack may take to have its full size
SETTLING_SECONDS = 2.0
MAX_P99_RATIO = 2.0
REVIEW_SECONDS = 0.005  # of the API server, for a token
GOOD_TOKEN = "good-"


@dataclass
class Turn:
    """What the good client saw: seconds of each request that succeeded, and what failed."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[98]


class GoodClient:
    """Sends requests at a fixed rate, whatever becomes of the ones before."""

    def __init__(self, port: int, health: int, body: dict[str, Any]) -> None:
        self._port, self._health, self._body = port, health, body
        self._tokens = 0

    async def run(self, seconds: float) -> Turn:
        turn, end = Turn(), time.perf_counter() + seconds
        clients = (self._send(turn, end, number) for number in range(CONNECTIONS))
        await asyncio.gather(*clients, self._probe(turn, end))
        return turn

    async def _send(self, turn: Turn, end: float, number: int) -> None:
        await asyncio.sleep(number * RENEWAL_SECONDS / CONNECTIONS)
        while time.perf_counter() < end:
            self._tokens += 1
            token = f"authorization: Bearer {GOOD_TOKEN}{time.time_ns()}-{self._tokens}\r\n"
            content = request("/v2/models/m/infer", self._body, token)
            renewal, writer = time.perf_counter() + RENEWAL_SECONDS * CONNECTIONS, None
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self._port), 10)
                while time.perf_counter() < min(end, renewal):
                    began = time.perf_counter()
                    writer.write(content)
                    await asyncio.wait_for(read_success(reader), 10)
                    turn.seconds.append(time.perf_counter() - began)
                    await asyncio.sleep(max(0.0, began + CONNECTIONS / RATE - time.perf_counter()))
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                turn.failures.append(repr(error))
                await asyncio.sleep(0.1)
            finally:
                if writer is not None:
                    writer.close()

    async def _probe(self, turn: Turn, end: float) -> None:
        while time.perf_counter() < end:
            writer = None
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self._health), 1)
                writer.write(b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n")
                await asyncio.wait_for(read_success(reader), 1)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                turn.failures.append(f"probe: {error!r}")
            finally:
                if writer is not None:
                    writer.close()
            await asyncio.sleep(1)


class RpcClient(GoodClient):
    """Sends them over gRPC; `port` is that of gRPC."""

    async def _send(self, turn: Turn, end: float, number: int) -> None:
        await asyncio.sleep(number * RENEWAL_SECONDS / CONNECTIONS)
        content = rpc_content(self._body)
        while time.perf_counter() < end:
            self._tokens += 1
            metadata = (("authorization", f"Bearer {GOOD_TOKEN}{time.time_ns()}-{self._tokens}"),)
            renewal = time.perf_counter() + RENEWAL_SECONDS * CONNECTIONS
            options = [("grpc.use_local_subchannel_pool", 1)]
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options) as channel:
                    infer = channel.unary_unary(INFER_METHOD)
                    while time.perf_counter() < min(end, renewal):
                        began = time.perf_counter()
                        await infer(content, metadata=metadata, timeout=10)
                        turn.seconds.append(time.perf_counter() - began)
                        await asyncio.sleep(max(0.0, began + CONNECTIONS / RATE - time.perf_counter()))
            except grpc.aio.AioRpcError as error:
                turn.failures.append(f"{error.code()}: {error.details()}")
                await asyncio.sleep(0.1)


def rpc_content(body: dict[str, Any]) -> bytes:
    """The message of a REST body with FP32 tensors."""
    message = pb.ModelInferRequest(model_name="m")
    for item in body["inputs"]:
        tensor = message.inputs.add(name=item["name"], datatype=item["datatype"], shape=item["shape"])
        tensor.contents.fp32_contents.extend(item["data"])
    content: bytes = message.SerializeToString()
    return content


async def read_success(reader: asyncio.StreamReader) -> None:
    """Raises ValueError with the response if its status is not 200."""
    head, body = await read_response(reader)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError(f"{head[9:12]!r} {body[:200]!r}")


def review(_method: str, path: str, body: Any, _headers: dict[str, str]) -> tuple[int, Any]:
    """An API server that knows every token with the prefix of the good ones, and needs a while."""
    time.sleep(REVIEW_SECONDS)
    if path.endswith("/tokenreviews"):
        is_good = body["spec"]["token"].startswith(GOOD_TOKEN)
        status = {"authenticated": is_good, "audiences": ["bench"], "user": {"username": "good"}}
        return 201, {"status": status}
    return 201, {"status": {"allowed": True}}


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[tuple[LocalServer, dict[str, Any]]]:
    """The server that is attacked, and the good client's body."""
    flags = ["--name", "m", "--health", "127.0.0.1:0"]
    with ExitStack() as stack:
        if kind == "stuck":
            (folder / "model.onnx").write_bytes(onnx_models.counting())
            flags += ["--max-run-seconds", "1"]
            inputs = [{"name": "n", "datatype": "INT64", "shape": [1], "data": [100]}]
        else:
            (folder / "model.onnx").write_bytes(onnx_models.network())
            inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 32], "data": [0.5] * 32}]
        if kind in ("tokens", "rpc_tokens"):
            api = stack.enter_context(HttpsServer(folder, review))
            (folder / "token").write_text("server")
            fields = {"namespace": "bench", "name": "m", "audiences": ["bench"]}
            auth = {"serviceAccount": {**fields, "apiServer": api.url, "credentials": str(folder)}}
            flags += ["--auth", json.dumps(auth)]
        yield stack.enter_context(LocalServer(folder, *flags)), {"inputs": inputs}


@contextmanager
def attacking(kind: str, port: int, seconds: float) -> Iterator[None]:
    """The attacker, which ends by itself after `seconds` if nothing ends it before."""
    command = [sys.executable, "-m", "e2e.bench.attacks.attackers", kind, str(port), str(seconds)]
    attacker = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert attacker.stdout is not None
        attacker.stdout.readline()  # it has its full size, or has ended
        time.sleep(SETTLING_SECONDS)
        yield
        if attacker.poll() is not None:
            raise RuntimeError(f"the attacker {kind!r} ended by itself with {attacker.returncode}")
    finally:
        attacker.kill()
        attacker.wait()


def measure(kind: str, pairs: int, seconds: float) -> dict[str, float]:
    """Figures of one kind of attack."""
    ratios, calm_p99s, lost, sent = [], [], 0, 0
    with tempfile.TemporaryDirectory() as folder, serving(kind, Path(folder)) as (server, body):
        is_rpc = kind == "rpc_tokens"
        port = server.ready["grpc" if is_rpc else "http"]
        client = (RpcClient if is_rpc else GoodClient)(port, server.ready["health"], body)
        asyncio.run(client.run(2.0))
        for number in range(pairs):
            calm = asyncio.run(client.run(seconds))
            with attacking(kind, port, seconds + ESTABLISHING_SECONDS + 60):
                attacked = asyncio.run(client.run(seconds))
            ratios.append(attacked.p99 / calm.p99)
            calm_p99s.append(calm.p99)
            lost += len(attacked.failures)
            sent += len(attacked.seconds) + len(attacked.failures)
            found = f"p99 {1e3 * calm.p99:.2f} -> {1e3 * attacked.p99:.2f} ms, lost {attacked.failures[:3]}"
            print(f"{kind} {number + 1}/{pairs}: {found}", flush=True)
            time.sleep(1.0)
    return {
        "p99_ratio": round(statistics.median(ratios), 3),
        "calm_p99_ms": round(1e3 * statistics.median(calm_p99s), 3),
        "sent": sent,
        "lost": lost,
        "pairs": pairs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    options = parser.parse_args()
    figures = {kind: measure(kind, options.pairs, options.seconds) for kind in options.kinds}
    earlier = targets.earlier_results("attacks", figures)
    bounds = bounds_of({**figures, **{kind: each["figures"] for kind, each in earlier.items()}})
    kinds = "" if options.kinds == list(KINDS) else f" --kinds {' '.join(options.kinds)}"
    command = f"python -m e2e.bench.attacks --pairs {options.pairs} --seconds {options.seconds:g}{kinds}"
    targets.write_results("attacks", command, figures, bounds, earlier=earlier)
    print(targets.format_targets(bounds))


def bounds_of(figures: Mapping[str, Mapping[str, float]]) -> list[Target]:
    """What is wanted of each kind of attack, in the order of `KINDS`."""
    bounds = []
    for kind, found in sorted(figures.items(), key=lambda item: list(KINDS).index(item[0])):
        bounds.append(Target(f"{kind}: requests lost by the good client", found["lost"], 0))
        bounds.append(Target(f"{kind}: p99 under attack by p99 in calm", found["p99_ratio"], MAX_P99_RATIO))
    return bounds


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
