"""Requests to the API server, over the official client's connections. They block, so they are made from worker threads."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from flywheel.cluster.errors import ApiError
from flywheel.cluster.groups import Groups
from flywheel.cluster.retries import repeat_broken
from flywheel.core.resource.api import KUEUE, SERVICE_ACCOUNT, Api, Manifest, Reference

# The same objects as in events.k8s.io, with the names of fields that kubectl prints: message, lastTimestamp.
CORE_EVENT = Api("", "v1", "Event", "events")
KUEUE_WORKLOADS = Api(KUEUE, "", "Workload", "workloads")
JOB_UID_LABEL = f"{KUEUE}/job-uid"
APPLY_CONTENT_TYPE = "application/apply-patch+yaml"
MERGE_PATCH_CONTENT_TYPE = "application/merge-patch+json"
METADATA_LIST_CONTENT_TYPE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TIMEOUT_SECONDS = (5.0, 30.0)  # connect, read; seconds
PAGE_SIZE = 500  # objects of one response, as in kubectl
T = TypeVar("T")


class Client:
    """One pool of connections. `observe(method, status)` is called after every request, with status 0 if there was no response.

    `pauses`: requests that may be received twice are repeated after so many seconds each, if their connection breaks.
    """

    def __init__(
        self,
        settings: Configuration,
        observe: Callable[[str, int], None] = lambda _method, _status: None,
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
        pauses: Sequence[float] = (),
    ) -> None:
        self._client = ApiClient(settings)
        self._client.user_agent = "flywheel"
        self._observe = observe
        self._timeout = timeout
        self._pauses = pauses
        self._groups = Groups(lambda: self._request("GET", "/apis"))

    def get(self, reference: Reference) -> dict[str, Any] | None:
        """Returns one object, or None."""
        return self._find("GET", _path(reference.api, reference.namespace, reference.name))

    def list_metadata(self, api: Api, namespace: str | None, selector: str = "") -> dict[str, Any]:
        """Returns name, uid and resourceVersion of every object, as PartialObjectMetadataList: 0.2 s for 10,000 (measured)."""
        query = {"labelSelector": selector} if selector else {}
        return self._request("GET", _path(api, namespace), query=query, accept=METADATA_LIST_CONTENT_TYPE)

    def list_objects(self, api: Api, namespace: str, selector: str = "") -> list[Manifest]:
        """Returns every object of that type in a namespace, read in pages; none where the API server does not have the type.

        It is for commands; the operator watches.
        """
        found: list[Manifest] = []
        query = {"limit": str(PAGE_SIZE), **({"labelSelector": selector} if selector else {})}
        while True:
            page = self._find("GET", _path(api, namespace), query=query) or {}
            # Items of a list carry neither apiVersion nor kind.
            found += [{"apiVersion": api.api_version, "kind": api.kind, **each} for each in page.get("items") or ()]
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return found
            query["continue"] = token

    def list_events(self, namespace: str, uid: str) -> list[Manifest]:
        """Returns Kubernetes' events about one object, oldest first."""
        query = {"fieldSelector": f"involvedObject.uid={uid}"}
        found: list[Manifest] = self._request("GET", _path(CORE_EVENT, namespace), query=query).get("items") or []
        return sorted(found, key=_event_time)

    def serves(self, group: str) -> bool:
        """Returns whether the API server has an API group of that name."""
        return group in self._groups.versions()

    def list_kueue_workloads(self, namespace: str, uid: str) -> list[Manifest]:
        """Returns Kueue's Workloads of the Job with that uid, in the version that the API server prefers; none where there is no Kueue."""
        version = self._groups.versions().get(KUEUE_WORKLOADS.group)
        if version is None:
            return []
        path = _path(replace(KUEUE_WORKLOADS, version=version), namespace)
        found: list[Manifest] = (
            self._request("GET", path, query={"labelSelector": f"{JOB_UID_LABEL}={uid}"}).get("items") or []
        )
        return found

    def apply(
        self,
        api: Api,
        manifest: Manifest,
        manager: str,
        subresource: str = "",
        *,
        dry_run: bool = False,
        force: bool = True,
    ) -> tuple[dict[str, Any], bool]:
        """Applies server-side. Returns the object as stored (or as it would be), and whether it was created. `force` takes fields of other managers."""
        metadata = manifest["metadata"]
        path = _path(api, metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": manager, "force": str(force).lower(), **({"dryRun": "All"} if dry_run else {})}
        # A string, since the client would traverse a dict once more; JSON is YAML.
        status, body = self._send(
            "PATCH", path, query=query, body=json.dumps(manifest), content_type=APPLY_CONTENT_TYPE
        )
        return body, status == HTTPStatus.CREATED

    def merge(self, live: Manifest, api: Api, patch: Manifest, manager: str) -> dict[str, Any]:
        """Merges a patch into an object as it was read, in the name of a field manager; 409 if another object has its name by now."""
        metadata = live["metadata"]
        path = _path(api, metadata["namespace"], metadata["name"])
        body = {**patch, "metadata": {**(patch.get("metadata") or {}), "uid": metadata["uid"]}}
        return self._request(
            "PATCH", path, query={"fieldManager": manager}, body=body, content_type=MERGE_PATCH_CONTENT_TYPE
        )

    def create(self, api: Api, manifest: Manifest) -> dict[str, Any]:
        """Creates an object by POST: one that is not reconciled, such as the Lease, or one with a generateName."""
        return self._request("POST", _path(api, manifest["metadata"]["namespace"]), body=dict(manifest))

    def replace(self, api: Api, manifest: Manifest) -> dict[str, Any]:
        """Replaces an object by PUT; a resourceVersion in it causes 409 if the object has changed."""
        metadata = manifest["metadata"]
        return self._request("PUT", _path(api, metadata["namespace"], metadata["name"]), body=dict(manifest))

    def delete(self, reference: Reference, uid: str) -> dict[str, Any] | None:
        """Deletes the object of that uid and, in the background, what it owns. Returns None if it does not exist."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        return self._find("DELETE", _path(reference.api, reference.namespace, reference.name), body=body)

    def bearer_token(self) -> str | None:
        """Returns the token of the kubeconfig or the pod, current at the time of the call; None for a client certificate."""
        header = self._client.configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""
        scheme, _, token = header.partition(" ")
        return token or None if scheme.lower() == "bearer" else None

    def request_token(self, namespace: str, service_account: str, audience: str, seconds: int) -> str:
        """Returns a new token of a ServiceAccount for one audience, by a TokenRequest."""
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = _path(SERVICE_ACCOUNT, namespace, service_account, "token")
        return str(self._request("POST", path, body=body, repeatable=True)["status"]["token"])

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        read_seconds: float | None = TIMEOUT_SECONDS[1],
    ) -> BaseHTTPResponse:
        """Returns the response at any path of the API server with its body unread, whatever its status; the caller closes it.

        It is for logs and for Services behind the API server's proxy. Redirects are not followed.

        Raises:
            ApiError: there is no response.
        """
        settings = self._client.configuration
        authorization = settings.get_api_key_with_prefix("BearerToken", alias="authorization")
        own = {"User-Agent": "flywheel", **({"Authorization": authorization} if authorization else {})}
        target = settings.host + path + (f"?{urlencode(query)}" if query else "")

        def send() -> BaseHTTPResponse:
            response: BaseHTTPResponse = self._client.rest_client.pool_manager.request(
                method,
                target,
                headers={**(headers or {}), **own},
                body=body,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(connect=self._timeout[0], read=read_seconds),
            )
            return response

        response = self._exchange(method, path, send, repeatable=method == "GET")
        self._observe(method, response.status)
        return response

    def _find(self, method: str, path: str, **more: Any) -> dict[str, Any] | None:
        """Returns None where the object or its type does not exist."""
        try:
            return self._request(method, path, **more)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def _request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        return self._send(method, path, **more)[1]

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: dict[str, Any] | str | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        repeatable: bool = False,
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        arguments = self._client.param_serialize(
            method, path, {}, list((query or {}).items()), headers, body, auth_settings=["BearerToken"]
        )

        def send() -> tuple[Any, bytes]:
            response = self._client.call_api(*arguments, _request_timeout=self._timeout)
            # Without this the connection cannot be used again, and each call makes a new TLS handshake (measured).
            return response, response.read()

        response, raw = self._exchange(method, path, send, repeatable=repeatable or method == "GET")
        self._observe(method, response.status)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _error(response.status, response.getheaders(), raw)
        try:
            return response.status, json.loads(raw)
        except ValueError as error:
            raise ApiError(0, "Garbled", f"{method} {path}: the response is not JSON") from error

    def _exchange(self, method: str, path: str, send: Callable[[], T], *, repeatable: bool) -> T:
        try:
            return repeat_broken(send, self._pauses if repeatable else ())
        except (HTTPError, ApiException) as error:
            self._observe(method, 0)
            raise ApiError(0, "Unreachable", f"{method} {path}: {error}") from error


def _path(api: Api, namespace: str | None, name: str = "", subresource: str = "") -> str:
    root = f"/apis/{api.group}/{api.version}" if api.group else f"/api/{api.version}"
    where = f"/namespaces/{quote(namespace)}" if namespace else ""
    return root + where + "".join(f"/{quote(part)}" for part in (api.plural, name, subresource) if part)


def _error(status: int, headers: Mapping[str, str], raw: bytes) -> ApiError:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    seconds = headers.get("Retry-After", "")
    return ApiError(
        status,
        body.get("reason") or HTTPStatus(status).phrase if status in set(HTTPStatus) else str(status),
        body.get("message") or raw[:500].decode(errors="replace"),
        retry_after=float(seconds) if seconds.isdigit() else None,
    )


def _event_time(event: Manifest) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp", "")
    )
