"""Judges JSON Web Tokens of one issuer (RFC 7519, with the advice of RFC 8725); PyJWT verifies, and only what is asked of it here is trusted."""

import asyncio
import json
import math
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt.exceptions import InvalidAudienceError, InvalidIssuerError, InvalidSignatureError, PyJWTError

from flywheel_serving.auth import clock
from flywheel_serving.auth.https import Https, Unreachable
from flywheel_serving.auth.keys import Keys, NoKeys, UnknownKey
from flywheel_serving.auth.options import Jwt, RequiredClaim
from flywheel_serving.auth.verdict import CannotStart, Outcome, Verdict, forbidden, unauthenticated, unavailable

LEEWAY_SECONDS = 30.0
START_SECONDS = 20.0
DISCOVERY = "/.well-known/openid-configuration"


class Tokens:
    """A judge. `now` is seconds since 1970."""

    def __init__(self, options: Jwt, now: Callable[[], float] | None = None) -> None:
        self._options = options
        self._now = now or clock.steady()
        self._keys = Keys(self._fetch, options.algorithms)
        self.wanted = (
            f"send 'Authorization: Bearer TOKEN' with a token of issuer {options.issuer!r} "
            f"for audience {options.audiences[0]!r}"
        )

    async def start(self) -> None:
        """Without keys nobody could be let in."""
        loop = asyncio.get_running_loop()
        end = loop.time() + START_SECONDS
        while True:
            try:
                await self._keys.start()
            except NoKeys as error:
                if loop.time() > end:
                    words = f"the keys of issuer {self._options.issuer!r} cannot be had: {error}"
                    raise CannotStart(
                        "IssuerUnreachable", f"{words}; correct spec.auth.jwt, or mend the issuer."
                    ) from None
                await asyncio.sleep(1.0)
            else:
                return

    async def judge(self, token: str) -> Verdict:
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in self._options.algorithms:
                return self._refuse(
                    f"is signed with {str(algorithm)[:40]!r}, not {' or '.join(self._options.algorithms)}"
                )
            key = await self._keys.find(kid, str(algorithm))
            claims = self._verified(token, key, str(algorithm))
        except UnknownKey:
            return self._refuse("is signed with a key that its issuer does not publish")
        except NoKeys:
            return unavailable("the token's key is not known, and its issuer gives no answer; ask again in a second")
        except PyJWTError as error:
            return self._refuse(_finding(error))
        return self._of(claims)

    def close(self) -> None:
        self._keys.close()

    def _verified(self, token: str, key: jwt.PyJWK, algorithm: str) -> Mapping[str, Any]:
        # Times are judged in `_of`: PyJWT would go by the wall clock, which can be set.
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key=key,
            algorithms=[algorithm],
            audience=self._options.audiences,
            issuer=self._options.issuer,
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "enforce_minimum_key_length": True,
            },
        )
        return claims

    def _of(self, claims: Mapping[str, Any]) -> Verdict:
        now = self._now()
        ends, begins = _seconds(claims.get("exp")), _seconds(claims.get("nbf", 0))
        if ends is None or begins is None:
            return self._refuse("has a time ('exp' or 'nbf') that is no number")
        if now >= ends + LEEWAY_SECONDS:
            return self._refuse("has expired")
        if now < begins - LEEWAY_SECONDS:
            return self._refuse("is not valid yet")
        for required in self._options.required_claims:
            if not _has(claims, required):
                wanted = f" as one of {', '.join(map(repr, required.values))}" if required.values else ""
                return forbidden(f"the token lacks the claim {required.name!r}{wanted}; ask its issuer for it")
        return Verdict(Outcome.ALLOWED, seconds=ends + LEEWAY_SECONDS - now)

    def _refuse(self, finding: str) -> Verdict:
        return unauthenticated(f"the token {finding}; {self.wanted}")

    async def _fetch(self) -> bytes:
        address = self._options.jwks_uri
        if address is None:
            address = _jwks_uri(await self._get(self._options.issuer.rstrip("/") + DISCOVERY), self._options.issuer)
        return await self._get(address)

    async def _get(self, url: str) -> bytes:
        """Raises Unreachable, ValueError."""
        parts = urlsplit(url)
        https = Https(url, self._context)
        path = parts.path or "/"
        try:
            headers = {"accept": "application/json", "connection": "close"}
            answer = await https.ask("GET", f"{path}?{parts.query}" if parts.query else path, None, headers)
        finally:
            https.close()
        if answer.status != 200:
            raise Unreachable(f"{url} answers HTTP {answer.status}")
        return answer.body

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self._options.certificate_authority)


def _jwks_uri(document: bytes, issuer: str) -> str:
    """From the discovery document, which must speak of this issuer (OpenID Connect Discovery 1.0 §4.3). Raises ValueError."""
    content = json.loads(document)
    if not isinstance(content, dict) or content.get("issuer") != issuer:
        raise ValueError(f"the discovery document of {issuer} speaks of another issuer")
    address = content.get("jwks_uri")
    if not isinstance(address, str) or not address.startswith("https://"):
        raise ValueError(f"the discovery document of {issuer} names no https:// address as 'jwks_uri'")
    return address


def _seconds(value: Any) -> float | None:
    """A NumericDate; True and NaN are none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 and math.isfinite(value) else None


def _has(claims: Mapping[str, Any], required: RequiredClaim) -> bool:
    if claims.get(required.name) is None:
        return False
    value = claims[required.name]
    found = value if isinstance(value, list) else [value]
    return not required.values or any(isinstance(each, str) and each in required.values for each in found)


def _finding(error: PyJWTError) -> str:
    if isinstance(error, InvalidSignatureError):
        return "has a signature that is not its issuer's"
    if isinstance(error, InvalidIssuerError):
        return "comes from another issuer"
    if isinstance(error, InvalidAudienceError):
        return "is for another audience"
    return f"cannot be read ({str(error)[:200]})"
