"""The issuer's public keys (JWKS, RFC 7517), as they rotate.

Fetched every five minutes, and when a token names a key that is not among them, though not more often than every ten seconds: tokens that
name made-up keys must not make us hammer the issuer. While it gives no answer, the last keys go on.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from flywheel_serving.auth.https import Unreachable

REFRESH_SECONDS, RETRY_SECONDS = 300.0, 10.0
KEYS = 100
# RFC 7518 §3.1 and RFC 8037: what a key of that type, on that curve, can sign with.
FITTING = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}

log = logging.getLogger(__name__)


class NoKeys(Exception):
    """None could be had, and there are no older ones that could say something."""


class UnknownKey(Exception):
    """The issuer publishes no such key."""


class Keys:
    """`fetch` brings the JWKS document; it raises Unreachable."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        algorithms: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._algorithms = algorithms
        self._clock = clock
        self._keys: dict[tuple[str | None, str], PyJWK] = {}
        self._tried = float("-inf")
        self._failure = "they were not asked for yet"
        self._fetching: asyncio.Task[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Raises NoKeys if the first try brings none."""
        if not await self._refresh():
            raise NoKeys(self._failure)
        self._timer = asyncio.get_running_loop().call_later(REFRESH_SECONDS, self._again)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def find(self, kid: str | None, algorithm: str) -> PyJWK:
        """The key of that name for that algorithm. Raises UnknownKey, or NoKeys if it could be new and the issuer gives no answer."""
        key = self._find(kid, algorithm)
        if key is not None:
            return key
        is_fresh = self._clock() - self._tried < RETRY_SECONDS and self._fetching is None
        answered = self._failure == "" if is_fresh else await self._refresh()
        key = self._find(kid, algorithm)
        if key is not None:
            return key
        if not answered:
            raise NoKeys(self._failure)
        raise UnknownKey

    def _find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        if kid is not None:
            return self._keys.get((kid, algorithm))
        able = [key for (_, each), key in self._keys.items() if each == algorithm]
        return able[0] if len(able) == 1 else None

    async def _refresh(self) -> bool:
        """Whether the issuer answered; many may wait for one answer."""
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._try())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def _fetched(self, _task: "asyncio.Task[bool]") -> None:
        self._fetching = None

    async def _try(self) -> bool:
        try:
            self._keys = read(await self._fetch(), self._algorithms)
        except (Unreachable, ValueError) as error:
            self._failure = str(error)
            if self._keys:
                log.warning("the issuer's keys cannot be renewed, so the last ones go on: %s", error)
            return False
        else:
            self._failure = ""
            return True
        finally:
            self._tried = self._clock()

    def _again(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(REFRESH_SECONDS, self._again)
        if self._fetching is None:
            self._fetching = loop.create_task(self._try())
            self._fetching.add_done_callback(self._fetched)


def read(document: bytes, algorithms: tuple[str, ...]) -> dict[tuple[str | None, str], PyJWK]:
    """Keys by (kid, algorithm): those made to sign, that fit an allowed algorithm. Raises ValueError if there is none."""
    listed = _listed(document)
    found: dict[tuple[str | None, str], PyJWK] = {}
    for each in listed[:KEYS]:
        for algorithm in _able(each, algorithms):
            try:
                found[each.get("kid"), algorithm] = PyJWK(each, algorithm)
            except PyJWTError as error:
                log.warning("one of the issuer's keys is left out: %s", type(error).__name__)
    if not found:
        raise ValueError(f"none of the issuer's {len(listed)} keys is for signatures with {', '.join(algorithms)}")
    return found


def _listed(document: bytes) -> list[Any]:
    try:
        match json.loads(document):
            case {"keys": [*listed]}:
                return listed
    except (ValueError, RecursionError):
        pass
    raise ValueError("the issuer's keys are no JWKS: a JSON object with a list 'keys' was wanted")


def _able(jwk: Any, algorithms: tuple[str, ...]) -> tuple[str, ...]:
    """The allowed algorithms that this key may be used with; none for a symmetric one, which everybody would know."""
    if not isinstance(jwk, Mapping) or not isinstance(jwk.get("kid"), str | None):
        return ()
    operations = jwk.get("key_ops")
    if jwk.get("use") not in (None, "sig") or (isinstance(operations, list) and "verify" not in operations):
        return ()
    kind = (str(jwk.get("kty")), None if jwk.get("kty") == "RSA" else str(jwk.get("crv")))
    own = jwk.get("alg")
    return tuple(each for each in FITTING.get(kind, ()) if each in algorithms and own in (None, each))
