"""What a caller may read: SubjectAccessReview, with a bounded cache of a few seconds."""

from flywheel_reader.access.api_server import ApiServer
from flywheel_reader.access.callers import Caller
from flywheel_reader.access.expiring_cache import ExpiringCache
from flywheel_reader.errors import ApiServerUnreachable, Forbidden

GROUP = "flywheel.ml"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
CACHED_SECONDS = 10.0
MAX_CACHED = 8192
DATA_VERB = "read-data"

Right = tuple[str, str, str, str]  # verb, resource, namespace, name ("" for all)


class Rights:
    """Asks the API server whether a caller has a right on Flywheel's resources."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._cache: ExpiringCache[tuple[bytes, Right], bool] = ExpiringCache(MAX_CACHED)

    async def is_allowed(self, caller: Caller, verb: str, resource: str, namespace: str, name: str = "") -> bool:
        """Whether the caller may `verb` the resource. Raises ApiServerUnreachable."""
        key = (caller.key, (verb, resource, namespace, name))
        known = self._cache.get(key)
        if known is None:
            known = await self._review(caller, verb, resource, namespace, name)
            self._cache.put(key, known, CACHED_SECONDS)
        return known

    async def require(self, caller: Caller, verb: str, resource: str, namespace: str, name: str = "") -> None:
        """Raises Forbidden, with the same message whether or not the object exists."""
        if not await self.is_allowed(caller, verb, resource, namespace, name):
            raise Forbidden(forbidden_message(caller, verb, resource, namespace, name))

    async def _review(self, caller: Caller, verb: str, resource: str, namespace: str, name: str) -> bool:
        attributes = {"verb": verb, "group": GROUP, "resource": resource, "namespace": namespace, "name": name}
        spec = {**caller.subject, "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        code, content = await self._api.request("POST", ACCESS_REVIEWS, review)
        status = content.get("status")
        if code not in (200, 201) or not isinstance(status, dict):
            raise ApiServerUnreachable(
                f"the API server responds HTTP {code} on a SubjectAccessReview; let the ServiceAccount of the reader create subjectaccessreviews, as the chart does"
            )
        return status.get("allowed") is True


def forbidden_message(caller: Caller, verb: str, resource: str, namespace: str, name: str) -> str:
    """The sentence for a missing right: who, what, and the role that has it."""
    what = f"{resource}/{name}" if name else resource
    role = "flywheel-data-reader" if verb == DATA_VERB else "view"
    return (
        f"{caller.username[:300]!r} may not {verb} {what} in namespace '{namespace}'; "
        f"ask for a RoleBinding with ClusterRole '{role}' there"
    )
