"""Requests to the API server with as little between as possible: what the bench spends, the operator does not have."""

import json
import ssl
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from flywheel.core.resource.api import Api, Manifest

Object = dict[str, Any]
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
MANAGER = "flywheel-bench"
TIMEOUT = 60.0  # seconds


class Refused(Exception):
    """The API server's answer, if it is not what was asked for."""


class Server:
    """One API server as a kubeconfig with certificates describes it. Each thread has a connection of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._address = urlsplit(cluster["server"]).netloc
        self._context = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(b64decode(user["client-certificate-data"]) + b"\n" + b64decode(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)
        self._local = threading.local()

    def apply(self, api: Api, manifest: Manifest) -> Object:
        """Server-side apply, forced; the object as stored."""
        where = path(api, manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        return self.request("PATCH", f"{where}?fieldManager={MANAGER}&force=true", manifest, APPLY)

    def create(self, api: Api, manifest: Manifest) -> Object:
        """POST."""
        return self.request("POST", path(api, manifest["metadata"].get("namespace")), manifest)

    def merge(self, where: str, change: Manifest) -> Object:
        """Merge patch of a path."""
        return self.request("PATCH", f"{where}?fieldManager={MANAGER}", change, MERGE)

    def delete_now(self, where: str) -> None:
        """Delete without grace; gone already is gone."""
        try:
            self.request("DELETE", f"{where}?gracePeriodSeconds=0")
        except Refused as refused:
            if "NotFound" not in str(refused):
                raise

    def listed(self, api: Api, namespace: str | None = None) -> Iterator[Object]:
        """All objects of a type, 500 at a time."""
        more = ""
        while True:
            answer = self.request("GET", f"{path(api, namespace)}?limit=500&continue={quote(more)}")
            yield from answer["items"]
            more = answer["metadata"].get("continue", "")
            if not more:
                return

    def watch(self, api: Api, query: str = "", namespace: str | None = None) -> Iterator[tuple[str, Object]]:
        """What is there, and then every change, until the server ends the stream: (type, object)."""
        connection = self._connect()
        try:
            # No timeout: nothing may happen for long.
            connection.timeout = None
            connection.request("GET", f"{path(api, namespace)}?watch=true&timeoutSeconds=86400{query}")
            response = connection.getresponse()
            while line := response.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Refused(f"watching {api.plural}: {event['object']}")
                yield event["type"], event["object"]
        finally:
            connection.close()

    def request(
        self, method: str, where: str, body: Manifest | None = None, content_type: str = "application/json"
    ) -> Object:
        """One request.

        Raises:
            Refused: the answer is an error; the message is the server's.
        """
        text = None if body is None else json.dumps(body)
        response, raw = self._exchange(method, where, text, {"Content-Type": content_type} if text else {})
        if response.status >= 400:
            raise Refused(f"{method} {where}: {raw.decode(errors='replace')[:1000]}")
        answer: Object = json.loads(raw)
        return answer

    def _exchange(
        self, method: str, where: str, text: str | None, headers: dict[str, str]
    ) -> tuple[HTTPResponse, bytes]:
        kept: HTTPSConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return _answer(kept, method, where, text, headers)
            except (HTTPException, OSError):
                kept.close()  # the server closes what was silent for some minutes
        self._local.connection = self._connect()
        return _answer(self._local.connection, method, where, text, headers)

    def _connect(self) -> HTTPSConnection:
        return HTTPSConnection(self._address, timeout=TIMEOUT, context=self._context)


def _answer(
    connection: HTTPSConnection, method: str, where: str, text: str | None, headers: dict[str, str]
) -> tuple[HTTPResponse, bytes]:
    connection.request(method, where, text, headers)
    response = connection.getresponse()
    return response, response.read()


def path(api: Api, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """Of a collection, an object or its subresource."""
    root = f"/apis/{api.group}/{api.version}" if api.group else f"/api/{api.version}"
    where = f"/namespaces/{namespace}" if namespace else ""
    return root + where + "".join(f"/{part}" for part in (api.plural, name, subresource) if part)


def path_of(api: Api, thing: Manifest, subresource: str = "") -> str:
    """Of an object at hand."""
    return path(api, thing["metadata"].get("namespace"), thing["metadata"]["name"], subresource)
