"""A champion's server with its route.json, and requests to it over REST and gRPC."""

import http.client
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc

from e2e.waiting import wait_until
from tests.serving.local_server import LocalServer

NAME = "toy"


@dataclass
class Rollout:
    server: LocalServer
    path: Path

    def route(self, challenger: tuple[str, int], version: str, **more: Any) -> None:
        """Writes route.json as the operator would, and waits until the server has it."""
        host, port = challenger
        wanted = {"mode": "Canary", "percent": 100, "timeoutSeconds": 20.0, **more}
        who = {"version": version, "host": host, "port": port}
        line = f"{wanted['mode']}: "
        before = self.said(line)
        self.write(json.dumps({"v": 1, "challenger": who, **wanted}))
        wait_until(lambda: self.said(line) > before)

    def said(self, start: str) -> int:
        """The number of lines of the server's log that start with this text."""
        return sum(line["message"].startswith(start) for line in list(self.server.log))

    def write(self, text: str) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.path)

    def rest(self, row: tuple[float, float], path: str = "", **headers: str) -> dict[str, Any]:
        """The response as {model_version, <output>: data}; fails unless it is 200."""
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [row]}
        answer = self.post({"inputs": [tensor]}, path, **headers)
        return {"version": answer["model_version"], **{one["name"]: one["data"] for one in answer["outputs"]}}

    def predict(self, row: tuple[float, float], path: str = "") -> dict[str, Any]:
        """The response to a row by column names, in the same form as `rest`."""
        found = self.post({"rows": [{"x_0": row[0], "x_1": row[1]}]}, path, "predict")
        [prediction] = found["predictions"]
        return {"version": found["model_version"], **prediction}

    def post(self, body: dict[str, Any], path: str = "", method: str = "infer", **headers: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.server.http, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", f"/v2/models/{NAME}{path}/{method}", json.dumps(body), named)
        response = connection.getresponse()
        answer: dict[str, Any] = json.load(response)
        connection.close()
        assert response.status == 200, answer
        return answer

    def grpc(
        self, row: tuple[float, float], version: str = "", seconds: float | None = None, **headers: str
    ) -> dict[str, Any]:
        """The response over gRPC, in the same form."""
        tensor = triton_grpc.InferInput("x", [1, 2], "FP32")
        tensor.set_data_from_numpy(np.array([row], np.float32))
        client = triton_grpc.InferenceServerClient(self.server.grpc)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = client.infer(NAME, [tensor], model_version=version, client_timeout=seconds, headers=named)
        found = {name: answer.as_numpy(name).ravel().tolist() for name in ("value", "label")}
        client.close()
        return {"version": answer.get_response().model_version, **found}

    def metric(self, name: str, **labels: str) -> float | None:
        """The series' value, None without one."""
        for line in self.text("/metrics").splitlines():
            series, _, value = line.rpartition(" ")
            found = dict(re.findall(r'(\w+)="([^"]*)"', series))
            if series.partition("{")[0] == name and labels.items() <= found.items():
                return float(value)
        return None

    def forwarded(self) -> dict[str, float]:
        """The number of forwarded requests by outcome."""
        outcomes = {end: self.metric("flywheel_route_forwarded_total", outcome=end) for end in ENDS}
        return {end: count for end, count in outcomes.items() if count}

    def compared(self) -> dict[str, float]:
        outcomes = {end: self.metric("flywheel_shadow_compared_total", outcome=end) for end in COMPARED}
        return {end: count for end, count in outcomes.items() if count}

    def text(self, path: str) -> str:
        connection = http.client.HTTPConnection(self.server.http, timeout=60)
        connection.request("GET", path)
        body = connection.getresponse().read().decode()
        connection.close()
        return body


ENDS = ("Answered", "Failed", "Late", "Invalid")
COMPARED = ("Agreed", "Disagreed", "Failed", "Late", "Dropped")


def address(server: LocalServer) -> tuple[str, int]:
    return "127.0.0.1", int(server.ready["http"])
