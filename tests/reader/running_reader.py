"""A reader in its own process, with its store and the API server's double."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reader.cluster_double import ClusterDouble
from tests.reader.http_get import Response, get
from tests.reader.seeds import Seeds
from tests.runtime import s3_server

BUCKET = "models"
ALICE, TOKEN = "alice", "token-of-alice"  # she may do everything in namespace shop


@dataclass
class RunningReader:
    """A reader in its own process."""

    port: int
    health_port: int
    pid: int
    cluster: ClusterDouble
    seeds: Seeds
    store: s3_server.Server
    stores: Path  # the folder with the keys of each namespace

    def get(self, path: str, token: str | None = TOKEN, *, method: str = "GET", **headers: str) -> Response:
        """The response to a GET."""
        given = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return get(self.port, path, {**given, **headers}, method)

    def items(self, query: str = "") -> list[dict[str, Any]]:
        """The items of a list of trials of namespace shop."""
        response = self.get(f"/v1/namespaces/shop/trials{query}")
        assert response.status == 200, response.body
        found: list[dict[str, Any]] = response.json["items"]
        return found
