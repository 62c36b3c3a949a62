"""Every invalid `--auth` is refused with its field: a misspelt one must not admit a caller."""

import argparse
import json
from typing import Any

import pytest

from flywheel_serving.auth.config import JwtConfig, RequiredClaim, ServiceAccountConfig, parse_auth

ACCOUNTS: dict[str, Any] = {"namespace": "shop", "name": "fraud", "audiences": ["fraud.shop.svc"]}
JWT: dict[str, Any] = {"issuer": "https://login.example.org", "audiences": ["fraud"]}


def test_each_method_is_parsed() -> None:
    assert parse_auth('{"none": {}}') is None
    assert parse_auth(json.dumps({"serviceAccount": ACCOUNTS})) == ServiceAccountConfig(
        "shop", "fraud", ("fraud.shop.svc",)
    )
    assert parse_auth(json.dumps({"jwt": JWT})) == JwtConfig("https://login.example.org", ("fraud",))


def test_every_field_of_jwt_is_read() -> None:
    given = {
        **JWT,
        "jwksUri": "https://a/keys",
        "algorithms": ["EdDSA"],
        "requiredClaims": [{"name": "groups", "values": ["a"]}, {"name": "email"}],
        "labelClaims": [{"name": "role", "values": ["labeler"]}],
        "certificateAuthority": "PEM",
    }

    assert parse_auth(json.dumps({"jwt": given})) == JwtConfig(
        "https://login.example.org",
        ("fraud",),
        ("EdDSA",),
        "https://a/keys",
        (RequiredClaim("groups", ("a",)), RequiredClaim("email")),
        (RequiredClaim("role", ("labeler",)),),
        "PEM",
    )


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ("", "wanted JSON"),
        ("[" * 100_000, "wanted JSON"),
        ("{}", "exactly one of none, serviceAccount, jwt"),
        ("[]", "exactly one of"),
        ('{"none": {}, "jwt": {}}', "exactly one of"),
        ('{"nonne": {}}', "exactly one of"),
        ('{"none": null}', "none: wanted an object"),
        ('{"none": {"a": 1}}', "none.a: unknown field"),
        ({"serviceAccount": {**ACCOUNTS, "audience": "x"}}, "serviceAccount.audience: unknown field"),
        ({"serviceAccount": {**ACCOUNTS, "audiences": []}}, "serviceAccount.audiences: wanted at least one"),
        ({"serviceAccount": {**ACCOUNTS, "audiences": "x"}}, "serviceAccount.audiences: wanted a list of texts"),
        ({"serviceAccount": {**ACCOUNTS, "name": 7}}, "serviceAccount.name: wanted text"),
        ({"serviceAccount": {**ACCOUNTS, "apiServer": "http://a"}}, "serviceAccount.apiServer: wanted an https://"),
        ({"serviceAccount": {**ACCOUNTS, "apiServer": "https://"}}, "serviceAccount.apiServer: wanted an https://"),
        ({"jwt": {"audiences": ["a"]}}, "jwt.issuer: wanted text"),
        ({"jwt": {**JWT, "audiences": []}}, "jwt.audiences: wanted at least one"),
        ({"jwt": {**JWT, "issuer": "login"}}, "jwt.issuer: wanted an https://"),
        ({"jwt": {**JWT, "jwksUri": "http://a/keys"}}, "jwt.jwksUri: wanted an https://"),
        ({"jwt": {**JWT, "algorithms": ["HS256"]}}, "jwt.algorithms: 'HS256' is not one of"),
        ({"jwt": {**JWT, "algorithms": ["none"]}}, "jwt.algorithms: 'none' is not one of"),
        ({"jwt": {**JWT, "requiredClaims": {}, "x": 1}}, "jwt.x: unknown field"),
        ({"jwt": {**JWT, "requiredClaims": [1]}}, "jwt.requiredClaims[0]: wanted an object"),
        ({"jwt": {**JWT, "requiredClaims": [{"claim": "a"}]}}, "jwt.requiredClaims[0].claim: unknown field"),
    ],
)
def test_an_invalid_field_is_named(given: Any, finding: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refusal:
        parse_auth(given if isinstance(given, str) else json.dumps(given))

    assert finding in str(refusal.value)
