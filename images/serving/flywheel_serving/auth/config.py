"""The flag `--auth`: JSON that says which callers are admitted, with the fields of the InferenceService's spec.auth."""

import argparse
import json
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
    label_claims: tuple[RequiredClaim, ...] = ()  # to post labels, beside the required ones; without any, no token may
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
    parsers = {"none": _none, "serviceAccount": _service_account, "jwt": _jwt}
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in parsers:
        raise argparse.ArgumentTypeError(
            f"wanted an object with exactly one of {', '.join(parsers)}, found {text[:60]!r}"
        )
    [(method, fields)] = value.items()
    return parsers[method](fields)


class _Fields:
    """The fields of one JSON object. Unknown ones are refused: a misspelt field must not admit a caller."""

    def __init__(self, value: Any, path: str, known: str) -> None:
        self._path = path
        if not isinstance(value, dict):
            raise argparse.ArgumentTypeError(f"{path}: wanted an object")
        self._value = value
        for name in value:
            if name not in known.split():
                raise self.error(name[:60], f"unknown field; wanted {', '.join(known.split()) or 'none at all'}")

    def error(self, name: str, finding: str) -> argparse.ArgumentTypeError:
        return argparse.ArgumentTypeError(f"{self._path}.{name}: {finding}")

    def text(self, name: str, *, required: bool = True) -> str:
        value = self._value.get(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or not value:
            raise self.error(name, "wanted text that is not empty")
        return value

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise self.error(name, "wanted a list of texts")
        if required and not value:
            raise self.error(name, "wanted at least one")
        return tuple(value)

    def https_url(self, name: str) -> str:
        url = self.text(name, required=False)
        if url and (not url.startswith("https://") or not urlsplit(url).hostname):
            raise self.error(name, f"wanted an https:// address, found {url[:60]!r}")
        return url

    def objects(self, name: str, known: str) -> "list[_Fields]":
        items = self._value.get(name) or []
        if not isinstance(items, list):
            raise self.error(name, "wanted a list")
        return [_Fields(item, f"{self._path}.{name}[{index}]", known) for index, item in enumerate(items)]


def _none(value: Any) -> None:
    _Fields(value, "none", "")


def _service_account(value: Any) -> ServiceAccountConfig:
    fields = _Fields(value, "serviceAccount", "namespace name audiences apiServer credentials")
    return ServiceAccountConfig(
        namespace=fields.text("namespace"),
        name=fields.text("name"),
        audiences=fields.texts("audiences", required=True),
        api_server=fields.https_url("apiServer"),
        credentials=Path(fields.text("credentials", required=False) or CREDENTIALS_FOLDER),
    )


def _jwt(value: Any) -> JwtConfig:
    fields = _Fields(
        value, "jwt", "issuer audiences algorithms jwksUri requiredClaims labelClaims certificateAuthority"
    )
    algorithms = fields.texts("algorithms") or DEFAULT_ALGORITHMS
    for name in algorithms:
        if name not in ALGORITHMS:
            raise fields.error("algorithms", f"{name[:60]!r} is not one of {', '.join(ALGORITHMS)}")
    jwks_uri = fields.https_url("jwksUri") or None
    issuer = fields.text("issuer")
    return JwtConfig(
        issuer=issuer if jwks_uri else fields.https_url("issuer"),
        audiences=fields.texts("audiences", required=True),
        algorithms=algorithms,
        jwks_uri=jwks_uri,
        required_claims=_claims(fields, "requiredClaims"),
        label_claims=_claims(fields, "labelClaims"),
        certificate_authority=fields.text("certificateAuthority", required=False) or None,
    )


def _claims(fields: _Fields, name: str) -> tuple[RequiredClaim, ...]:
    return tuple(RequiredClaim(each.text("name"), each.texts("values")) for each in fields.objects(name, "name values"))
