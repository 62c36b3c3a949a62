"""Load on InferenceService `fraud`: bounded traffic through a loopback port, and how many servers it has."""

import json
import urllib.request

from e2e.clients import Clients
from e2e.namespace import Namespace

ROWS = 100
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [ROWS, 2], "data": [1] * (2 * ROWS)}]}
).encode()
BUSY, QUIET = 0.005, 1.0  # seconds between a client's requests


class Load(Clients):
    """Four clients, each with a connection for every request, until they are stopped."""

    def __init__(self, port: int) -> None:
        super().__init__(clients=4, max_seconds=300)
        self.pause = BUSY
        self._address = f"http://127.0.0.1:{port}/v2/models/fraud/infer"

    def _send_requests(self) -> None:
        while self._should_go_on():
            try:
                with urllib.request.urlopen(urllib.request.Request(self._address, BODY), timeout=10) as response:
                    right = json.load(response)["outputs"][0]["data"] == [2.0] * ROWS
                    self.answers["right" if right else "wrong"] += 1
            except OSError as error:
                self.answers[f"failed: {error!r}"] += 1
            self._stop.wait(self.pause)


def replicas(namespace: Namespace) -> tuple[int, int]:
    """Return how many servers should run, and how many are ready."""
    deployment = namespace.get("deployment", "fraud") or {}
    return deployment["spec"]["replicas"], deployment.get("status", {}).get("readyReplicas", 0)
