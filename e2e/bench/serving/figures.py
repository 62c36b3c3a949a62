"""What is measured, on servers that run one at a time in turn, so that a noisy minute hurts all alike."""

import statistics
import struct
from collections.abc import Callable, Iterable

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from e2e.bench.serving import load, prediction_case
from e2e.bench.serving.peers import OURS, Competitor, Running, running
from e2e.bench.serving.prediction_case import RPC_PATH, PredictionCase
from e2e.bench.targets import Figures
from e2e.cluster.progress import Failure, announce

CONNECTIONS = 8
PORT = 19080
AFTER_OVERLOAD = (1, 2, 3, 4, 5)  # seconds after it, in each of which the rate is measured again
MANY = 256  # connections of the overload: each has one request under way
SWEEP = (8, 16, 32, 64)  # connections among which the peak is looked for

Measure = Callable[[Running], load.LoadResult]


def in_turn(peers: Iterable[Competitor], asked: PredictionCase, rounds: int, measure: Measure) -> dict[str, Figures]:
    """Every peer once in each round; medians over rounds by the peer's name."""
    found: dict[str, list[load.LoadResult]] = {}
    for number in range(rounds):
        for peer in peers:
            with running(peer, asked.folder, asked, PORT) as server:
                measured = measure(server)
            found.setdefault(peer.name, []).append(measured)
            announce(
                f"round {number + 1}, {peer.name}: {measured.rate:,.0f}/s, p50 {measured.p50:.2f} ms, p99 {measured.p99:.2f} ms"
            )
    return {name: _median(each) for name, each in found.items()}


def rest(asked: PredictionCase, seconds: float, connections: int = CONNECTIONS) -> Measure:
    """JSON over HTTP/1.1, closed loop."""

    def measure(server: Running) -> load.LoadResult:
        protocol = server.peer.protocol
        return load.rest(asked, protocol=protocol, port=server.http, connections=connections, seconds=seconds)

    return measure


def rpc(asked: PredictionCase, seconds: float) -> Measure:
    """Unary gRPC with raw tensors; the answer is checked once, since h2load sees status 200 for every gRPC error."""

    def measure(server: Running) -> load.LoadResult:
        _check_rpc(asked, server.grpc)
        return load.rpc(asked, port=server.grpc, connections=CONNECTIONS, seconds=seconds)

    return measure


def measure_starts(peers: Iterable[Competitor], asked: PredictionCase, rounds: int) -> dict[str, Figures]:
    """From the start of the process to the first right answer over REST, and the peak of resident memory after 1,000 requests."""
    found: dict[str, Figures] = {}
    for peer in peers:
        seconds, memory = list[float](), list[float]()
        for _ in range(rounds):
            with running(peer, asked.folder, asked, PORT) as server:
                load.rest(asked, protocol=peer.protocol, port=server.http, connections=CONNECTIONS, seconds=1)
                seconds.append(server.started)
                memory.append(server.peak())
        found[peer.name] = {
            "start_seconds": round(statistics.median(seconds), 2),
            "peak_rss_mib": round(statistics.median(memory), 1),
        }
        announce(f"{peer.name}: {found[peer.name]}")
    return found


def added(asked: PredictionCase, seconds: float) -> Figures:
    """What a request costs over a bare call of onnxruntime, one connection; milliseconds."""
    alone = prediction_case.bare(asked, min(seconds, 2))
    with running(OURS, asked.folder, asked, PORT) as server:
        measured = rest(asked, seconds, connections=1)(server)
    return {
        "bare_p50_ms": round(alone, 4),
        "p50_ms": round(measured.p50, 4),
        "added_ms": round(measured.p50 - alone, 4),
    }


def rows(asked: PredictionCase, seconds: float, rounds: int) -> Figures:
    """Rows by column names beside tensors, on one server in turn; medians of requests a second."""
    infer, predict = list[float](), list[float]()
    with running(OURS, asked.folder, asked, PORT) as server:
        for _ in range(rounds):
            infer.append(rest(asked, seconds)(server).rate)
            predict.append(load.rows(asked, port=server.http, connections=CONNECTIONS, seconds=seconds).rate)
    rates = statistics.median(infer), statistics.median(predict)
    return {"infer_rate": round(rates[0]), "predict_rate": round(rates[1]), "ratio": round(rates[1] / rates[0], 2)}


def overload(asked: PredictionCase, seconds: float) -> Figures:
    """Three times the peak's rate is offered by 256 connections; then the rate at 8 connections is looked at again."""
    with running(OURS, asked.folder, asked, PORT) as server:
        at = {count: rest(asked, seconds, connections=count)(server) for count in SWEEP}
        connections, peak = max(at.items(), key=lambda pair: pair[1].rate)
        before = at[CONNECTIONS].rate
        offered = load.rest(
            asked, protocol=True, port=server.http, connections=MANY, seconds=seconds, rps=3 * peak.rate
        )
        after = [rest(asked, 1)(server).rate for _ in AFTER_OVERLOAD]
    recovered = next((n for n, rate in zip(AFTER_OVERLOAD, after, strict=True) if rate >= 0.9 * before), 99)
    return {
        "peak_rate": round(peak.rate),
        "peak_connections": connections,
        "peak_p99_ms": round(peak.p99, 2),
        "offered_rate": round(3 * peak.rate),
        "goodput": round(offered.rate),
        "refused": round(offered.refused),
        "accepted_p99_ms": round(offered.p99, 2),
        "goodput_ratio": round(offered.rate / peak.rate, 2),
        "p99_ratio": round(offered.p99 / peak.p99, 2),
        "recovery_seconds": recovered,
    }


def _check_rpc(asked: PredictionCase, port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(
            RPC_PATH, request_serializer=bytes, response_deserializer=service_pb2.ModelInferResponse.FromString
        )
        response = ask(asked.frame()[struct.calcsize(">BI") :], timeout=10, wait_for_ready=True)
    for number, output in enumerate(response.outputs):
        if output.datatype == "FP32" and output.name in asked.answer:
            raw = response.raw_output_contents
            values = np.frombuffer(raw[number], np.float32) if raw else np.array(output.contents.fp32_contents)
            if not np.allclose(values, asked.answer[output.name].ravel(), atol=1e-5):
                raise Failure(f"the gRPC server on port {port} gave a wrong answer for output '{output.name}'")


def _median(several: list[load.LoadResult]) -> Figures:
    return {
        field: round(statistics.median(getattr(each, field) for each in several), 3) for field in ("rate", "p50", "p99")
    }
