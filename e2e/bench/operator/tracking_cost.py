"""What tracking costs a trial: the end of collect with and without it, in turn, as processes of this machine would do it.

The store is a real S3 server on loopback; the log comes from a server on loopback that speaks as the API server does.
"""

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from e2e.bench.targets import Figures
from flywheel_runtime.commands.collect.main import collect
from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.contract.paths import Paths
from tests.runtime import s3_server

BUCKET, STEP = "bench", "trial-1"
LINE = b"epoch 000001 loss 0.4321 accuracy 0.8765 lr 0.001\n"
LOG_BYTES = 10 << 20  # the most that is stored
POINTS = 1000  # of the curve
TRACK = {"kind": "Experiment", "name": "bench", "logs": {"maskedVariables": ["FLYWHEEL_MASK_0"]}}


def measure(pairs: int) -> dict[str, Figures]:
    """Return medians in seconds: of an end without tracking, with it, and with the longest log."""
    with tempfile.TemporaryDirectory(prefix="flywheel-bench-") as place:
        folder = Path(place)
        (folder / "token").write_text("none")
        with s3_server.running(folder) as store, log_server() as log:
            store.make_bucket(BUCKET)
            shared = {**store.env(BUCKET), "FLYWHEEL_API_CREDENTIALS": place, "FLYWHEEL_MASK_0": "a-secret"}
            cases = {"without": None, "with_log": LINE * 100, "with_longest_log": LINE * (LOG_BYTES // len(LINE))}
            seconds: dict[str, list[float]] = {name: [] for name in cases}
            for number in range(pairs):
                for name, text in cases.items():
                    log.text = text or b""
                    root = folder / f"{name}-{number}"
                    end = finished_pod(root, log.url, tracked=text is not None) | shared
                    seconds[name].append(timed(end))
    median = {name: statistics.median(each) for name, each in seconds.items()}
    costs = {f"{name}_costs_seconds": median[name] - median["without"] for name in cases if name != "without"}
    return {"tracking": {"end_seconds": round(median["without"], 3), **{k: round(v, 3) for k, v in costs.items()}}}


class LogServer(ThreadingHTTPServer):
    """Responds to every request with `text`."""

    text = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One response of a LogServer."""

    server: LogServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.text)))
        self.end_headers()
        self.wfile.write(self.server.text)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def log_server() -> Iterator[LogServer]:
    """A LogServer that runs until the block ends."""
    server = LogServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def finished_pod(root: Path, log_url: str, *, tracked: bool) -> dict[str, str]:
    """The environment of a collect whose main has left a model, metrics and a curve."""
    (root / "run").mkdir(parents=True)
    (root / "run" / "fetched").write_text("[]")
    (root / "outputs" / "model").mkdir(parents=True)
    (root / "outputs" / "model" / "model.onnx").write_text(root.name)
    (root / "outputs" / "metrics.json").write_text('{"loss": 0.4}')
    points = (f'{{"step": {step}, "name": "loss", "value": 0.4, "pod": "{root.name}"}}\n' for step in range(POINTS))
    (root / "outputs" / "metrics.jsonl").write_text("".join(points))
    config = {"timeoutSeconds": None, "outputs": [{"name": "model", "required": True}]}
    return {
        "FLYWHEEL_ROOT": str(root),
        "FLYWHEEL_TERMINATION_LOG": str(root / "termination-log"),
        "FLYWHEEL_NAMESPACE": "bench",
        "FLYWHEEL_UID": root.name,
        "FLYWHEEL_STEP": STEP,
        "FLYWHEEL_POD": root.name,
        "FLYWHEEL_API_SERVER": log_url,
        "FLYWHEEL_COLLECT": json.dumps({**config, **({"track": TRACK} if tracked else {})}),
    }


def timed(env: dict[str, str]) -> float:
    """Seconds from the end of main to the final message."""
    started = time.perf_counter()
    report = collect(env, Paths.from_env(env), Stop(at=time.monotonic()))
    if not report["complete"]:
        raise AssertionError(report["error"])
    return time.perf_counter() - started
