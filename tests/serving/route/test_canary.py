"""A challenger answers its share; whatever it does, every client gets a valid response."""

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from e2e.waiting import wait_until
from tests.serving.route.fake_challenger import (
    Script,
    fake_challenger,
    in_binary,
    in_json,
    response,
    sends,
    sends_nothing,
)
from tests.serving.route.rollout import Rollout, address
from tests.serving.route.toy_servers import Start

pytestmark = pytest.mark.integration  # each starts model servers in their own processes

ROW = (1.0, 3.0)
CHAMPION = {"version": "champion", "value": [2.0, 6.0], "label": [1]}
TRIPLED = {"version": "triples", "value": [3.0, 9.0], "label": [1]}
FAKE_ANSWER = {"version": "fake", "value": [5.0, 7.0], "label": [1]}


def test_the_challenger_answers_over_rest_and_grpc(rollout: Rollout, start: Start) -> None:
    assert rollout.rest(ROW) == rollout.grpc(ROW) == CHAMPION

    rollout.route(address(start("triples")), "triples")

    assert rollout.rest(ROW) == TRIPLED
    assert rollout.grpc(ROW) == TRIPLED
    assert rollout.forwarded() == {"Answered": 2}
    labels = {"model": "toy", "challenger": "triples"}
    assert rollout.metric("flywheel_route_breaker_open", **labels) == 0
    assert rollout.metric("model_infer_request_success_total", version="champion") == 4
    # Each server's latency is of its own responses alone.
    assert rollout.metric("model_infer_duration_seconds_count", version="champion") == 2


def test_a_pinned_or_forwarded_request_is_not_forwarded(rollout: Rollout, start: Start) -> None:
    rollout.route(address(start("triples")), "triples")

    assert rollout.rest(ROW, "/versions/champion") == CHAMPION
    assert rollout.grpc(ROW, version="champion") == CHAMPION
    assert rollout.rest(ROW, X_Flywheel_Forwarded="1") == CHAMPION
    assert rollout.grpc(ROW, x_flywheel_forwarded="1") == CHAMPION
    assert rollout.forwarded() == {}


@pytest.mark.parametrize(
    ("challenger", "answered_by", "outcome"),
    [
        pytest.param("leaves the year out", "leaves the year out", "Answered", id="left out by training"),
        pytest.param("doubles", "champion", "Failed", id="unknown"),
    ],
)
def test_an_input_of_the_champion_alone_is_ignored_if_training_left_it_out(
    start: Start, tmp_path: Path, challenger: str, answered_by: str, outcome: str
) -> None:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [ROW]}
    year = {"name": "year", "datatype": "FP32", "shape": [1, 1], "data": [2013.0]}
    with start.champion("adds the year", tmp_path) as server:
        rollout = Rollout(server, tmp_path / "route.json")
        rollout.route(address(start(challenger)), challenger)

        assert rollout.post({"inputs": [x, year]})["model_version"] == answered_by
        assert rollout.forwarded() == {outcome: 1}


def test_rows_by_column_names_take_the_route(rollout: Rollout, start: Start) -> None:
    rollout.route(address(start("triples")), "triples")

    for path, expected, forwarded in (("", TRIPLED, 1.0), ("/versions/champion", CHAMPION, 1.0)):
        assert rollout.predict(ROW, path) == {**expected, "label": expected["label"][0]}
        assert rollout.forwarded() == {"Answered": forwarded}


def test_the_share_is_exact(rollout: Rollout, start: Start) -> None:
    rollout.route(address(start("triples")), "triples", percent=12.5)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(rollout.rest, [ROW] * 400))

    assert all(answer in (CHAMPION, TRIPLED) for answer in answers)
    forwarded = sum(answer == TRIPLED for answer in answers)
    assert abs(forwarded - 50) <= 3  # exact in each 10,000: test_traffic_split.py
    assert rollout.forwarded() == {"Answered": forwarded}
    assert rollout.metric("flywheel_route_kept_total", challenger="triples") == 400 - forwarded


def test_a_user_has_one_version_over_rest_and_grpc(rollout: Rollout, start: Start) -> None:
    rollout.route(address(start("triples")), "triples", percent=50, sticky={"header": "X-User-Id"})

    sides = {}
    for user in map(str, range(30)):
        sides[user] = rollout.rest(ROW, X_USER_ID=user)["version"]
        assert {rollout.rest(ROW, x_user_id=user)["version"] for _ in range(3)} == {sides[user]}
        assert rollout.grpc(ROW, x_user_id=user)["version"] == sides[user]
    assert set(sides.values()) == {"champion", "triples"}


@pytest.mark.parametrize(
    ("sort", "outcome", "finding"),
    [
        pytest.param("fails", "Failed", "status 500", id="errors"),
        pytest.param("gives NaN", "Invalid", "'value': not every number is finite", id="NaN"),
        pytest.param("gives one column", "Invalid", "'value': wanted shape [1, 2], found [1, 1]", id="columns"),
        pytest.param("gives three rows", "Failed", "status 500", id="rows"),
        pytest.param("gives another dtype", "Invalid", "'value': wanted FP32, found 'FP64'", id="dtype"),
    ],
)
def test_a_failing_challenger_costs_no_response(
    shared: Rollout, start: Start, sort: str, outcome: str, finding: str
) -> None:
    shared.route(address(start(sort)), sort)

    row = (-1.0, -3.0)
    answers = [shared.rest(row) for _ in range(8)] + [shared.grpc(row) for _ in range(8)]

    assert answers == [{"version": "champion", "value": [-2.0, -6.0], "label": [0]}] * 16
    ends = shared.forwarded()
    assert set(ends) == {outcome}
    assert ends[outcome] >= 5
    assert shared.metric("flywheel_route_breaker_open") == 1
    assert finding in shared.server.wait_for(f"challenger '{sort}'")["message"]


@pytest.mark.parametrize(
    ("script", "outcome", "finding"),
    [
        pytest.param(sends(then_close=True), "Failed", "closed before the response was complete", id="closes at once"),
        pytest.param(sends(in_binary()[:-5], then_close=True), "Failed", "closed before", id="closes in the middle"),
        pytest.param(sends(b"SSH-2.0-OpenSSH\r\n"), "Failed", "not valid HTTP/1.1", id="another protocol"),
        pytest.param(sends(in_json() + in_json()), "Failed", "not valid HTTP/1.1", id="two answers at once"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n", *[b"X: %b\r\n" % (b"a" * 60_000)] * 400), "Failed", "is larger than", id="endless head"),
        pytest.param(sends(response(b"", length=10**9), *[b"a" * 1_000_000] * 40), "Failed", "is larger than", id="endless body"),
        pytest.param(sends(response(b"slow", status="504 Gateway Timeout")), "Late", "status 504: slow", id="504"),
        pytest.param(sends(response(b"busy", status="503 Service Unavailable")), "Failed", "status 503: busy", id="503"),
        pytest.param(sends(response(b"{}")), "Invalid", "model_version: wanted 'fake', found None", id="empty object"),
        pytest.param(sends(response(b"[" * 100_000)), "Invalid", "body: not valid JSON", id="brackets"),
        pytest.param(sends(response(b"[]")), "Invalid", "body: wanted a JSON object", id="list"),
        pytest.param(sends(in_json(model_version="other")), "Invalid", "wanted 'fake', found 'other'", id="another version"),
        pytest.param(sends(in_json(outputs={})), "Invalid", "outputs: wanted a list", id="no list"),
        pytest.param(sends(in_json(outputs=[])), "Invalid", "outputs: missing ['label', 'value']", id="no outputs"),
        pytest.param(sends(in_json(outputs=[7])), "Invalid", "once, found 7", id="a number for an output"),
        pytest.param(sends(in_json(name="label")), "Invalid", "'label': wanted INT64, found 'FP32'", id="another name"),
        pytest.param(sends(in_json(name=["x"])), "Invalid", "once, found", id="a list for a name"),
        pytest.param(sends(in_json(shape=[1, 3])), "Invalid", "wanted shape [1, 2], found [1, 3]", id="shape"),
        pytest.param(sends(in_json(shape=[True, 2])), "Invalid", "wanted shape [1, 2], found [True, 2]", id="truth in a shape"),
        pytest.param(sends(in_json(shape=None)), "Invalid", "wanted shape [1, 2], found None", id="no shape"),
        pytest.param(sends(in_json(data=[1.0])), "Invalid", "needs 2 values, found 1", id="too few values"),
        pytest.param(sends(in_json(data=None)), "Invalid", "data must be a list, found null", id="no data"),
        pytest.param(sends(in_json(data=["a", "b"])), "Invalid", "wanted numbers, found text", id="text"),
        pytest.param(sends(in_json(data=[None, 1])), "Invalid", "not every number is finite", id="null"),
        pytest.param(sends(in_binary(9)), "Invalid", "binary_data_size is 9, but 8 bytes are left", id="binary size too long"),
        pytest.param(sends(in_binary(7)), "Invalid", "needs 8 bytes, found 7", id="binary size too short"),
        pytest.param(sends(in_binary(-8)), "Invalid", "binary_data_size is -8, but", id="negative binary size"),
        pytest.param(sends(in_binary(tail=b"\0" * 9)), "Invalid", "body: 1 bytes belong to no output", id="too many bytes"),
        pytest.param(sends(in_binary(header=99_999)), "Invalid", "Inference-Header-Content-Length", id="JSON length too long"),
        pytest.param(sends(in_binary(header=10)), "Invalid", "body: not valid JSON", id="JSON length too short"),
        pytest.param(sends(in_json()), "Answered", "", id="JSON"),
        pytest.param(sends(in_binary()), "Answered", "", id="binary"),
        pytest.param(sends(b"HTTP/1.1 100 Continue\r\n\r\n", in_json()), "Answered", "", id="100 Continue before it"),
        pytest.param(sends(*[in_json()[at : at + 1] for at in range(len(in_json()))]), "Answered", "", id="byte by byte"),
        pytest.param(sends(in_json().replace(b"HTTP/1.1", b"HTTP/1.0"), then_close=True), "Answered", "", id="HTTP/1.0"),
    ],
)  # fmt: skip
def test_a_challenger_with_invalid_responses_costs_no_response(
    shared: Rollout, script: Script, outcome: str, finding: str
) -> None:
    before = shared.forwarded()
    with fake_challenger(script) as challenger:
        shared.route(challenger, "fake")
        wanted = FAKE_ANSWER if outcome == "Answered" else CHAMPION
        answers = [shared.rest(ROW), shared.grpc(ROW), shared.rest(ROW)]
        ends = {end: count - before.get(end, 0) for end, count in shared.forwarded().items()}

    assert answers == [wanted] * 3
    assert {end: count for end, count in ends.items() if count} == {outcome: 3}
    if finding:
        assert finding in shared.server.wait_for(f"challenger 'fake' at 127.0.0.1:{challenger[1]}")["message"]


def test_a_challenger_that_hangs_is_late(rollout: Rollout) -> None:
    over = threading.Event()
    with fake_challenger(sends_nothing(over)) as challenger:
        rollout.route(challenger, "fake", timeoutSeconds=0.1)

        answers = [rollout.rest(ROW), rollout.grpc(ROW), rollout.rest(ROW), rollout.grpc(ROW)]
        over.set()

    assert answers == [CHAMPION] * 4
    assert rollout.forwarded() == {"Late": 4}
    assert "no response within 0.1 s" in rollout.server.wait_for("challenger 'fake'")["message"]
    # The time spent waiting for the challenger is not the champion's.
    assert rollout.metric("model_infer_duration_seconds_bucket", le="0.1") == 4


def test_a_stopped_challenger_is_late_and_is_used_again_when_it_continues(rollout: Rollout, start: Start) -> None:
    challenger = start("triples")
    rollout.route(address(challenger), "triples", timeoutSeconds=0.2)
    assert rollout.rest(ROW) == TRIPLED
    os.kill(challenger.process.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(rollout.rest, [ROW] * 8)) == [CHAMPION] * 8
        assert rollout.metric("flywheel_route_breaker_open") == 1
        assert rollout.rest(ROW) == CHAMPION
        late = rollout.forwarded()["Late"]
    finally:
        os.kill(challenger.process.pid, signal.SIGCONT)

    wait_until(lambda: rollout.rest(ROW) == TRIPLED)

    assert late >= 5
    assert rollout.metric("flywheel_route_breaker_open") == 0
    assert rollout.rest(ROW) == TRIPLED


def test_an_unreachable_challenger_costs_no_response(rollout: Rollout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()
    rollout.route(nobody, "gone")

    assert [rollout.rest(ROW) for _ in range(6)] == [CHAMPION] * 6
    assert rollout.grpc(ROW) == CHAMPION
    assert rollout.forwarded() == {"Failed": 5}
    assert "cannot connect" in rollout.server.wait_for("challenger 'gone'")["message"]


def test_an_unknown_host_costs_no_response(rollout: Rollout) -> None:
    rollout.route(("no-such-host.invalid", 8080), "gone", timeoutSeconds=30)

    assert rollout.rest(ROW) == CHAMPION
    assert rollout.forwarded() == {"Failed": 1}


def test_the_champion_answers_within_the_clients_timeout(rollout: Rollout) -> None:
    """A challenger that had half of the client's time is not to blame; the breaker still opens, to spare clients the wait."""
    over = threading.Event()
    with fake_challenger(sends_nothing(over)) as challenger:
        rollout.route(challenger, "fake", timeoutSeconds=50.0)

        answers = [rollout.rest(ROW, X_Envoy_Expected_Rq_Timeout_Ms="2000") for _ in range(3)]
        answers += [rollout.grpc(ROW, seconds=2.0) for _ in range(2)]
        assert rollout.metric("flywheel_route_breaker_open") == 1
        over.set()

    assert answers == [CHAMPION] * 5
    assert rollout.forwarded() == {}
    assert rollout.metric("flywheel_route_kept_total") == 5


def test_only_the_authorization_header_is_passed_on(rollout: Rollout) -> None:
    received_heads: list[bytes] = []
    with fake_challenger(sends(in_json()), received_heads) as challenger:
        rollout.route(challenger, "fake")
        rollout.rest(ROW, Authorization="Bearer a", Cookie="b")
        rollout.grpc(ROW, authorization="Bearer c", cookie="d")

    names = [{line.split(b":")[0] for line in head.splitlines()[1:-1]} for head in received_heads]
    sent = {b"host", b"content-type", b"content-length", b"inference-header-content-length"}
    sent |= {b"x-flywheel-forwarded", b"x-flywheel-class-names"}
    assert names == [sent | {b"authorization"}] * 2
    assert b"authorization: Bearer a\r\n" in received_heads[0]
    assert b"authorization: Bearer c\r\n" in received_heads[1]
    assert received_heads[0].startswith(b"POST /v2/models/toy/infer HTTP/1.1\r\n")


def test_most_capacity_stays_for_the_local_model(start: Start, tmp_path: Path) -> None:
    """A challenger that hangs holds two of eight inferences."""
    over = threading.Event()
    with (
        start.champion("doubles", tmp_path, "--max-in-flight", "8") as server,
        fake_challenger(sends_nothing(over)) as challenger,
        ThreadPoolExecutor(2) as pool,
    ):
        rollout = Rollout(server, tmp_path / "route.json")
        rollout.route(challenger, "fake", timeoutSeconds=60.0)
        held = [pool.submit(rollout.rest, ROW) for _ in range(2)]
        wait_until(lambda: rollout.metric("model_infer_in_flight") == 2)

        assert [rollout.rest(ROW) for _ in range(20)] == [CHAMPION] * 20
        assert rollout.metric("model_infer_in_flight") == 2
        over.set()

        assert [each.result() for each in held] == [CHAMPION] * 2


def test_the_bound_on_work_in_flight_counts_what_was_forwarded(start: Start, tmp_path: Path) -> None:
    over = threading.Event()
    with (
        start.champion("doubles", tmp_path, "--max-in-flight", "1") as server,
        fake_challenger(sends_nothing(over)) as challenger,
        ThreadPoolExecutor(1) as pool,
    ):
        rollout = Rollout(server, tmp_path / "route.json")
        rollout.route(challenger, "fake", timeoutSeconds=60.0)
        held = pool.submit(rollout.rest, ROW)
        wait_until(lambda: rollout.metric("model_infer_in_flight") == 1)

        with pytest.raises(AssertionError, match="1 inferences are in flight, the limit"):
            rollout.rest(ROW)
        over.set()

        assert held.result() == CHAMPION


def test_a_request_on_which_both_models_fail_does_not_count_against_the_challenger(
    start: Start, tmp_path: Path
) -> None:
    with start.champion("fails", tmp_path) as server:
        rollout = Rollout(server, tmp_path / "route.json")
        rollout.route(address(start("fails")), "fails")

        with pytest.raises(AssertionError, match="could not compute this input"):
            rollout.rest(ROW)

        assert rollout.forwarded() == {}
        assert rollout.metric("flywheel_route_kept_total") == 1
        assert rollout.rest((0.0, 0.0))["version"] == "fails"


def test_a_number_may_be_infinite_where_the_champions_is(start: Start, tmp_path: Path) -> None:
    with start.champion("gives NaN", tmp_path) as server:
        rollout = Rollout(server, tmp_path / "route.json")
        rollout.route(address(start("gives NaN")), "gives NaN")

        assert rollout.rest((1.0, -1.0)) == {"version": "gives NaN", "value": [0.0, None], "label": [0]}
        assert rollout.forwarded() == {"Answered": 1}


def test_many_requests_while_a_challenger_dies_are_all_answered(rollout: Rollout, start: Start) -> None:
    over = threading.Event()

    def ask(_: int) -> int:
        count = 0
        while not over.is_set():
            answer = rollout.rest(ROW)
            assert answer in (CHAMPION, TRIPLED)
            count += answer == TRIPLED
        return count

    with start.another("triples") as challenger, ThreadPoolExecutor(4) as pool:
        rollout.route(address(challenger), "triples", percent=50)
        clients = [pool.submit(ask, client) for client in range(4)]
        wait_until(lambda: rollout.forwarded().get("Answered", 0) > 20)
        challenger.process.kill()
        wait_until(lambda: rollout.metric("flywheel_route_breaker_open") == 1)
        over.set()
        tripled = sum(client.result() for client in clients)

    assert rollout.forwarded()["Answered"] == tripled
    assert rollout.forwarded()["Failed"] >= 5


def test_the_drain_loses_no_forwarded_request(start: Start, tmp_path: Path) -> None:
    over = threading.Event()

    def script(stream: BinaryIO) -> None:
        over.wait(60)
        sends(in_json())(stream)

    with (
        start.champion("doubles", tmp_path, "--drain-seconds", "0") as server,
        fake_challenger(script) as challenger,
        ThreadPoolExecutor(4) as pool,
    ):
        rollout = Rollout(server, tmp_path / "route.json")
        rollout.route(challenger, "fake", timeoutSeconds=50.0)
        asked = [pool.submit(rollout.rest, ROW), pool.submit(rollout.rest, ROW), pool.submit(rollout.grpc, ROW)]
        wait_until(lambda: rollout.metric("model_infer_in_flight") == 3)

        server.terminate()
        server.wait_for("SIGTERM")
        over.set()

        assert [each.result() for each in asked] == [FAKE_ANSWER] * 3
        assert server.wait() == 0
    assert server.log[-1]["message"] == "drained, 0 inferences were cut"
