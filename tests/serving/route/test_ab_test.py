"""An A/B test: who is assigned to which arm, and that the log has the assigned arm of each request, whoever answered."""

import hashlib
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from flywheel_serving.infer.requests import Assignment, InferRequest
from flywheel_serving.route.canary import ABTest
from flywheel_serving.route.route_file import Challenger, Route
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import LogStore, body, send_request, start_server, stop_server

FLIGHT = (1, 2.5, "UA")


def ab_test(percent: int = 50, header: bytes | None = b"x-user-id", test: str = "t1") -> ABTest:
    route = Route("ABTest", percent * 100, Challenger("v2", "b", 8080), header, 1.0, 0.0, 0.0, test)
    return ABTest(Mock(**{"limits.in_flight": 8}), route, Mock())


def request(headers: dict[bytes, bytes] | None = None, *, pinned: bool = False) -> InferRequest:
    return InferRequest("1", {}, [], None, headers=headers, pinned=pinned)


def arm_of(test: ABTest, user: int) -> str:
    found = test.assign(request({b"x-user-id": b"user-%d" % user}), None)
    assert found is not None
    return found.arm


def test_all_requests_of_a_user_have_one_arm_in_every_pod() -> None:
    assert [arm_of(ab_test(), user) for user in range(200)] == [arm_of(ab_test(), user) for user in range(200)]


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_the_share_of_units_is_that_of_the_route(percent: int) -> None:
    test = ab_test(percent)
    arms = [arm_of(test, user) for user in range(4_000)]

    assert abs(arms.count("Challenger") / len(arms) - percent / 100) < 0.03


def test_the_arm_can_be_recomputed_from_the_unit_in_the_log() -> None:
    found = ab_test(30).assign(request({b"x-user-id": b"jo"}), None)
    unit = hashlib.blake2b(b"t1\0jo", digest_size=16).hexdigest()

    arm = "Challenger" if int(unit[:16], 16) % 10_000 < 3_000 else "Champion"
    assert found == Assignment("t1", unit, arm)


def test_another_test_has_other_units_and_other_arms_for_the_same_users() -> None:
    one, other = ab_test(test="t1"), ab_test(test="t2")
    same = sum(arm_of(one, user) == arm_of(other, user) for user in range(2_000))

    assert abs(same / 2_000 - 0.5) < 0.05
    pair = [each.assign(request({b"x-user-id": b"jo"}), None) for each in (one, other)]
    assert pair[0] != pair[1]


@pytest.mark.parametrize(
    ("keys", "is_assigned"),
    [
        pytest.param(["UA-7"], True, id="one row"),
        pytest.param(["UA-7", "UA-7"], True, id="several rows of one unit"),
        pytest.param(["UA-7", "UA-8"], False, id="rows of several units"),
        pytest.param([""], False, id="an empty key"),
        pytest.param(None, False, id="no key"),
    ],
)
def test_without_a_header_the_key_of_the_rows_decides(keys: list[str] | None, *, is_assigned: bool) -> None:
    found = ab_test(header=None).assign(request(), keys)

    assert found is not None
    assert (found.test, bool(found.unit), bool(found.arm)) == ("t1", is_assigned, is_assigned)


@pytest.mark.parametrize(
    "request_",
    [request({b"x-user-id": b"jo"}, pinned=True), request({b"x-user-id": b"jo", b"x-flywheel-forwarded": b"1"})],
    ids=["names its version", "another server forwarded it"],
)
def test_what_is_not_ours_to_assign_is_no_part_of_the_test(request_: InferRequest) -> None:
    assert ab_test().assign(request_, None) is None


def write_route(path: Path, version: str, **more: Any) -> None:
    route = {"v": 1, "mode": "ABTest", "percent": 50, "test": "t1", "challenger": {"version": version, "host": "127.0.0.1", "port": 1}, "timeoutSeconds": 5.0}  # fmt: skip
    path.write_text(json.dumps(route | more))


def send_users(server: LocalServer, users: int) -> None:
    for user in range(users):
        given = {"parameters": {"flight_id": f"UA-{user}"}} if user else {}
        send_request(server, body([FLIGHT], id=f"r{user}", **given))


@pytest.mark.integration
def test_the_log_has_the_assigned_arm_where_the_champion_answers_for_a_dead_challenger(
    logged_flights: Path, log_store: LogStore, tmp_path: Path
) -> None:
    route = tmp_path / "route.json"
    write_route(route, "v2")
    with start_server(logged_flights, log_store.config_json(key="flight_id"), "--route", str(route)) as server:
        send_users(server, 40)
        stop_server(server)

    rows = {row["id"]: row for row in log_store.rows()}
    unassigned = rows.pop("r0")
    assert (unassigned["test"], unassigned["unit"], unassigned["arm"]) == ("t1", None, None)
    assert {row["test"] for row in rows.values()} == {"t1"}
    assert len({row["unit"] for row in rows.values()}) == 39
    arms = [row["arm"] for row in rows.values()]
    assert 8 < arms.count("Challenger") < 32
    routes = {(row["arm"], row["route"]) for row in rows.values()}
    assert routes == {("Champion", "Kept"), ("Challenger", "FellBack"), ("Challenger", "Kept")}, (
        "the breaker opens after five failures, and the arm stays that of the assignment"
    )
    assert len({row["version"] for row in rows.values()}) == 1, "the champion answered everybody"
