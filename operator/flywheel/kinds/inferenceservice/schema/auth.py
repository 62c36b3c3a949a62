"""`spec.auth`: who may call a service."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import NameText, Schema, model_rules, named_list, rule, validations
from flywheel.core.resource.values import PatternString

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Audience(PatternString):
    """The audience of a token."""

    pattern = r"^[^\s]+$"
    description = "an audience without spaces, such as fraud.shop.svc"


class HttpsAddress(PatternString):
    """An address at which keys are published."""

    pattern = r"^https://[^\s/?#@]+(/[^\s#]*)?$"
    description = "an https:// URL, such as https://login.example.org/keys"
    max_length = 1024


class NoAuthentication(Schema):
    """Every client that reaches the Service may call it."""


class ServiceAccounts(Schema):
    """Clients with a Kubernetes token whose subject may `get` this InferenceService; to post labels, may `label` it."""

    audiences: tuple[Audience, ...] = Field(
        (),
        max_length=8,
        description="Audiences, one of which a token must have; empty means the Service's name, <service>.<namespace>.svc, so that a token for one service is not valid for another.",
    )


class RequiredClaim(Schema):
    """A claim that a token must have."""

    name: str = Field(min_length=1, max_length=253, description="The claim's name, such as groups.")
    values: tuple[NameText, ...] = Field(
        (),
        max_length=32,
        description="The claim's value, or one of its items, must be one of these; empty means any value.",
    )


class JwtIssuer(Schema):
    """Clients with a JSON Web Token of this issuer."""

    model_config = model_rules(
        rule(
            "has(self.jwksUri) || self.issuer.startsWith('https://')",
            "issuer must be an https:// URL with a discovery document that names its keys; otherwise set jwksUri",
        )
    )

    issuer: str = Field(min_length=1, max_length=512, description="The exact value of the claim iss.")
    audiences: tuple[Audience, ...] = Field(
        min_length=1, max_length=8, description="The claim aud must be or contain one of these."
    )
    jwks_uri: HttpsAddress | None = Field(
        None,
        description="The address of the issuer's keys (JWKS); absent, it is read from the issuer's discovery document.",
    )
    algorithms: tuple[Algorithm, ...] = Field(
        (), max_length=10, description="Accepted signature algorithms; empty means RS256 and ES256."
    )
    required_claims: tuple[RequiredClaim, ...] = named_list(
        8, "Further claims that a token must have; without one a request is refused with 403."
    )
    label_claims: tuple[RequiredClaim, ...] = named_list(
        8, "Claims that a token must have besides to post labels of predictions; empty means that no token may."
    )
    certificate_authority: str | None = Field(
        None,
        max_length=16_384,
        description="Certificates (PEM) of the authorities that sign the issuer's certificate; absent, those that the system trusts.",
        json_schema_extra=validations(
            rule("self.contains('-----BEGIN CERTIFICATE-----')", "must be certificates in PEM format")
        ),
    )


class Authentication(Schema):
    """Who may call the service: exactly one of these."""

    none: NoAuthentication | None = Field(None, description="Every client that reaches the Service may call it.")
    service_account: ServiceAccounts | None = Field(
        None,
        description="Kubernetes tokens, of subjects that may get this InferenceService (ClusterRole flywheel-inference-caller); posting labels needs the verb label (flywheel-labeler).",
    )
    jwt: JwtIssuer | None = Field(None, description="JSON Web Tokens of an issuer, such as an identity provider.")
