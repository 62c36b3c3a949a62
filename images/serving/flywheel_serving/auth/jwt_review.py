"""Reviews JSON Web Tokens of one issuer (RFC 7519, with the advice of RFC 8725). PyJWT verifies the signature."""

import json
import math
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt.exceptions import InvalidAudienceError, InvalidIssuerError, InvalidSignatureError, PyJWTError

from flywheel_serving.auth.config import JwtConfig, RequiredClaim
from flywheel_serving.auth.https_client import HttpsClient, Unreachable
from flywheel_serving.auth.jwks import KeysUnavailable, SigningKeys, UnknownKey
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
from flywheel_serving.auth.wall_clock import steady_wall_clock

LEEWAY_SECONDS = 30.0
DISCOVERY_PATH = "/.well-known/openid-configuration"
FINDINGS: dict[type[PyJWTError], str] = {
    InvalidSignatureError: "has a signature that is not its issuer's",
    InvalidIssuerError: "comes from another issuer",
    InvalidAudienceError: "is for another audience",
}


class JwtReviewer:
    """A TokenReviewer. `now` returns seconds since 1970."""

    concurrency = 64  # they take no time, but where the issuer's keys are fetched

    def __init__(self, config: JwtConfig, now: Callable[[], float] | None = None) -> None:
        self._config = config
        self._now = now or steady_wall_clock()
        self._keys = SigningKeys(self._fetch_jwks, config.algorithms)
        self.token_hint = (
            f"send 'Authorization: Bearer TOKEN' with a token of issuer {config.issuer!r} "
            f"for audience {config.audiences[0]!r}"
        )

    async def start(self) -> None:
        """Fetches the issuer's keys: without them no caller could be admitted. Raises CannotStart."""
        try:
            await retry(self._keys.start, (KeysUnavailable,))
        except KeysUnavailable as error:
            message = (
                f"the keys of issuer {self._config.issuer!r} cannot be fetched: {error}; "
                "correct spec.auth.jwt, or repair the issuer."
            )
            raise CannotStart("IssuerUnreachable", message) from None

    async def review(self, token: str, verb: str = CALL_VERB) -> Verdict:
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in self._config.algorithms:
                allowed = " or ".join(self._config.algorithms)
                return self._refuse(f"is signed with {str(algorithm)[:40]!r}, not {allowed}")
            key = await self._keys.find(kid, str(algorithm))
            claims = self._verify_signature(token, key, str(algorithm))
        except UnknownKey:
            return self._refuse("is signed with a key that its issuer does not publish")
        except KeysUnavailable:
            return unavailable_verdict(
                "the token's key is not known, and its issuer does not respond; retry in a second"
            )
        except PyJWTError as error:
            finding = FINDINGS.get(type(error), f"cannot be read ({str(error)[:200]})")
            return self._refuse(finding)
        return self._check_claims(claims, verb)

    def close(self) -> None:
        self._keys.close()

    def _verify_signature(self, token: str, key: jwt.PyJWK, algorithm: str) -> Mapping[str, Any]:
        # `_check_claims` checks the times: PyJWT would use the wall clock, which can be set.
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key=key,
            algorithms=[algorithm],
            audience=self._config.audiences,
            issuer=self._config.issuer,
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "enforce_minimum_key_length": True,
            },
        )
        return claims

    def _check_claims(self, claims: Mapping[str, Any], verb: str) -> Verdict:
        now = self._now()
        expires, not_before = _numeric_date(claims.get("exp")), _numeric_date(claims.get("nbf", 0))
        if expires is None or not_before is None:
            return self._refuse("has a time ('exp' or 'nbf') that is no number")
        if now >= expires + LEEWAY_SECONDS:
            return self._refuse("has expired")
        if now < not_before - LEEWAY_SECONDS:
            return self._refuse("is not valid yet")
        label_claims = self._config.label_claims if verb == LABEL_VERB else ()
        if verb == LABEL_VERB and not label_claims:
            return forbidden_verdict(
                "no token may post labels to this service; set spec.auth.jwt.labelClaims of the InferenceService"
            )
        for required in (*self._config.required_claims, *label_claims):
            if not _has_claim(claims, required):
                wanted = f" as one of {', '.join(map(repr, required.values))}" if required.values else ""
                return forbidden_verdict(f"the token lacks the claim {required.name!r}{wanted}; ask its issuer for it")
        subject = claims.get("sub")
        caller = subject if isinstance(subject, str) else ""
        return Verdict(AuthResult.ALLOWED, valid_seconds=expires + LEEWAY_SECONDS - now, caller=caller)

    def _refuse(self, finding: str) -> Verdict:
        return unauthenticated_verdict(f"the token {finding}; {self.token_hint}")

    async def _fetch_jwks(self) -> bytes:
        url = self._config.jwks_uri
        if url is None:
            issuer = self._config.issuer
            url = _jwks_uri(await self._get(issuer.rstrip("/") + DISCOVERY_PATH), issuer)
        return await self._get(url)

    async def _get(self, url: str) -> bytes:
        """Raises Unreachable, ValueError."""
        parts = urlsplit(url)
        https = HttpsClient(url, self._tls_context)
        path = parts.path or "/"
        try:
            headers = {"accept": "application/json", "connection": "close"}
            response = await https.request("GET", f"{path}?{parts.query}" if parts.query else path, None, headers)
        finally:
            https.close()
        if response.status != 200:
            raise Unreachable(f"{url} responds HTTP {response.status}")
        return response.body

    def _tls_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self._config.certificate_authority)


def _jwks_uri(document: bytes, issuer: str) -> str:
    """The keys' URL in the issuer's discovery document (OpenID Connect Discovery 1.0 §4.3). Raises ValueError."""
    content = json.loads(document)
    if not isinstance(content, dict) or content.get("issuer") != issuer:
        raise ValueError(f"the discovery document of {issuer} is of another issuer")
    url = content.get("jwks_uri")
    if not isinstance(url, str) or not url.startswith("https://"):
        raise ValueError(f"the discovery document of {issuer} has no https:// address as 'jwks_uri'")
    return url


def _numeric_date(value: Any) -> float | None:
    """Seconds since 1970, or None for what is no such number, such as true and NaN."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 and math.isfinite(value) else None


def _has_claim(claims: Mapping[str, Any], required: RequiredClaim) -> bool:
    if claims.get(required.name) is None:
        return False
    value = claims[required.name]
    items = value if isinstance(value, list) else [value]
    return not required.values or any(isinstance(item, str) and item in required.values for item in items)
