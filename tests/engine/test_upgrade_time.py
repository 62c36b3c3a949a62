"""The time of the upgrade, as the chart's ConfigMap records it."""

from typing import Any

import pytest

from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Reference
from flywheel.engine.upgrade_time import read_upgrade_time

RECORDED: dict[str, Any] = {"metadata": {"creationTimestamp": "2026-11-29T12:00:00Z"}}


class Responses:
    """An API server that responds so, one request after the other."""

    def __init__(self, *responses: dict[str, Any] | ApiError | None) -> None:
        self.responses = list(responses)
        self.requested: list[Reference] = []

    def get(self, reference: Reference) -> dict[str, Any] | None:
        self.requested.append(reference)
        response = self.responses.pop(0)
        if isinstance(response, ApiError):
            raise response
        return response


def read(*responses: dict[str, Any] | ApiError | None) -> tuple[str, list[Reference]]:
    server: Any = Responses(*responses)
    return read_upgrade_time(server, "flywheel-system", sleep=lambda _seconds: None), server.requested


@pytest.mark.parametrize(
    ("response", "time"),
    [
        pytest.param(RECORDED, "2026-11-29T12:00:00Z", id="the API server's time of its creation"),
        pytest.param(None, "", id="not recorded"),
        pytest.param(ApiError(403, "Forbidden", "cannot get configmaps"), "", id="not readable"),
    ],
)
def test_the_time(response: dict[str, Any] | ApiError | None, time: str) -> None:
    found, [requested] = read(response)

    assert found == time
    assert (requested.name, requested.namespace) == ("flywheel-bound-results", "flywheel-system")


def test_an_api_server_that_fails_is_asked_again() -> None:
    found, requested = read(ApiError(503, "ServiceUnavailable", "try later"), ApiError(0, "", "refused"), RECORDED)

    assert (found, len(requested)) == ("2026-11-29T12:00:00Z", 3)
