"""Asks the cluster's API server: whose token is this, and may they `get` this InferenceService?

TokenReview answers the first for the audience of this service alone, so that a token made for another is worth nothing here. The second is a
LocalSubjectAccessReview: a SubjectAccessReview that can ask about one namespace, and needs no right beyond it.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from flywheel_serving.auth.https import Answer, Https, Unreachable
from flywheel_serving.auth.options import ServiceAccounts
from flywheel_serving.auth.verdict import ALLOWED, CannotStart, Verdict, forbidden, unauthenticated, unavailable

THREADS = 4
START_SECONDS = 20.0
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/namespaces/{}/localsubjectaccessreviews"
GROUP, RESOURCE = "flywheel.ml", "inferenceservices"
CALLER_ROLE = "flywheel-inference-caller"

log = logging.getLogger(__name__)


class NotAllowed(Exception):
    """The API server does not let this server ask."""


class Reviews:
    """A judge."""

    def __init__(self, options: ServiceAccounts) -> None:
        self._options = options
        self._access_path = ACCESS_REVIEWS.format(quote(options.namespace, safe=""))
        self._credentials = _Credentials(options.credentials)
        self._https: Https | None = None
        audience = options.audiences[0]
        self.wanted = (
            "send 'Authorization: Bearer TOKEN' with a token that "
            f"'kubectl create token SERVICEACCOUNT --audience={audience}' makes"
        )

    async def start(self) -> None:
        """Asks both questions once: a server that may not ask would let nobody in."""
        self._https = Https(_api_server(self._options), self._credentials.context, THREADS)
        try:
            await self._ask_once()
        except CannotStart:
            self.close()
            raise

    async def _ask_once(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + START_SECONDS
        while True:
            try:
                await self._whose(self._credentials.token())
                await self._may({"username": "system:anonymous"})
            except NotAllowed as refusal:
                raise CannotStart("ReviewsForbidden", _what_is_missing(str(refusal), self._options.namespace)) from None
            except (Unreachable, OSError) as error:
                if loop.time() > end:
                    words = f"spec.auth.serviceAccount asks the API server, which cannot be reached: {error}"
                    raise CannotStart("ApiServerUnreachable", f"{words}; see that the pod may reach it.") from None
                await asyncio.sleep(0.5)
            else:
                return

    async def judge(self, token: str) -> Verdict:
        try:
            status = await self._whose(token)
            user = status.get("user") or {}
            if not status.get("authenticated") or not set(status.get("audiences") or ()) & {*self._options.audiences}:
                return unauthenticated(f"the token is not accepted{_because(status)}; {self.wanted}")
            access = await self._may(user)
        except NotAllowed as refusal:
            log.warning("no review: %s", refusal)
            return unavailable(f"{_what_is_missing(str(refusal), self._options.namespace)}")
        except (Unreachable, OSError) as error:
            log.warning("no review: %s", error)
            return unavailable(
                "the cluster's API server, which knows who may ask, gives no answer; ask again in a second"
            )
        return ALLOWED if access.get("allowed") is True else forbidden(self._refusal(str(user.get("username"))))

    def close(self) -> None:
        if self._https is not None:
            self._https.close()

    async def _whose(self, token: str) -> Mapping[str, Any]:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(self._options.audiences)},
        }
        return await self._review(TOKEN_REVIEWS, review)

    async def _may(self, user: Mapping[str, Any]) -> Mapping[str, Any]:
        namespace = self._options.namespace
        asked = {
            "verb": "get",
            "group": GROUP,
            "resource": RESOURCE,
            "namespace": namespace,
            "name": self._options.name,
        }
        who = {"user": user.get("username"), **{key: user[key] for key in ("uid", "groups", "extra") if user.get(key)}}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": namespace},
            "spec": {"resourceAttributes": asked, **who},
        }
        return await self._review(self._access_path, review)

    async def _review(self, path: str, review: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its status. Raises NotAllowed, and Unreachable where the answer is none."""
        if self._https is None:
            raise Unreachable("the server has not started yet")
        headers = {
            "authorization": f"Bearer {self._credentials.token()}",
            "content-type": "application/json",
            "accept": "application/json",
        }
        answer = await self._https.ask("POST", path, orjson.dumps(review), headers)
        content = _object(answer.body)
        if answer.status in (401, 403):
            raise NotAllowed(str(content.get("message") or f"HTTP {answer.status}")[:500])
        status = content.get("status")
        if answer.status not in (200, 201) or not isinstance(status, dict):
            raise Unreachable(f"the API server answers {_summary(answer, content)} on {path}")
        return status

    def _refusal(self, username: str) -> str:
        name, namespace = self._options.name, self._options.namespace
        finding = f"{username[:300]!r} may not call InferenceService {name!r} in namespace {namespace!r}"
        words = f"kubectl create rolebinding callers -n {namespace} --clusterrole={CALLER_ROLE}"
        match username.split(":"):
            case ["system", "serviceaccount", where, account]:
                return f"{finding}; let it in with '{words} --serviceaccount={where}:{account}'"
        return f"{finding}; let them in with '{words} --user=USER'"


class _Credentials:
    """The pod's own, as the kubelet renews them: read again whenever they are used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def token(self) -> str:
        """Raises OSError."""
        return (self._folder / "token").read_text().strip()

    def context(self) -> ssl.SSLContext:
        """Raises OSError."""
        return ssl.create_default_context(cafile=str(self._folder / "ca.crt"))


def _api_server(options: ServiceAccounts) -> str:
    if options.api_server:
        return options.api_server
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise CannotStart(
            "NoApiServer",
            "KUBERNETES_SERVICE_HOST is not set, so this is no pod; give serviceAccount.apiServer, or use jwt or none.",
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _what_is_missing(words: str, namespace: str) -> str:
    return (
        f"the server may not ask the API server who its callers are ({words}); name namespace {namespace!r} in the "
        "chart's value 'namespaces', which gives ServiceAccount 'flywheel-server' there what it needs."
    )


def _because(status: Mapping[str, Any]) -> str:
    words = str(status.get("error") or "").strip()
    return f" ({words[:300]})" if words else ""


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _summary(answer: Answer, content: Mapping[str, Any]) -> str:
    return f"HTTP {answer.status} {str(content.get('message') or '')[:200]}".strip()
