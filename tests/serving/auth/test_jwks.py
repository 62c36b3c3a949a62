"""The issuer's keys rotate, disappear and come back; a token that names a made-up key makes nobody hammer the issuer."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from e2e.tokens import Issuer
from flywheel_serving.auth.https_client import Unreachable
from flywheel_serving.auth.jwks import (
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
    """What the issuer publishes now, and how often it was asked; `keys` None: it does not respond."""

    def __init__(self, keys: list[dict[str, Any]] | None) -> None:
        self.keys = keys
        self.asked = 0
        self.now = 0.0

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.keys is None:
            raise Unreachable("https://login.example.org does not respond")
        return json.dumps({"keys": self.keys}).encode()

    def made(self) -> SigningKeys:
        return SigningKeys(self.fetch, ALGORITHMS, lambda: self.now)


async def outcome(keys: SigningKeys, kid: str | None, algorithm: str = "RS256") -> str:
    try:
        await keys.find(kid, algorithm)
    except (KeysUnavailable, UnknownKey) as error:
        return type(error).__name__
    return "found"


def told(story: Callable[[Publisher, SigningKeys], Any], published: list[dict[str, Any]] | None = PUBLISHED) -> Any:
    async def run() -> Any:
        publisher = Publisher(published)
        keys = publisher.made()
        if published is not None:
            await keys.start()
        try:
            return await story(publisher, keys)
        finally:
            keys.close()

    return asyncio.run(run())


def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    async def story(publisher: Publisher, keys: SigningKeys) -> list[str]:
        publisher.keys = [{**PUBLISHED[0], "kid": "new"}]
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        return [await outcome(keys, "new"), await outcome(keys, "rsa")]

    assert told(story) == ["found", "UnknownKey"]  # what is published no more, is believed no more


def test_made_up_keys_ask_the_issuer_once_in_ten_seconds() -> None:
    async def story(publisher: Publisher, keys: SigningKeys) -> list[int]:
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
            asked.append(publisher.asked)
        return asked

    assert told(story) == [1, 2, 2, 3]


def test_many_who_wait_for_a_new_key_ask_once() -> None:
    async def story(publisher: Publisher, keys: SigningKeys) -> int:
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        await asyncio.gather(*(outcome(keys, "made-up") for _ in range(20)))
        return publisher.asked

    assert told(story) == 2


def test_while_the_issuer_is_down_its_keys_go_on_and_unknown_ones_are_not_decided() -> None:
    async def story(publisher: Publisher, keys: SigningKeys) -> list[str]:
        publisher.keys = None
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        return [await outcome(keys, "new"), await outcome(keys, "rsa"), await outcome(keys, "new")]

    assert told(story) == ["KeysUnavailable", "found", "KeysUnavailable"]


def test_an_issuer_that_publishes_nonsense_loses_no_key() -> None:
    async def story(publisher: Publisher, keys: SigningKeys) -> list[str]:
        publisher.keys = []
        publisher.now = MIN_REFRESH_INTERVAL_SECONDS + 1
        return [await outcome(keys, "new"), await outcome(keys, "rsa")]

    assert told(story) == ["KeysUnavailable", "found"]


def test_a_first_try_without_an_answer_is_told() -> None:
    async def story(_publisher: Publisher, keys: SigningKeys) -> str:
        with pytest.raises(KeysUnavailable, match="does not respond"):
            await keys.start()
        return await outcome(keys, "rsa")

    assert told(story, None) == "KeysUnavailable"


@pytest.mark.parametrize(
    ("kid", "published", "found"),
    [
        pytest.param(None, PUBLISHED, "found", id="the only one that fits"),
        pytest.param(None, [*PUBLISHED, {**PUBLISHED[0], "kid": "b"}], "UnknownKey", id="one of two is not guessed"),
    ],
)
def test_a_token_that_names_no_key(kid: str | None, published: list[dict[str, Any]], found: str) -> None:
    async def story(_publisher: Publisher, keys: SigningKeys) -> str:
        return await outcome(keys, kid)

    assert told(story, published) == found


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
def test_only_keys_that_fit_are_used(jwk: Any, found: set[tuple[str, str]]) -> None:
    other = {**RSA, "kid": "another"}

    keys = parse_jwks(json.dumps({"keys": [jwk, other]}).encode(), ALGORITHMS)

    assert set(keys) - {("another", "RS256")} == found


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": {}}', b'{"keys": []}', b"[" * 100_000, b"\xff"])
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="issuer's"):
        parse_jwks(document, ALGORITHMS)
