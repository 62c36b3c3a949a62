"""What a server's pod needs for `spec.auth`.

With `none` the pod has nothing of this, so that its template is the one from before authentication existed.
"""

import json
from collections.abc import Mapping
from typing import Any

from flywheel.kinds.inferenceservice.schema.auth import Authentication

# The chart's value `namespaces` creates this ServiceAccount in each namespace; it may create TokenReviews.
SERVER_ACCOUNT = "flywheel-server"
CREDENTIALS_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607  # the shortest that is renewed in time everywhere; as the admission plugin ServiceAccount uses it


def inputs(auth: Authentication | None) -> dict[str, Any]:
    """The inputs of the pod template; nothing without authentication."""
    if auth is None or auth.none is not None:
        return {}
    return {"auth": auth.model_dump(mode="json", by_alias=True, exclude_defaults=True)}


def flags(auth: Authentication | None, namespace: str, name: str, host: str) -> dict[str, str]:
    """The server's flag; `host` is the Service's DNS name, which is the default audience."""
    if auth is not None and auth.jwt is not None:
        return {"--auth": _json({"jwt": auth.jwt.model_dump(mode="json", by_alias=True, exclude_defaults=True)})}
    if auth is not None and auth.service_account is not None:
        audiences = [str(each) for each in auth.service_account.audiences] or [host]
        return {"--auth": _json({"serviceAccount": {"namespace": namespace, "name": name, "audiences": audiences}})}
    return {}


def volumes(auth: Authentication | None) -> list[dict[str, Any]]:
    """A volume with a token for the API server and its certificate; the container `server` alone mounts it."""
    if not reviews_tokens(auth):
        return []
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}}
    certificate = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return [{"name": "credentials", "projected": {"sources": [token, certificate]}}]


def mounts(auth: Authentication | None) -> list[dict[str, Any]]:
    """The mounts of `volumes`."""
    if not reviews_tokens(auth):
        return []
    return [{"name": "credentials", "mountPath": CREDENTIALS_FOLDER, "readOnly": True}]


def reviews_tokens(auth: Authentication | None) -> bool:
    """Whether the server creates TokenReviews, for which it needs a token of its own."""
    return auth is not None and auth.service_account is not None


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
