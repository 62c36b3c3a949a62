"""The flag `--auth`: JSON that says who may ask, in the words of the InferenceService's spec.auth."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CREDENTIALS = "/var/run/secrets/kubernetes.io/serviceaccount"
# Asymmetric alone: with HS256 the published key would be the secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
USUAL_ALGORITHMS = ("RS256", "ES256")


@dataclass(frozen=True)
class ServiceAccounts:
    """Whoever the API server knows and lets `get` this InferenceService. Empty `api_server`: the pod's own cluster."""

    namespace: str
    name: str
    audiences: tuple[str, ...]
    api_server: str = ""
    credentials: Path = Path(CREDENTIALS)


@dataclass(frozen=True)
class RequiredClaim:
    """A claim that must be there; with `values`, it or one of its items must be one of them."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Jwt:
    """Whoever shows a token of this issuer. `jwks_uri` None: the issuer's discovery document says where its keys are."""

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = USUAL_ALGORITHMS
    jwks_uri: str | None = None
    required_claims: tuple[RequiredClaim, ...] = ()
    certificate_authority: str | None = None  # PEM; None: the system's


Options = ServiceAccounts | Jwt


def parse(text: str) -> Options | None:
    """None where everybody may ask. Raises argparse.ArgumentTypeError, which names the field."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"wanted JSON, found {text[:60]!r}: {error}") from None
    ways = {"none": _none, "serviceAccount": _service_accounts, "jwt": _jwt}
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ways:
        raise argparse.ArgumentTypeError(f"wanted an object with exactly one of {', '.join(ways)}, found {text[:60]!r}")
    [(way, given)] = value.items()
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError(f"{way}: wanted an object")
    return ways[way](given)


def _none(given: Mapping[str, Any]) -> None:
    _only(given, "none", ())


def _service_accounts(given: Mapping[str, Any]) -> ServiceAccounts:
    at = "serviceAccount"
    _only(given, at, ("namespace", "name", "audiences", "apiServer", "credentials"))
    api_server = _text(given, at, "apiServer", required=False)
    if api_server:
        _https(api_server, f"{at}.apiServer")
    return ServiceAccounts(
        namespace=_text(given, at, "namespace"),
        name=_text(given, at, "name"),
        audiences=_texts(given, at, "audiences", required=True),
        api_server=api_server,
        credentials=Path(_text(given, at, "credentials", required=False) or CREDENTIALS),
    )


def _jwt(given: Mapping[str, Any]) -> Jwt:
    at = "jwt"
    _only(given, at, ("issuer", "audiences", "algorithms", "jwksUri", "requiredClaims", "certificateAuthority"))
    algorithms = _texts(given, at, "algorithms") or USUAL_ALGORITHMS
    for name in algorithms:
        if name not in ALGORITHMS:
            raise argparse.ArgumentTypeError(f"{at}.algorithms: {name[:60]!r} is not one of {', '.join(ALGORITHMS)}")
    jwks_uri = _text(given, at, "jwksUri", required=False)
    issuer = _text(given, at, "issuer")
    _https(jwks_uri or issuer, f"{at}.{'jwksUri' if jwks_uri else 'issuer'}")
    return Jwt(
        issuer=issuer,
        audiences=_texts(given, at, "audiences", required=True),
        algorithms=algorithms,
        jwks_uri=jwks_uri or None,
        required_claims=_claims(given.get("requiredClaims") or []),
        certificate_authority=_text(given, at, "certificateAuthority", required=False) or None,
    )


def _claims(given: Any) -> tuple[RequiredClaim, ...]:
    at = "jwt.requiredClaims"
    if not isinstance(given, list):
        raise argparse.ArgumentTypeError(f"{at}: wanted a list")
    claims = []
    for number, each in enumerate(given):
        if not isinstance(each, dict):
            raise argparse.ArgumentTypeError(f"{at}[{number}]: wanted an object")
        _only(each, f"{at}[{number}]", ("name", "values"))
        claims.append(RequiredClaim(_text(each, f"{at}[{number}]", "name"), _texts(each, f"{at}[{number}]", "values")))
    return tuple(claims)


def _only(given: Mapping[str, Any], at: str, names: tuple[str, ...]) -> None:
    """A misspelt field of a lock must not leave the door open."""
    for name in given:
        if name not in names:
            raise argparse.ArgumentTypeError(
                f"{at}.{name[:60]}: unknown field; wanted {', '.join(names) or 'none at all'}"
            )


def _text(given: Mapping[str, Any], at: str, name: str, *, required: bool = True) -> str:
    value = given.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value:
        raise argparse.ArgumentTypeError(f"{at}.{name}: wanted text that is not empty")
    return value


def _texts(given: Mapping[str, Any], at: str, name: str, *, required: bool = False) -> tuple[str, ...]:
    value = given.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise argparse.ArgumentTypeError(f"{at}.{name}: wanted a list of texts")
    if required and not value:
        raise argparse.ArgumentTypeError(f"{at}.{name}: wanted at least one")
    return tuple(value)


def _https(url: str, at: str) -> None:
    if not url.startswith("https://") or not urlsplit(url).hostname:
        raise argparse.ArgumentTypeError(f"{at}: wanted an https:// address, found {url[:60]!r}")
