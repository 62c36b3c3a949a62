"""Reviews of JSON Web Tokens: times by a clock that cannot be set, claims, an issuer that is down."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.tokens import DISCOVERY, JWKS, Issuer
from flywheel_serving.auth import startup, wall_clock
from flywheel_serving.auth.config import JwtConfig, RequiredClaim
from flywheel_serving.auth.jwks import parse_jwks
from flywheel_serving.auth.jwt_review import LEEWAY_SECONDS, JwtReviewer
from flywheel_serving.auth.open_endpoints import CALL_VERB, LABEL_VERB
from flywheel_serving.auth.verdict import AuthResult, CannotStart, Verdict
from tests.examples import examples
from tests.serving.auth.https_server import HttpsServer

AUDIENCE = "fraud.shop.svc"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    with HttpsServer(tmp_path_factory.mktemp("issuer"), lambda *_: (404, {})) as server:
        yield server


@pytest.fixture(scope="module")
def module_issuer(keys: HttpsServer) -> Issuer:
    return Issuer(keys.url, AUDIENCE)  # its keys take a tenth of a second


@pytest.fixture
def issuer(keys: HttpsServer, module_issuer: Issuer) -> Issuer:
    documents = {DISCOVERY: module_issuer.discovery(), JWKS: module_issuer.jwks()}
    keys.answers = lambda _method, path, *_: (200, documents[path])
    return module_issuer


def review_token(
    keys: HttpsServer, token: str, now: Callable[[], float] | None = None, verb: str = CALL_VERB, **options: Any
) -> Verdict:
    """The verdict of a reviewer that has just started."""
    wanted = {"issuer": keys.url, "audiences": (AUDIENCE,), "certificate_authority": keys.authority.decode()}

    async def run() -> Verdict:
        reviewer = JwtReviewer(JwtConfig(**{**wanted, **options}), now)
        await reviewer.start()
        try:
            return await reviewer.review(token, verb)
        finally:
            reviewer.close()

    return asyncio.run(run())


def test_a_valid_token_is_allowed_until_it_expires(keys: HttpsServer, issuer: Issuer) -> None:
    now = time.time()

    verdict = review_token(keys, issuer.token(exp=int(now) + 20, sub="jane@example.org"), lambda: now)

    assert (verdict.result, verdict.caller) == (AuthResult.ALLOWED, "jane@example.org")
    assert verdict.valid_seconds == pytest.approx(20 + LEEWAY_SECONDS, abs=1)


def test_no_invalid_token_is_admitted(keys: HttpsServer, issuer: Issuer) -> None:
    results = {sort: review_token(keys, token).result for sort, token in issuer.bad_tokens().items()}

    assert set(results.values()) == {AuthResult.UNAUTHENTICATED}


@pytest.mark.parametrize(
    ("times", "result"),
    [
        ({"exp": -LEEWAY_SECONDS + 2}, AuthResult.ALLOWED),
        ({"exp": -LEEWAY_SECONDS - 2}, AuthResult.UNAUTHENTICATED),
        ({"nbf": LEEWAY_SECONDS - 2}, AuthResult.ALLOWED),
        ({"nbf": LEEWAY_SECONDS + 2}, AuthResult.UNAUTHENTICATED),
    ],
)
def test_times_have_a_leeway(keys: HttpsServer, issuer: Issuer, times: dict[str, float], result: AuthResult) -> None:
    now = 1_800_000_000.0
    claims: dict[str, Any] = {"exp": now + 3600, **{name: now + seconds for name, seconds in times.items()}}

    assert review_token(keys, issuer.token(**claims), lambda: now).result is result


@pytest.mark.parametrize("time_", [True, "soon", [1], 1e300, 10**400])
def test_an_expiry_that_is_no_number_is_refused(keys: HttpsServer, issuer: Issuer, time_: Any) -> None:
    assert review_token(keys, issuer.token(exp=time_)).result is AuthResult.UNAUTHENTICATED


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["RS256", "ES256", "none", "HS256"]) | JSON},
    optional={"kid": st.sampled_from(["rsa", "ec"]) | JSON, "crit": JSON, "b64": JSON, "typ": JSON, "jwk": JSON},
)


@settings(max_examples=examples(150, ci=60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=HEADERS | JSON, claims=JSON, signature=st.binary(max_size=80))
def test_no_random_token_is_admitted_or_crashes_the_reviewer(
    reviewer: JwtReviewer, headers: Any, claims: Any, signature: bytes
) -> None:
    parts = (json.dumps(headers).encode(), json.dumps(claims).encode(), signature)
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    assert asyncio.run(reviewer.review(token)).result is AuthResult.UNAUTHENTICATED


@pytest.fixture(scope="module")
def reviewer() -> JwtReviewer:
    """A reviewer with the issuer's current keys."""
    issuer = Issuer("https://login.example.org", AUDIENCE)
    started = JwtReviewer(JwtConfig(issuer.url, (AUDIENCE,)))
    started._keys._keys = parse_jwks(json.dumps(issuer.jwks()).encode(), ("RS256", "ES256"))
    started._keys._fetched_at, started._keys._failure = time.monotonic() + 3600, ""
    return started


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_jump_of_the_wall_clock_changes_no_verdict(keys: HttpsServer, issuer: Issuer, jump: float) -> None:
    wall, count = [1_800_000_000.0], [0.0]
    now = wall_clock.steady_wall_clock(lambda: wall[0], lambda: count[0])
    wall[0] += jump + 60
    count[0] += 60

    ended = review_token(keys, issuer.token(exp=1_800_000_000 + 10), now)
    lives = review_token(keys, issuer.token(exp=1_800_000_000 + 120, nbf=1_800_000_000), now)

    assert (ended.result, lives.result) == (AuthResult.UNAUTHENTICATED, AuthResult.ALLOWED)


@pytest.mark.parametrize(
    ("claims", "required", "result"),
    [
        ({"groups": ["a", "team"]}, RequiredClaim("groups", ("team", "b")), AuthResult.ALLOWED),
        ({"groups": "team"}, RequiredClaim("groups", ("team",)), AuthResult.ALLOWED),
        ({"groups": ["teams"]}, RequiredClaim("groups", ("team",)), AuthResult.FORBIDDEN),
        ({"groups": {"team": 1}}, RequiredClaim("groups", ("team",)), AuthResult.FORBIDDEN),
        ({"groups": [["team"]]}, RequiredClaim("groups", ("team",)), AuthResult.FORBIDDEN),
        ({}, RequiredClaim("groups", ("team",)), AuthResult.FORBIDDEN),
        ({"email": "x"}, RequiredClaim("email"), AuthResult.ALLOWED),
        ({}, RequiredClaim("email"), AuthResult.FORBIDDEN),
    ],
)
def test_required_claims(
    keys: HttpsServer, issuer: Issuer, claims: dict[str, Any], required: RequiredClaim, result: AuthResult
) -> None:
    assert review_token(keys, issuer.token(**claims), required_claims=(required,)).result is result


@pytest.mark.parametrize(
    ("claims", "label_claims", "words"),
    [
        pytest.param({}, (), "no token may post labels to this service; set spec.auth.jwt.labelClaims", id="not allowed to anybody"),
        pytest.param({"team": "risk"}, (RequiredClaim("role", ("labeler",)),), "lacks the claim 'role' as one of 'labeler'", id="without the claim"),
        pytest.param({"role": "labeler"}, (RequiredClaim("role", ("labeler",)),), "lacks the claim 'team'", id="without the claim of every call"),
        pytest.param({"role": ["labeler"], "team": "risk"}, (RequiredClaim("role", ("labeler",)),), "", id="with both"),
    ],
)  # fmt: skip
def test_labels_need_claims_of_their_own(
    keys: HttpsServer, issuer: Issuer, claims: dict[str, Any], label_claims: tuple[RequiredClaim, ...], words: str
) -> None:
    required = (RequiredClaim("team"),)
    token = issuer.token(**claims)

    verdict = review_token(keys, token, verb=LABEL_VERB, required_claims=required, label_claims=label_claims)

    assert (verdict.result is AuthResult.ALLOWED) == (words == "")
    assert words in verdict.message


def test_only_allowed_algorithms_count(keys: HttpsServer, issuer: Issuer) -> None:
    verdict = review_token(keys, issuer.token("RS256"), algorithms=("ES256",))

    assert verdict.result is AuthResult.UNAUTHENTICATED
    assert "is signed with 'RS256', not ES256" in verdict.message


def test_a_short_rsa_key_is_not_trusted(keys: HttpsServer) -> None:
    import warnings

    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    issuer = Issuer(keys.url, AUDIENCE)
    published = {"keys": [{"kid": "short", **RSAAlgorithm.to_jwk(short.public_key(), as_dict=True)}]}
    keys.answers = lambda *_: (200, published)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = jwt.encode(issuer.claims(), short, "RS256", {"kid": "short"})

    assert review_token(keys, token, jwks_uri=f"{keys.url}{JWKS}").result is AuthResult.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ((500, {}), "responds HTTP 500"),
        ((302, {}), "responds HTTP 302"),
        ((200, {"issuer": "https://elsewhere.example.org", "jwks_uri": "https://a/"}), "is of another issuer"),
        ((200, b" " * 2_000_000), "its response is longer than"),
        ((200, b"{"), "Expecting property name"),
    ],
)
def test_an_invalid_issuer_is_reported(
    keys: HttpsServer, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, Any], finding: str
) -> None:
    monkeypatch.setattr(startup, "START_TIMEOUT_SECONDS", 0.0)
    keys.answers = lambda *_: answer

    with pytest.raises(CannotStart, match=finding) as refusal:
        review_token(keys, "any")

    assert refusal.value.reason == "IssuerUnreachable"


def test_keys_without_tls_are_not_fetched(keys: HttpsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "START_TIMEOUT_SECONDS", 0.0)
    keys.answers = lambda *_: (200, {"issuer": keys.url, "jwks_uri": "http://127.0.0.1/jwks"})

    with pytest.raises(CannotStart, match="has no https:// address"):
        review_token(keys, "any")


def test_an_issuer_with_an_untrusted_certificate_is_refused(
    keys: HttpsServer, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "START_TIMEOUT_SECONDS", 0.0)

    with pytest.raises(CannotStart, match="CERTIFICATE_VERIFY_FAILED"):
        review_token(keys, issuer.token(), certificate_authority=None)


def test_while_the_issuer_is_down_known_keys_are_admitted_and_unknown_ones_are_unavailable(
    issuer: Issuer, tmp_path: Path
) -> None:
    async def scenario(keys: HttpsServer, issuer: Issuer) -> list[AuthResult]:
        reviewer = JwtReviewer(JwtConfig(keys.url, (AUDIENCE,), certificate_authority=keys.authority.decode()))
        await reviewer.start()
        keys.down()
        reviewer._keys._fetched_at = float("-inf")  # as if ten seconds had passed
        found = [await reviewer.review(token) for token in (issuer.token(), issuer.token(kid="new"))]
        reviewer.close()
        return [each.result for each in found]

    with HttpsServer(tmp_path, lambda *_: (404, {})) as keys:
        other = Issuer(keys.url, AUDIENCE)
        documents = {DISCOVERY: other.discovery(), JWKS: other.jwks()}
        keys.answers = lambda _method, path, *_: (200, documents[path])
        assert asyncio.run(scenario(keys, other)) == [AuthResult.ALLOWED, AuthResult.UNAVAILABLE]
        keys.up()
