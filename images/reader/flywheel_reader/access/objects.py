"""Flywheel's objects in the cluster, as the reader's own ServiceAccount sees them."""

from typing import Any
from urllib.parse import quote

from flywheel_reader.access.api_server import ApiServer
from flywheel_reader.access.expiring_cache import ExpiringCache
from flywheel_reader.errors import ApiServerUnreachable, NotFound

BASE = "/apis/flywheel.ml/v1alpha1/namespaces/{}/{}"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
LISTED_SECONDS = 30.0
MAX_LISTS = 256
PAGE_SIZE = 500


class Objects:
    """Reads objects; callers check the right first."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._names: ExpiringCache[tuple[str, str], dict[str, str]] = ExpiringCache(MAX_LISTS)

    async def get(self, resource: str, namespace: str, name: str) -> dict[str, Any]:
        """The object. Raises NotFound, ApiServerUnreachable."""
        path = f"{BASE.format(quote(namespace, safe=''), resource)}/{quote(name, safe='')}"
        code, content = await self._api.request("GET", path)
        if code == 404:
            raise NotFound(
                f"{resource}/{name} does not exist in namespace '{namespace}'; 'kubectl get {resource} -n {namespace}' lists those that do"
            )
        if code != 200:
            raise ApiServerUnreachable(
                f"the API server responds HTTP {code} on {resource} in namespace '{namespace}'; add the namespace to the chart's value 'namespaces', which gives the reader its rights"
            )
        return content

    async def list_names(self, resource: str, namespace: str) -> dict[str, str]:
        """The names of all objects of a resource by their uid, at most half a minute old. Raises ApiServerUnreachable."""
        key = (resource, namespace)
        known = self._names.get(key)
        if known is not None:
            return known
        names: dict[str, str] = {}
        token = ""
        while True:
            base = BASE.format(quote(namespace, safe=""), resource)
            path = f"{base}?limit={PAGE_SIZE}&continue={quote(token, safe='')}"
            code, content = await self._api.request("GET", path, accept=METADATA_LIST)
            if code != 200:
                raise ApiServerUnreachable(
                    f"the API server responds HTTP {code} on the list of {resource} in namespace '{namespace}'"
                )
            metadata = [item["metadata"] for item in content.get("items") or ()]
            names |= {str(each["uid"]): str(each["name"]) for each in metadata}
            token = str((content.get("metadata") or {}).get("continue") or "")
            if not token:
                break
        self._names.put(key, names, LISTED_SECONDS)
        return names
