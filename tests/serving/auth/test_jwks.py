"""The issuer's keys rotate, disappear and return; tokens with made-up keys do not flood the issuer."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from e2e.tokens import Issuer
from flywheel_serving.auth.https_client import Unreachable
from flywheel_serving.auth.jwks import (
    MAX_AGE_SECONDS,
    MIN_REFRESH_INTERVAL_SECONDS,
    KeysUnavailable,
    SigningKeys,
    UnknownKey,
    parse_jwks,
)

ALGORITHMS = ("RS256", "ES256")
ISSUER = Issuer("https://login.example.org", "fraud")
PUBLISHED = ISSUER.jwks()["keys"]


class Publisher:
    """The keys that the issuer publishes, and the number of fetches; it does not respond if `keys` is None."""

    def __init__(self, keys: list[dict[str, Any]] | None) -> None:
        self.keys = keys
        self.fetches = 0
        self.now = 0.0

    async def fetch(self) -> bytes:
        self.fetches += 1
        if self.keys is None:
            raise Unreachable("https://login.example.org does not respond")
        return json.dumps({"keys": self.keys}).encode()

    def signing_keys(self) -> SigningKeys:
        return SigningKeys(self.fetch, ALGORITHMS, lambda: self.now)


async def outcome(keys: SigningKeys, kid: str | None, algorithm: str = "RS256") -> str:
    try:
        await keys.find(kid, algorithm)
    except (KeysUnavailable, UnknownKey) as error:
        return type(error).__name__
    return "found"


def run_scenario(
    scenario: Callable[[Publisher, SigningKeys], Any], published: list[dict[str, Any]] | None = PUBLISHED
) -> Any:
    async def run() -> Any:
        publisher = Publisher(published)
        keys = publisher.signing_keys()
        if published is not None:
            await keys.start()
        try:
            return await scenario(publisher, keys)
        finally:
            keys.close()

    return asyncio.run(run())


def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    async def scenario(publisher: Publisher, keys: SigningKeys) -> list[str]:
        publisher.keys = [{**PUBLISHED[0], "kid": "new"}]
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        return [await outcome(keys, "new"), await outcome(keys, "rsa")]

    assert run_scenario(scenario) == ["found", "UnknownKey"]  # a key that is not published any more is not trusted


def test_unknown_keys_cause_one_fetch_in_ten_seconds() -> None:
    async def scenario(publisher: Publisher, keys: SigningKeys) -> list[int]:
        asked = []
        for now in (
            1.0,
            MIN_REFRESH_INTERVAL_SECONDS + 1,
            MIN_REFRESH_INTERVAL_SECONDS + 2,
            2 * MIN_REFRESH_INTERVAL_SECONDS + 2,
        ):
            publisher.now = now
            for number in range(20):
                assert await outcome(keys, f"made-up-{number}") == "UnknownKey"
            asked.append(publisher.fetches)
        return asked

    assert run_scenario(scenario) == [1, 2, 2, 3]


def test_concurrent_requests_for_a_new_key_share_one_fetch() -> None:
    async def scenario(publisher: Publisher, keys: SigningKeys) -> int:
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        await asyncio.gather(*(outcome(keys, "made-up") for _ in range(20)))
        return publisher.fetches

    assert run_scenario(scenario) == 2


def test_while_the_issuer_is_down_its_keys_stay_in_use_and_unknown_ones_are_unavailable() -> None:
    async def scenario(publisher: Publisher, keys: SigningKeys) -> list[str]:
        publisher.keys = None
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        return [await outcome(keys, "new"), await outcome(keys, "rsa"), await outcome(keys, "new")]

    assert run_scenario(scenario) == ["KeysUnavailable", "found", "KeysUnavailable"]


def test_an_issuer_that_publishes_invalid_keys_loses_none() -> None:
    async def scenario(publisher: Publisher, keys: SigningKeys) -> list[str]:
        publisher.keys = []
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        return [await outcome(keys, "new"), await outcome(keys, "rsa")]

    assert run_scenario(scenario) == ["KeysUnavailable", "found"]


def test_a_failed_first_fetch_is_reported() -> None:
    async def scenario(_publisher: Publisher, keys: SigningKeys) -> str:
        with pytest.raises(KeysUnavailable, match="does not respond"):
            await keys.start()
        return await outcome(keys, "rsa")

    assert run_scenario(scenario, None) == "KeysUnavailable"


@pytest.mark.parametrize(
    ("kid", "published", "found"),
    [
        pytest.param(None, PUBLISHED, "found", id="the only one that fits"),
        pytest.param(None, [*PUBLISHED, {**PUBLISHED[0], "kid": "b"}], "UnknownKey", id="one of two is not guessed"),
    ],
)
def test_a_token_that_names_no_key(kid: str | None, published: list[dict[str, Any]], found: str) -> None:
    async def scenario(_publisher: Publisher, keys: SigningKeys) -> str:
        return await outcome(keys, kid)

    assert run_scenario(scenario, published) == found


RSA, EC = PUBLISHED


@pytest.mark.parametrize(
    ("jwk", "found"),
    [
        pytest.param(RSA, {("rsa", "RS256")}, id="RSA"),
        pytest.param(EC, {("ec", "ES256")}, id="P-256"),
        pytest.param({**RSA, "alg": "PS256"}, set(), id="for an algorithm that is not allowed"),
        pytest.param({**RSA, "use": "enc"}, set(), id="for encryption"),
        pytest.param({**RSA, "key_ops": ["sign"]}, set(), id="not for verifying"),
        pytest.param({**RSA, "kid": 7}, set(), id="with a number as its name"),
        pytest.param({**EC, "crv": "P-521"}, set(), id="on another curve"),
        pytest.param({"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "RS256"}, set(), id="symmetric"),
        pytest.param({"kty": "RSA", "kid": "rsa", "n": "!", "e": "AQAB"}, set(), id="broken"),
        pytest.param("text", set(), id="no object"),
    ],
)
def test_only_suitable_keys_are_used(jwk: Any, found: set[tuple[str, str]]) -> None:
    other = {**RSA, "kid": "another"}

    keys = parse_jwks(json.dumps({"keys": [jwk, other]}).encode(), ALGORITHMS)

    assert set(keys) - {("another", "RS256")} == found


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": {}}', b'{"keys": []}', b"[" * 100_000, b"\xff"])
def test_a_document_that_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="issuer's"):
        parse_jwks(document, ALGORITHMS)


def test_keys_expire_while_the_issuer_is_down_and_return_with_it() -> None:
    async def scenario(publisher: Publisher, keys: SigningKeys) -> list[str]:
        publisher.keys, found = None, []
        for now in (MAX_AGE_SECONDS - 1, MAX_AGE_SECONDS + 1):
            publisher.now = now
            found.append(await outcome(keys, "rsa"))
        publisher.keys = PUBLISHED
        publisher.now += MIN_REFRESH_INTERVAL_SECONDS + 1
        return [*found, await outcome(keys, "rsa")]

    assert run_scenario(scenario) == ["found", "KeysUnavailable", "found"]
