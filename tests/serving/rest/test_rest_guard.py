"""Where the guard of REST requests finds a token."""

import pytest

from flywheel_serving.rest.rest_guard import read_authorization


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        pytest.param({b"authorization": b"Bearer a"}, b"Bearer a", id="in the usual header"),
        pytest.param({b"x-flywheel-authorization": b"Bearer b"}, b"Bearer b", id="behind the API server's proxy"),
        pytest.param({b"authorization": b"a", b"x-flywheel-authorization": b"b"}, b"a", id="the usual one counts"),
        pytest.param({b"authorization": b"", b"x-flywheel-authorization": b"b"}, b"", id="even if it is empty"),
        pytest.param({}, None, id="in none"),
    ],
)
def test_read_authorization(headers: dict[bytes, bytes], found: bytes | None) -> None:
    assert read_authorization(headers) == found
