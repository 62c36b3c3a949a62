"""spec.auth: who may ask a service, and what its pod needs to find that out.

A service that says `none` has nothing of this in its pod, so that its template stays what it was before there was anything else.
"""

import json
from collections.abc import Mapping
from typing import Any

from flywheel.kinds.inferenceservice.schema.auth import Authentication

# What the chart's value `namespaces` puts into each namespace: the ServiceAccount that may ask whose a token is.
SERVER_ACCOUNT = "flywheel-server"
CREDENTIALS = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607  # the shortest that is renewed in time everywhere; what the admission plugin ServiceAccount uses


def inputs(auth: Authentication | None) -> dict[str, Any]:
    """What of it the pod template depends on; nothing where everybody may ask."""
    if auth is None or auth.none is not None:
        return {}
    return {"auth": auth.model_dump(mode="json", by_alias=True, exclude_defaults=True)}


def flags(auth: Authentication | None, namespace: str, name: str, host: str) -> dict[str, str]:
    """The server's flag; `host` is the Service's DNS name, the audience where none is said."""
    if auth is not None and auth.jwt is not None:
        return {"--auth": _json({"jwt": auth.jwt.model_dump(mode="json", by_alias=True, exclude_defaults=True)})}
    if auth is not None and auth.service_account is not None:
        audiences = [str(each) for each in auth.service_account.audiences] or [host]
        return {"--auth": _json({"serviceAccount": {"namespace": namespace, "name": name, "audiences": audiences}})}
    return {}


def account(auth: Authentication | None, own: str) -> str:
    """The pod's ServiceAccount: its own, which has no rights, or the one that may ask whose a token is."""
    return SERVER_ACCOUNT if asks_the_api_server(auth) else own


def volumes(auth: Authentication | None) -> list[dict[str, Any]]:
    """A token for the API server and its certificate, for the container `server` alone."""
    if not asks_the_api_server(auth):
        return []
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}}
    certificate = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return [{"name": "credentials", "projected": {"sources": [token, certificate]}}]


def mounts(auth: Authentication | None) -> list[dict[str, Any]]:
    """Where it finds them."""
    if not asks_the_api_server(auth):
        return []
    return [{"name": "credentials", "mountPath": CREDENTIALS, "readOnly": True}]


def asks_the_api_server(auth: Authentication | None) -> bool:
    """Whether the pod needs a token of its own."""
    return auth is not None and auth.service_account is not None


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
