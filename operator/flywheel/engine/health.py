"""The endpoints /livez, /readyz and /metrics on their own thread, so that a blocked event loop is still probed, and found blocked."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import generate_latest

from flywheel.engine import metrics

MAX_LOOP_LAG_SECONDS = 10.0  # beyond it, the event loop is blocked
MAX_RECONCILE_SECONDS = 900.0  # beyond it, a worker is stuck


class Health:
    """The state of the engine that the probes read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_heartbeat = clock()
        self.ready = False  # the caches are synced
        self.longest_running_seconds: Callable[[], float] = lambda: 0.0

    def heartbeat(self, lag_seconds: float) -> None:
        """Records that the event loop runs, and how late it is."""
        self._last_heartbeat = self._clock()
        metrics.loop_lag.set(lag_seconds)

    def livez(self) -> tuple[int, str]:
        """Returns 500 if this process should be restarted."""
        silent, running = self._clock() - self._last_heartbeat, self.longest_running_seconds()
        if silent > MAX_LOOP_LAG_SECONDS:
            return 500, f"the event loop has been blocked for {silent:.0f} s"
        if running > MAX_RECONCILE_SECONDS:
            return 500, f"a worker has been reconciling one resource for {running:.0f} s"
        return 200, "ok"

    def readyz(self) -> tuple[int, str]:
        """Returns 200 if this process could lead; its caches are synced also while it follows."""
        return (200, "ok") if self.ready else (503, "the caches are not synced yet")


def serve(health: Health, address: str) -> ThreadingHTTPServer:
    """Serves on `host:port` (`:8080` is every address) until `shutdown()`.

    Raises:
        OSError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            routes: dict[str, Callable[[], tuple[int, str]]] = {
                "/livez": health.livez,
                "/readyz": health.readyz,
                "/metrics": lambda: (200, generate_latest(metrics.REGISTRY).decode()),
            }
            status, text = routes.get(
                self.path.split("?")[0], lambda: (404, "there are /livez, /readyz and /metrics")
            )()
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Logs no probe."""

    host, _, port = address.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
