"""Whose token a request carries: TokenReview, with a bounded cache."""

import asyncio
import base64
import binascii
import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from flywheel_reader.access.api_server import ApiServer
from flywheel_reader.access.expiring_cache import ExpiringCache
from flywheel_reader.errors import ApiServerUnreachable, Busy, Unauthorized

AUDIENCE = "flywheel-reader"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
MAX_TOKEN_BYTES = 16 << 10
MAX_CACHED = 2048
ACCEPTED_SECONDS, REFUSED_SECONDS = 60.0, 10.0
MAX_REVIEWS = 4  # of one peer at a time: the API server's client has threads for more than one peer
MAX_WAITING = 32  # requests of one peer whose tokens are not reviewed yet
HEADERS = ("authorization", "x-flywheel-authorization")  # the API server's proxy removes the first
HINT = f"send 'Authorization: Bearer TOKEN' with a token that 'kubectl create token SERVICEACCOUNT --audience={AUDIENCE}' makes"


@dataclass(frozen=True)
class Caller:
    """A user as the API server knows them. `key` is the digest of their token."""

    key: bytes
    username: str
    subject: Mapping[str, Any]  # user, uid, groups and extra, as a SubjectAccessReview takes them


class Authenticator:
    """Reviews tokens for the reader's audience, then for the API server's own."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._accepted: ExpiringCache[bytes, Caller] = ExpiringCache(MAX_CACHED)
        self._refused: ExpiringCache[bytes, str] = ExpiringCache(MAX_CACHED)  # apart, so that it removes no good one
        self._waiting: Counter[str] = Counter()
        self._slots: dict[str, asyncio.Semaphore] = {}

    async def authenticate(self, headers: Mapping[str, str], peer: str) -> Caller:
        """The caller. `peer` is the address that sent the request. Raises Unauthorized, ApiServerUnreachable and Busy."""
        token = _bearer_token(headers)
        key = hashlib.sha256(token.encode()).digest()
        found: Caller | str | None = self._accepted.get(key) or self._refused.get(key)
        if found is None:
            found = await self._review_in_turn(token, key, peer)
        if isinstance(found, str):
            raise Unauthorized(found)
        return found

    async def _review_in_turn(self, token: str, key: bytes, peer: str) -> Caller | str:
        """Reviews a few tokens of each peer at a time, so that made-up ones of one delay no other."""
        if self._waiting[peer] >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} requests of this address wait for a TokenReview; retry in a few seconds")
        self._waiting[peer] += 1
        try:
            async with self._slots.setdefault(peer, asyncio.Semaphore(MAX_REVIEWS)):
                found = self._accepted.get(key) or self._refused.get(key) or await self._review(token, key)
        finally:
            self._waiting[peer] -= 1
            if not self._waiting[peer]:
                del self._waiting[peer], self._slots[peer]
        if isinstance(found, Caller):
            self._accepted.put(key, found, _accepted_seconds(token))
        else:
            self._refused.put(key, found, REFUSED_SECONDS)
        return found

    async def _review(self, token: str, key: bytes) -> Caller | str:
        for audiences in ([AUDIENCE], []):
            status = await self._token_review(token, audiences)
            user = status.get("user")
            accepted = not audiences or AUDIENCE in (status.get("audiences") or ())
            if status.get("authenticated") is True and accepted and isinstance(user, dict) and user.get("username"):
                subject = {"user": user["username"], **{n: user[n] for n in ("uid", "groups", "extra") if user.get(n)}}
                return Caller(key, str(user["username"]), subject)
        return f"the token is not accepted: it has expired, or the cluster does not know it; {HINT}"

    async def _token_review(self, token: str, audiences: list[str]) -> Mapping[str, Any]:
        spec = {"token": token, **({"audiences": audiences} if audiences else {})}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        code, content = await self._api.request("POST", TOKEN_REVIEWS, review)
        status = content.get("status")
        if code not in (200, 201) or not isinstance(status, dict):
            raise ApiServerUnreachable(
                f"the API server responds HTTP {code} on a TokenReview; let the ServiceAccount of the reader create tokenreviews, as the chart does"
            )
        return status


def _bearer_token(headers: Mapping[str, str]) -> str:
    for name in HEADERS:
        value = headers.get(name)
        if value is None:
            continue
        scheme, _, token = value.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or not token.isascii() or len(token) > MAX_TOKEN_BYTES:
            raise Unauthorized(
                f"the header '{name}' holds no bearer token of at most {MAX_TOKEN_BYTES:,} bytes; {HINT}"
            )
        return token
    raise Unauthorized(f"the request has no token; {HINT}")


def _accepted_seconds(token: str) -> float:
    """How long an accepted token is not reviewed again: at most until it expires, if it is a JSON Web Token."""
    try:
        payload = token.split(".")[1]
        expires = float(orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return ACCEPTED_SECONDS
    return max(0.0, min(ACCEPTED_SECONDS, expires - time.time()))
