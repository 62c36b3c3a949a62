"""How long a token counts, and which headers hold one."""

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from flywheel_reader.access.api_server import ApiServer
from flywheel_reader.access.callers import (
    ACCEPTED_SECONDS,
    AUDIENCE,
    MAX_CACHED,
    MAX_REVIEWS,
    MAX_WAITING,
    Authenticator,
    _accepted_seconds,
    _bearer_token,
)
from flywheel_reader.errors import Busy, Unauthorized


def token_that_expires_in(seconds: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).rstrip(b"=").decode()
    return f"head.{payload}.signature"


def test_an_accepted_token_is_not_believed_beyond_its_end() -> None:
    assert 4 < _accepted_seconds(token_that_expires_in(5)) <= 5
    assert _accepted_seconds(token_that_expires_in(-5)) == 0
    assert _accepted_seconds(token_that_expires_in(3600)) == ACCEPTED_SECONDS


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "..", "a.W10.c", "a.bnVsbA.c", "a.eyJleHAiOiAieCJ9.c"])
def test_a_token_of_another_form_counts_for_a_minute(token: str) -> None:
    assert _accepted_seconds(token) == ACCEPTED_SECONDS


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer " + "x" * 20_000},
        {"authorization": "Bearer \u00e9"},
        {"x-flywheel-authorization": "Bearer good", "authorization": "token"},
    ],
)
def test_a_header_without_a_bearer_token_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        _bearer_token(given)


def test_the_header_that_passes_the_proxy_counts_where_the_other_is_absent() -> None:
    assert _bearer_token({"x-flywheel-authorization": "Bearer a", "authorization": "Bearer b"}) == "b"
    assert _bearer_token({"x-flywheel-authorization": "bearer a"}) == "a"


class Reviews(ApiServer):
    """Accepts tokens that begin with good, after `release`; counts the reviews at a time."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.running = self.most = self.total = 0

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, accept: str = ""
    ) -> tuple[int, dict[str, Any]]:
        self.running += 1
        self.total += 1
        self.most = max(self.most, self.running)
        await self.release.wait()
        self.running -= 1
        good = str((body or {})["spec"]["token"]).startswith("good")
        user = {"username": "alice"}
        return 201, {"status": {"authenticated": good, "audiences": [AUDIENCE], "user": user}}


def headers(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_made_up_tokens_of_one_peer_delay_no_other_and_remove_no_good_one() -> None:
    async def run() -> None:
        api = Reviews()
        found = Authenticator(api)
        flood = [asyncio.create_task(found.authenticate(headers(f"bad-{n}"), "10.0.0.1")) for n in range(100)]
        await asyncio.sleep(0.01)
        assert api.most == MAX_REVIEWS
        other = asyncio.create_task(found.authenticate(headers("good"), "10.0.0.2"))
        await asyncio.sleep(0.01)
        assert api.running == MAX_REVIEWS + 1
        api.release.set()
        assert (await other).username == "alice"
        errors = await asyncio.gather(*flood, return_exceptions=True)
        assert sum(isinstance(error, Unauthorized) for error in errors) == MAX_WAITING
        assert sum(isinstance(error, Busy) for error in errors) == 100 - MAX_WAITING

        for number in range(MAX_CACHED + 1):
            with pytest.raises(Unauthorized):
                await found.authenticate(headers(f"bad-{number}"), "10.0.0.1")
        total = api.total
        await found.authenticate(headers("good"), "10.0.0.2")
        assert api.total == total
        assert not found._waiting
        assert not found._slots

    asyncio.run(run())
