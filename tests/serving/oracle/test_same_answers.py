"""uvicorn with h11 as an oracle: the same bytes get the same statuses, bodies and framing, or an intended difference."""

from collections.abc import Iterator

import pytest

from tests.serving.oracle import servers
from tests.serving.oracle.cases import BAD, GOOD, OTHER, Case
from tests.serving.oracle.differences import DIFFERENCES
from tests.serving.oracle.raw_http import ParsedResponse, exchange

pytestmark = pytest.mark.integration  # two servers in threads of this process

CASES = GOOD | {name: Case(data) for name, data in BAD.items()} | OTHER


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """The ports of our server and of the oracle."""
    with servers.own_server() as our, servers.oracle() as their:
        yield our, their


def send_case(port: int, case: Case, piece: int = 0) -> list[ParsedResponse]:
    return exchange(port, case.sent, methods=list(case.methods), half_close=case.half_close, piece=piece)


@pytest.mark.parametrize("name", [name for name in CASES if name not in DIFFERENCES])
def test_both_servers_respond_equally(ports: tuple[int, int], name: str) -> None:
    case = CASES[name]

    found, wanted = (send_case(port, case) for port in ports)

    assert found == wanted


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("piece", [1, 3])
def test_both_servers_respond_equally_to_a_slow_client(ports: tuple[int, int], name: str, piece: int) -> None:
    case = GOOD[name]

    found, wanted = (send_case(port, case, piece) for port in ports)

    assert found == wanted


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_are_as_they_are_listed(ports: tuple[int, int], name: str) -> None:
    """A difference that has disappeared is red as well, so that the list stays true."""
    difference = DIFFERENCES[name]

    found, theirs = (send_case(port, CASES[name]) for port in ports)

    assert (tuple(found), tuple(theirs)) == (difference.ours, difference.theirs), difference.reason
    assert difference.ours != difference.theirs
