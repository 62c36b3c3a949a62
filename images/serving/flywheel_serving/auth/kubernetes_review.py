"""Reviews tokens with the cluster's API server: whose token is this, and may they `get` (or `label`) this InferenceService?

TokenReview answers the first question for this service's audience alone, so that a token for another audience is
refused. A LocalSubjectAccessReview answers the second: it needs no right beyond one namespace.
"""

import logging
import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from flywheel_serving.auth.config import ServiceAccountConfig
from flywheel_serving.auth.https_client import HttpsClient, Unreachable
from flywheel_serving.auth.open_endpoints import CALL_VERB, LABEL_VERB
from flywheel_serving.auth.startup import retry
from flywheel_serving.auth.verdict import (
    AuthResult,
    CannotStart,
    Verdict,
    forbidden_verdict,
    unauthenticated_verdict,
    unavailable_verdict,
)

MAX_CONNECTIONS = 4
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/namespaces/{}/localsubjectaccessreviews"
GROUP, RESOURCE = "flywheel.ml", "inferenceservices"
# By verb: what it lets a caller do, the ClusterRole with it, and the name of a RoleBinding.
GRANTS = {
    CALL_VERB: ("call", "flywheel-inference-caller", "callers"),
    LABEL_VERB: ("post labels to", "flywheel-labeler", "labelers"),
}

log = logging.getLogger(__name__)


class ReviewForbidden(Exception):
    """The API server does not let this server create reviews."""


class KubernetesReviewer:
    """A TokenReviewer."""

    concurrency = MAX_CONNECTIONS

    def __init__(self, config: ServiceAccountConfig) -> None:
        self._config = config
        self._access_path = ACCESS_REVIEWS.format(quote(config.namespace, safe=""))
        self._https: HttpsClient | None = None
        audience = config.audiences[0]
        self.token_hint = (
            "send 'Authorization: Bearer TOKEN' with a token that "
            f"'kubectl create token SERVICEACCOUNT --audience={audience}' makes"
        )

    async def start(self) -> None:
        """Creates both reviews once: a server without that right could admit no caller. Raises CannotStart."""
        self._https = HttpsClient(_api_server(self._config), self._tls_context, MAX_CONNECTIONS)
        try:
            await retry(self._review_once, (Unreachable, OSError))
        except ReviewForbidden as error:
            self.close()
            raise CannotStart("ReviewsForbidden", _missing_right(str(error), self._config.namespace)) from None
        except (Unreachable, OSError) as error:
            self.close()
            message = (
                f"spec.auth.serviceAccount needs the API server, which cannot be reached: {error}; "
                "check that the pod may connect to it."
            )
            raise CannotStart("ApiServerUnreachable", message) from None

    async def _review_once(self) -> None:
        await self._token_review(self._own_token())
        await self._access_review({"username": "system:anonymous"}, CALL_VERB)

    # The pod's own credentials are read for each use, since the kubelet renews them.

    def _own_token(self) -> str:
        """Raises OSError."""
        return (self._config.credentials / "token").read_text().strip()

    def _tls_context(self) -> ssl.SSLContext:
        """Raises OSError."""
        return ssl.create_default_context(cafile=str(self._config.credentials / "ca.crt"))

    async def review(self, token: str, verb: str = CALL_VERB) -> Verdict:
        try:
            status = await self._token_review(token)
            user = status.get("user") or {}
            accepted = set(status.get("audiences") or ()) & {*self._config.audiences}
            if not status.get("authenticated") or not accepted:
                return unauthenticated_verdict(f"the token is not accepted{_review_error(status)}; {self.token_hint}")
            access = await self._access_review(user, verb)
        except ReviewForbidden as error:
            log.warning("no review: %s", error)
            return unavailable_verdict(_missing_right(str(error), self._config.namespace))
        except (Unreachable, OSError) as error:
            log.warning("no review: %s", error)
            return unavailable_verdict(
                "the cluster's API server, which reviews tokens, does not respond; retry in a second"
            )
        if access.get("allowed") is True:
            return Verdict(AuthResult.ALLOWED, caller=str(user.get("username") or ""))
        return forbidden_verdict(self._refusal(str(user.get("username")), verb))

    def close(self) -> None:
        if self._https is not None:
            self._https.close()

    async def _token_review(self, token: str) -> Mapping[str, Any]:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(self._config.audiences)},
        }
        return await self._create(TOKEN_REVIEWS, review)

    async def _access_review(self, user: Mapping[str, Any], verb: str) -> Mapping[str, Any]:
        namespace = self._config.namespace
        attributes = {
            "verb": verb,
            "group": GROUP,
            "resource": RESOURCE,
            "namespace": namespace,
            "name": self._config.name,
        }
        subject = {
            "user": user.get("username"),
            **{key: user[key] for key in ("uid", "groups", "extra") if user.get(key)},
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": namespace},
            "spec": {"resourceAttributes": attributes, **subject},
        }
        return await self._create(self._access_path, review)

    async def _create(self, path: str, review: Mapping[str, Any]) -> Mapping[str, Any]:
        """The status of the created review. Raises ReviewForbidden, and Unreachable for an unusable response."""
        if self._https is None:
            raise Unreachable("the server has not started yet")
        headers = {
            "authorization": f"Bearer {self._own_token()}",
            "content-type": "application/json",
            "accept": "application/json",
        }
        response = await self._https.request("POST", path, orjson.dumps(review), headers)
        content = _parse_object(response.body)
        if response.status in (401, 403):
            raise ReviewForbidden(str(content.get("message") or f"HTTP {response.status}")[:500])
        status = content.get("status")
        if response.status not in (200, 201) or not isinstance(status, dict):
            message = str(content.get("message") or "")[:200]
            raise Unreachable(f"the API server responds HTTP {response.status} on {path} {message}".strip())
        return status

    def _refusal(self, username: str, verb: str) -> str:
        name, namespace = self._config.name, self._config.namespace
        action, role, binding = GRANTS[verb]
        finding = f"{username[:300]!r} may not {action} InferenceService {name!r} in namespace {namespace!r}"
        command = f"kubectl create rolebinding {binding} -n {namespace} --clusterrole={role}"
        match username.split(":"):
            case ["system", "serviceaccount", account_namespace, account]:
                return f"{finding}; admit it with '{command} --serviceaccount={account_namespace}:{account}'"
        return f"{finding}; admit the user with '{command} --user=USER'"


def _api_server(config: ServiceAccountConfig) -> str:
    if config.api_server:
        return config.api_server
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise CannotStart(
            "NoApiServer",
            "KUBERNETES_SERVICE_HOST is not set, so this is no pod; give serviceAccount.apiServer, or use jwt or none.",
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _missing_right(finding: str, namespace: str) -> str:
    return (
        f"the server may not ask the API server who its callers are ({finding}); name namespace {namespace!r} in the "
        "chart's value 'namespaces', which gives ServiceAccount 'flywheel-server' the right there."
    )


def _review_error(status: Mapping[str, Any]) -> str:
    error = str(status.get("error") or "").strip()
    return f" ({error[:300]})" if error else ""


def _parse_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
