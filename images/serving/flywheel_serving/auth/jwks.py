"""The issuer's public keys (JWKS, RFC 7517), as they rotate.

They are fetched every five minutes, and when a token names an unknown key, though at most every ten seconds: tokens with
made-up key names must not flood the issuer. While the issuer does not respond, the last keys stay in use for an hour: a
key that it has withdrawn meanwhile must not be trusted for ever.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from flywheel_serving.auth.https_client import Unreachable

REFRESH_INTERVAL_SECONDS, MIN_REFRESH_INTERVAL_SECONDS = 300.0, 10.0
MAX_AGE_SECONDS = 3600.0  # of keys since the issuer published them
MAX_KEYS = 100
# RFC 7518 §3.1 and RFC 8037: the algorithms for keys of each type and curve.
ALGORITHMS_BY_KEY = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}

log = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """The issuer does not respond, and no earlier key decides."""


class UnknownKey(Exception):
    """The issuer publishes no such key."""


class SigningKeys:
    """`fetch` returns the JWKS document, or raises Unreachable."""

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
        self._fetched_at = self._published_at = float("-inf")
        self._failure = "they were not fetched yet"
        self._fetching: asyncio.Task[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Fetches the keys, now and regularly. Raises KeysUnavailable if the first fetch brings none."""
        if not await self._refresh():
            raise KeysUnavailable(self._failure)
        self._timer = asyncio.get_running_loop().call_later(REFRESH_INTERVAL_SECONDS, self._on_timer)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def find(self, kid: str | None, algorithm: str) -> PyJWK:
        """The key `kid` for `algorithm`. Raises UnknownKey, or KeysUnavailable if it may be new and cannot be fetched."""
        key = self._find(kid, algorithm)
        if key is not None:
            return key
        is_fresh = self._clock() - self._fetched_at < MIN_REFRESH_INTERVAL_SECONDS and self._fetching is None
        issuer_responded = self._failure == "" if is_fresh else await self._refresh()
        key = self._find(kid, algorithm)
        if key is not None:
            return key
        if not issuer_responded:
            raise KeysUnavailable(self._failure)
        raise UnknownKey

    def _find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        if self._clock() - self._published_at > MAX_AGE_SECONDS:
            return None
        if kid is not None:
            return self._keys.get((kid, algorithm))
        candidates = [key for (_, each), key in self._keys.items() if each == algorithm]
        return candidates[0] if len(candidates) == 1 else None

    async def _refresh(self) -> bool:
        """Whether the issuer responded; concurrent callers share one fetch."""
        return await asyncio.shield(self._fetch_task())

    def _fetch_task(self) -> "asyncio.Task[bool]":
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch_keys())
            self._fetching.add_done_callback(self._on_fetched)
        return self._fetching

    def _on_fetched(self, _task: "asyncio.Task[bool]") -> None:
        self._fetching = None

    async def _fetch_keys(self) -> bool:
        try:
            self._keys = parse_jwks(await self._fetch(), self._algorithms)
        except (Unreachable, ValueError) as error:
            self._failure = str(error)
            if self._keys:
                log.warning(
                    "the issuer's keys cannot be refreshed, so the last ones stay in use for an hour: %s", error
                )
            return False
        else:
            self._failure = ""
            self._published_at = self._clock()
            return True
        finally:
            self._fetched_at = self._clock()

    def _on_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(REFRESH_INTERVAL_SECONDS, self._on_timer)
        self._fetch_task()


def parse_jwks(document: bytes, algorithms: tuple[str, ...]) -> dict[tuple[str | None, str], PyJWK]:
    """Signing keys by (kid, algorithm), for the allowed algorithms. Raises ValueError if there are none."""
    listed = _listed_keys(document)
    keys: dict[tuple[str | None, str], PyJWK] = {}
    for jwk in listed[:MAX_KEYS]:
        for algorithm in _usable_algorithms(jwk, algorithms):
            try:
                keys[jwk.get("kid"), algorithm] = PyJWK(jwk, algorithm)
            except PyJWTError as error:
                log.warning("one of the issuer's keys is ignored: %s", type(error).__name__)
    if not keys:
        raise ValueError(f"none of the issuer's {len(listed)} keys is for signatures with {', '.join(algorithms)}")
    return keys


def _listed_keys(document: bytes) -> list[Any]:
    try:
        match json.loads(document):
            case {"keys": [*listed]}:
                return listed
    except (ValueError, RecursionError):
        pass
    raise ValueError("the issuer's keys are no JWKS: a JSON object with a list 'keys' was wanted")


def _usable_algorithms(jwk: Any, algorithms: tuple[str, ...]) -> tuple[str, ...]:
    """The allowed algorithms of this key; none for a symmetric key, which would be public and a secret at once."""
    if not isinstance(jwk, Mapping) or not isinstance(jwk.get("kid"), str | None):
        return ()
    operations = jwk.get("key_ops")
    if jwk.get("use") not in (None, "sig") or (isinstance(operations, list) and "verify" not in operations):
        return ()
    key_type = (str(jwk.get("kty")), None if jwk.get("kty") == "RSA" else str(jwk.get("crv")))
    stated = jwk.get("alg")
    return tuple(each for each in ALGORITHMS_BY_KEY.get(key_type, ()) if each in algorithms and stated in (None, each))
