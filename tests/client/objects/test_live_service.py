"""An InferenceService of the client: its predictions, and those that it has logged."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from flywheel.client.aio import AsyncWorkspace
from flywheel.client.errors import FlywheelError
from tests.client.local_cluster import Call, LocalCluster, Reply

LOGGED = "/v1/namespaces/shop/inferenceservices/delay/predictions"
PERIOD = {"from": "2026-11-28T12:00:00Z", "to": "2026-11-29T12:00:00Z"}


def row(number: int) -> dict[str, Any]:
    return {
        "id": f"r-{number}",
        "time": "2026-11-29T11:00:00Z",
        "version": "delay-1",
        "features": {"month": number, "carrier": None},
        "outputs": {"label": 1, "score": "NaN"},
    }


@pytest.fixture
def logged(cluster: LocalCluster) -> LocalCluster:
    """Four rows in two groups of files; the second row of the first one follows by its offset."""
    pages: dict[tuple[str | None, str | None], dict[str, Any]] = {
        (None, None): {"items": [row(1)], "next": 1},
        (None, "1"): {"items": [row(2)], "next": None, "after": "file-1"},
        ("file-1", None): {"items": [row(3), row(4)], "next": None},
    }

    def respond(call: Call) -> Reply:
        query = dict(call.query)
        return Reply({**pages[query.get("after"), query.get("offset")], **PERIOD})

    cluster.reader[LOGGED] = respond
    return cluster


def test_logged_rows_are_read_to_their_end_in_one_period(logged: LocalCluster) -> None:
    found = logged.workspace().service("delay").predictions(limit=None)

    assert [each["id"] for each in found] == ["r-1", "r-2", "r-3", "r-4"]
    assert found[0]["time"] == datetime(2026, 11, 29, 11, tzinfo=UTC)
    assert found.columns[3:] == ["features.month", "features.carrier", "outputs.label", "outputs.score"]
    later = [dict(call.query) for call in logged.calls][1:]
    assert [(each["from"], each["to"]) for each in later] == [(PERIOD["from"], PERIOD["to"])] * 2


def test_a_limit_ends_the_reading(logged: LocalCluster) -> None:
    assert len(logged.workspace().service("delay").predictions(limit=1)) == 1
    assert [dict(call.query)["limit"] for call in logged.calls] == ["1"]


def test_a_period_is_given_as_times_or_texts(logged: LocalCluster) -> None:
    logged.workspace().service("delay").predictions(datetime(2026, 11, 28, tzinfo=UTC), "2026-11-29", limit=1)

    query = dict(logged.calls[0].query)
    assert (query["from"], query["to"]) == ("2026-11-28T00:00:00+00:00", "2026-11-29")


def test_a_time_without_a_zone_is_refused(logged: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="has no zone; give one"):
        logged.workspace().service("delay").predictions(datetime(2026, 11, 28))  # noqa: DTZ001 the error of the test


def test_asyncio_has_the_same(logged: LocalCluster) -> None:
    found = asyncio.run(AsyncWorkspace(logged.workspace()).service("delay").predictions(limit=2))

    assert [each["id"] for each in found] == ["r-1", "r-2"]
