"""The flag `--auth`: JSON that says which callers are admitted, with the fields of the InferenceService's spec.auth."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CREDENTIALS_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
# Only asymmetric algorithms: with HS256 the published key would be the secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
DEFAULT_ALGORITHMS = ("RS256", "ES256")


@dataclass(frozen=True)
class ServiceAccountConfig:
    """Admits callers that the API server lets `get` this InferenceService. An empty `api_server` is the pod's own cluster's."""

    namespace: str
    name: str
    audiences: tuple[str, ...]
    api_server: str = ""
    credentials: Path = Path(CREDENTIALS_FOLDER)


@dataclass(frozen=True)
class RequiredClaim:
    """A claim that a token must have; with `values`, the claim or one of its items must be one of them."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class JwtConfig:
    """Admits tokens of this issuer. Without `jwks_uri`, the issuer's discovery document names the keys' URL."""

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    jwks_uri: str | None = None
    required_claims: tuple[RequiredClaim, ...] = ()
    certificate_authority: str | None = None  # PEM; None: the system's authorities


AuthConfig = ServiceAccountConfig | JwtConfig


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of the authentication."""
    example = '{"jwt": {"issuer": "https://…", "audiences": ["…"]}}'
    parser.add_argument_group("authentication").add_argument(
        "--auth",
        type=parse_auth,
        metavar="JSON",
        help=f"which callers are admitted, such as {example}; all callers without this flag",
    )


def parse_auth(text: str) -> AuthConfig | None:
    """The configuration in `text`, None if all callers are admitted. Raises argparse.ArgumentTypeError with the field."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"wanted JSON, found {text[:60]!r}: {error}") from None
    parsers = {"none": _none, "serviceAccount": _service_accounts, "jwt": _jwt}
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in parsers:
        raise argparse.ArgumentTypeError(
            f"wanted an object with exactly one of {', '.join(parsers)}, found {text[:60]!r}"
        )
    [(method, fields)] = value.items()
    if not isinstance(fields, dict):
        raise argparse.ArgumentTypeError(f"{method}: wanted an object")
    return parsers[method](fields)


def _none(fields: Mapping[str, Any]) -> None:
    _check_names(fields, "none", ())


def _service_accounts(fields: Mapping[str, Any]) -> ServiceAccountConfig:
    path = "serviceAccount"
    _check_names(fields, path, ("namespace", "name", "audiences", "apiServer", "credentials"))
    api_server = _text(fields, path, "apiServer", required=False)
    if api_server:
        _check_https(api_server, f"{path}.apiServer")
    return ServiceAccountConfig(
        namespace=_text(fields, path, "namespace"),
        name=_text(fields, path, "name"),
        audiences=_texts(fields, path, "audiences", required=True),
        api_server=api_server,
        credentials=Path(_text(fields, path, "credentials", required=False) or CREDENTIALS_FOLDER),
    )


def _jwt(fields: Mapping[str, Any]) -> JwtConfig:
    path = "jwt"
    _check_names(
        fields, path, ("issuer", "audiences", "algorithms", "jwksUri", "requiredClaims", "certificateAuthority")
    )
    algorithms = _texts(fields, path, "algorithms") or DEFAULT_ALGORITHMS
    for name in algorithms:
        if name not in ALGORITHMS:
            raise argparse.ArgumentTypeError(f"{path}.algorithms: {name[:60]!r} is not one of {', '.join(ALGORITHMS)}")
    jwks_uri = _text(fields, path, "jwksUri", required=False)
    issuer = _text(fields, path, "issuer")
    _check_https(jwks_uri or issuer, f"{path}.{'jwksUri' if jwks_uri else 'issuer'}")
    return JwtConfig(
        issuer=issuer,
        audiences=_texts(fields, path, "audiences", required=True),
        algorithms=algorithms,
        jwks_uri=jwks_uri or None,
        required_claims=_claims(fields.get("requiredClaims") or []),
        certificate_authority=_text(fields, path, "certificateAuthority", required=False) or None,
    )


def _claims(items: Any) -> tuple[RequiredClaim, ...]:
    path = "jwt.requiredClaims"
    if not isinstance(items, list):
        raise argparse.ArgumentTypeError(f"{path}: wanted a list")
    claims = []
    for index, each in enumerate(items):
        if not isinstance(each, dict):
            raise argparse.ArgumentTypeError(f"{path}[{index}]: wanted an object")
        _check_names(each, f"{path}[{index}]", ("name", "values"))
        claims.append(
            RequiredClaim(_text(each, f"{path}[{index}]", "name"), _texts(each, f"{path}[{index}]", "values"))
        )
    return tuple(claims)


def _check_names(fields: Mapping[str, Any], path: str, known: tuple[str, ...]) -> None:
    """Refuses unknown fields: a misspelt one must not admit a caller."""
    for name in fields:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"{path}.{name[:60]}: unknown field; wanted {', '.join(known) or 'none at all'}"
            )


def _text(fields: Mapping[str, Any], path: str, name: str, *, required: bool = True) -> str:
    value = fields.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value:
        raise argparse.ArgumentTypeError(f"{path}.{name}: wanted text that is not empty")
    return value


def _texts(fields: Mapping[str, Any], path: str, name: str, *, required: bool = False) -> tuple[str, ...]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise argparse.ArgumentTypeError(f"{path}.{name}: wanted a list of texts")
    if required and not value:
        raise argparse.ArgumentTypeError(f"{path}.{name}: wanted at least one")
    return tuple(value)


def _check_https(url: str, path: str) -> None:
    if not url.startswith("https://") or not urlsplit(url).hostname:
        raise argparse.ArgumentTypeError(f"{path}: wanted an https:// address, found {url[:60]!r}")
