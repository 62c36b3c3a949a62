"""An issuer of JSON Web Tokens for tests: its keys, its tokens, and every sort of token that must not let anybody in."""

import base64
import datetime
import hashlib
import hmac
import ipaddress
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

DISCOVERY, JWKS = "/.well-known/openid-configuration", "/jwks"
HOUR = 3600


class Issuer:
    """Signs with one key of each kind: `rsa` (RS256) and `ec` (ES256)."""

    def __init__(self, url: str, audience: str) -> None:
        self.url = url
        self.audience = audience
        self._rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._ec = ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> dict[str, Any]:
        """What it publishes."""
        own = {"kid": "rsa", "use": "sig", **RSAAlgorithm.to_jwk(self._rsa.public_key(), as_dict=True)}
        return {"keys": [own, {"kid": "ec", **ECAlgorithm.to_jwk(self._ec.public_key(), as_dict=True)}]}

    def discovery(self) -> dict[str, str]:
        """OpenID Connect Discovery 1.0."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}{JWKS}"}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """A good token's; None takes a claim away."""
        now = int(time.time())
        good = {"iss": self.url, "aud": self.audience, "sub": "jane", "iat": now, "exp": now + HOUR}
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def token(self, algorithm: str = "RS256", kid: str | None = "", **changed: Any) -> str:
        """Signed with the key that fits; `kid` "" is that key's, None leaves it out."""
        key, own = (self._rsa, "rsa") if algorithm.startswith(("RS", "PS")) else (self._ec, "ec")
        headers = {} if kid is None else {"kid": kid or own}
        return jwt.encode(self.claims(**changed), key, algorithm, headers)

    def public_key(self) -> bytes:
        """PEM: what everybody knows, and so must not be taken for a secret."""
        return self._rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def bad_tokens(self) -> dict[str, str]:
        """By what is wrong with them."""
        other = Issuer(self.url, self.audience)
        good = self.token()
        head, body, signature = good.split(".")
        altered = f"{head}.{_encoded(self.claims(sub='root'))}.{signature}"
        return {
            "garbage": "garbage",
            "three dots": "...",
            "made for another audience": self.token(aud="another"),
            "made for no audience": self.token(aud=None),
            "expired": self.token(exp=int(time.time()) - HOUR),
            "without an end": self.token(exp=None),
            "not valid yet": self.token(nbf=int(time.time()) + HOUR),
            "from another issuer": self.token(iss="https://elsewhere.example.org"),
            "signed with a key that nobody published": self.token(kid="unknown"),
            "signed with another key of that name": other.token(),
            "altered": altered,
            "without its signature": f"{head}.{body}.",
            "with algorithm none": f"{_encoded({'alg': 'none', 'kid': 'rsa'})}.{body}.",
            "with algorithm None": f"{_encoded({'alg': 'None', 'kid': 'rsa'})}.{body}.",
            "signed with the public key as a secret": self._confused(),
            "with an algorithm that is not allowed": self.token("PS256"),
            "with a key of its own in its header": self._own_key(other),
        }

    def _confused(self) -> str:
        """Written by hand, since PyJWT refuses to sign so (CVE-2022-29217)."""
        signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{_encoded(self.claims())}"
        return f"{signed}.{_base64(hmac.digest(self.public_key(), signed.encode(), hashlib.sha256))}"

    def _own_key(self, other: "Issuer") -> str:
        headers = {"kid": "mine", "jwk": other.jwks()["keys"][0], "jku": "https://elsewhere.example.org/jwks"}
        return jwt.encode(self.claims(), other._rsa, "RS256", headers)


def certificate(host: str) -> tuple[bytes, bytes]:
    """(certificate, key) in PEM: signed by itself, for that host or address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "story")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _encoded(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
