"""Users of a service: bounded traffic through a port that leads to it, and every answer counted."""

import http.client
import json
import time
from collections import Counter

from e2e.clients import Clients

MAX_TRAFFIC_SECONDS = 480.0  # seconds that traffic may last, whatever a test does


class Traffic(Clients):
    """Some clients that ask one request after the other, with a pause, over connections that they keep.

    `answers` counts by `<model_version>: <first number>`; `failures` holds whatever was not a 200 with a number in it.
    """

    def __init__(self, port: int, model: str, row: list[float], clients: int = 3, pause: float = 0.02) -> None:
        super().__init__(clients, MAX_TRAFFIC_SECONDS)
        self.failures: Counter[str] = Counter()
        self._port = port
        self._path = f"/v2/models/{model}/infer"
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, len(row)], "data": row}
        self._body = json.dumps({"inputs": [tensor]}).encode()
        self._pause = pause

    def _send_requests(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while self._should_go_on():
            try:
                connection.request("POST", self._path, self._body, {"content-type": "application/json"})
                response = connection.getresponse()
                self._count(response.status, response.read())
            except (OSError, http.client.HTTPException) as error:
                self.failures[repr(error)] += 1
                connection.close()
            time.sleep(self._pause)
        connection.close()

    def _count(self, status: int, body: bytes) -> None:
        response_body = json.loads(body)
        if status != 200:
            self.failures[f"{status}: {response_body}"] += 1
            return
        value = response_body["outputs"][0]["data"][0]
        if not isinstance(value, int | float) or value != value:
            self.failures[f"no number: {response_body}"] += 1
            return
        self.answers[f"{response_body['model_version']}: {value}"] += 1


def predict_once(port: int, model: str, row: list[float]) -> tuple[str, float]:
    """Who answers one request, and what."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, len(row)], "data": row}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}))
    response_body = json.loads(connection.getresponse().read())
    connection.close()
    return str(response_body["model_version"]), float(response_body["outputs"][0]["data"][0])
