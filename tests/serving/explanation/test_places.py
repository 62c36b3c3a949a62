"""Of the places for requests to the explainer, clients that ask by header keep some free for logged rows."""

import asyncio

import numpy as np
import pytest

from flywheel_serving.explanation.sidecar.client import (
    MAX_WAITING,
    MAX_WAITING_BYTES_OF_CLIENTS,
    MAX_WAITING_OF_CLIENTS,
    Explained,
    ExplainerClient,
)
from flywheel_serving.explanation.sidecar.config import ExplainConfig


class Connection(asyncio.BaseTransport):
    """A connection to an explainer that never answers; as uvloop's, it is no asyncio.WriteTransport."""

    def writelines(self, blocks: object) -> None: ...


async def ask(requests: list[tuple[int, bool]]) -> tuple[list[str], int]:
    """Asks for one row of so many values, for a client or for the log; returns the refusals, and how many wait."""
    client = ExplainerClient(ExplainConfig())
    client._loop = asyncio.get_running_loop()
    client.connection_made(Connection())
    client.data_received(b'{"method": "KernelSHAP"}\n')
    refused: list[Explained] = []
    for values, for_client in requests:
        client.explain({"x": np.zeros((1, values))}, 1, 60.0, refused.append, for_client=for_client)
    waiting = len(client._waiting)
    for each in client._waiting.values():
        each.timer.cancel()
    return [each.reason for each in refused], waiting


@pytest.mark.parametrize(
    ("of_clients", "taken"),
    [
        pytest.param([(1, True)] * 2 * MAX_WAITING, MAX_WAITING_OF_CLIENTS, id="many requests"),
        pytest.param([(MAX_WAITING_BYTES_OF_CLIENTS // 8 - 100, True), (1_000, True)], 1, id="a large request"),
    ],
)
def test_clients_leave_places_for_logged_rows(of_clients: list[tuple[int, bool]], taken: int) -> None:
    refused, waiting = asyncio.run(ask([*of_clients, (1_000, False)]))

    assert refused == ["ExplainerBusy"] * (len(of_clients) - taken)
    assert waiting == taken + 1


def test_logged_rows_have_a_bound_too() -> None:
    refused, waiting = asyncio.run(ask([(1, False)] * (MAX_WAITING + 1)))

    assert (refused, waiting) == (["ExplainerBusy"], MAX_WAITING)
