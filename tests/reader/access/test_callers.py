"""How long a token counts, and which headers hold one."""

import base64
import json
import time

import pytest

from flywheel_reader.access.callers import ACCEPTED_SECONDS, _accepted_seconds, _bearer_token
from flywheel_reader.errors import Unauthorized


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
    "headers",
    [
        {},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer " + "x" * 20_000},
        {"authorization": "Bearer \u00e9"},
        {"x-flywheel-authorization": "token", "authorization": "Bearer good"},
    ],
)
def test_a_header_without_a_bearer_token_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        _bearer_token(headers)


def test_the_header_that_passes_the_proxy_is_first() -> None:
    assert _bearer_token({"x-flywheel-authorization": "Bearer a", "authorization": "Bearer b"}) == "a"
    assert _bearer_token({"authorization": "bearer b"}) == "b"
