"""route.json may appear, change, become invalid and disappear at any time; the server follows without a restart."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.waiting import wait_until
from tests.serving.route.rollout import Rollout, address
from tests.serving.route.toy_servers import Start

pytestmark = pytest.mark.integration  # each starts model servers in their own processes

ROW = (1.0, 3.0)


class Mounted:
    """A folder as the kubelet mounts a ConfigMap: `..data` points to the current content and is swapped by a rename."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "route.json"
        self._folder = folder
        self._count = 0

    def swap(self, text: str | None) -> None:
        self._count += 1
        content = self._folder / f"..2026_{self._count}"
        content.mkdir()
        if text is not None:
            (content / "route.json").write_text(text)
        fresh = self._folder / "..data_tmp"
        fresh.symlink_to(content.name)
        fresh.rename(self._folder / "..data")
        if text is None:
            self.path.unlink()
        elif not self.path.is_symlink():
            self.path.symlink_to("..data/route.json")


def route(challenger: tuple[str, int], version: str, **more: Any) -> str:
    who = {"version": version, "host": challenger[0], "port": challenger[1]}
    return json.dumps({"v": 1, "mode": "Canary", "percent": 100, "challenger": who, "timeoutSeconds": 20, **more})


def answers(rollout: Rollout, version: str) -> None:
    wait_until(lambda: rollout.rest(ROW)["version"] == version)


def test_a_swapped_symlink_is_noticed(start: Start, tmp_path: Path) -> None:
    mounted = Mounted(tmp_path)
    with start.champion("doubles", tmp_path) as server:
        rollout = Rollout(server, mounted.path)
        assert rollout.metric("flywheel_route_invalid", model="toy") == 0

        mounted.swap(route(address(start("triples")), "triples"))
        answers(rollout, "triples")
        mounted.swap(route(address(start("negates")), "negates"))
        answers(rollout, "negates")
        assert rollout.metric("flywheel_route_percent", challenger="negates") == 100
        mounted.swap(None)
        answers(rollout, "champion")
        assert rollout.metric("flywheel_route_percent", challenger="negates") == 0
        mounted.swap(route(address(start("triples")), "triples"))
        answers(rollout, "triples")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"v": 1, "mode": "Can', id="half a file"),
        pytest.param(route(("b", 1), "x", percent=500), id="a share above all"),
        pytest.param('{"v": 2}', id="a later version of the file"),
    ],
)
def test_an_invalid_route_leaves_the_previous_one_in_force(rollout: Rollout, start: Start, text: str) -> None:
    good = route(address(start("triples")), "triples")
    rollout.write(good)
    answers(rollout, "triples")

    rollout.write(text)

    wait_until(lambda: rollout.metric("flywheel_route_invalid", model="toy") == 1)
    assert "stays in force until it is corrected" in rollout.server.wait_for("route.json:")["message"]
    assert rollout.rest(ROW)["version"] == "triples"
    assert rollout.said("route.json:") == 1
    rollout.write(good)
    wait_until(lambda: rollout.metric("flywheel_route_invalid", model="toy") == 0)


def test_a_route_that_is_there_at_the_start_holds_from_the_first_request(start: Start, tmp_path: Path) -> None:
    (tmp_path / "route.json").write_text(route(address(start("triples")), "triples"))
    with start.champion("doubles", tmp_path) as server:
        assert Rollout(server, tmp_path / "route.json").rest(ROW)["version"] == "triples"


def test_an_invalid_route_at_the_start_is_no_route(start: Start, tmp_path: Path) -> None:
    (tmp_path / "route.json").write_text("?")
    with start.champion("doubles", tmp_path) as server:
        rollout = Rollout(server, tmp_path / "route.json")
        assert rollout.rest(ROW)["version"] == "champion"
        assert rollout.metric("flywheel_route_invalid", model="toy") == 1


def test_another_share_retains_counts_and_breaker(rollout: Rollout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()
    rollout.route(nobody, "gone", percent=50)
    wait_until(lambda: rollout.rest(ROW) is not None and rollout.metric("flywheel_route_breaker_open") == 1)

    rollout.route(nobody, "gone", percent=100)

    assert rollout.metric("flywheel_route_percent", challenger="gone") == 100
    assert rollout.metric("flywheel_route_breaker_open") == 1
    assert rollout.forwarded()["Failed"] >= 5


def test_a_server_that_is_the_challenger_itself_answers_alone(rollout: Rollout) -> None:
    rollout.write(route(address(rollout.server), "champion"))

    rollout.server.wait_for("the route's challenger champion is this server")
    assert rollout.rest(ROW)["version"] == "champion"
    assert rollout.metric("flywheel_route_percent", model="toy") == 0


def changed_often_enough(rollout: Rollout, times: int) -> bool:
    return rollout.said("Canary:") + rollout.said("no route:") >= times


def test_every_response_is_valid_while_challengers_change(rollout: Rollout, start: Start) -> None:
    routes = [route(address(start("triples")), "triples"), "", route(address(start("negates")), "negates"), '{"v": 1}']
    right = {"champion": [2.0, 6.0], "triples": [3.0, 9.0], "negates": [-1.0, -3.0]}
    wanted, over = [*routes, *routes], threading.Event()

    def ask(_: int) -> str:
        seen = set()
        while not over.is_set():
            answer = rollout.rest(ROW)
            assert answer["value"] == right[answer["version"]]
            seen.add(answer["version"])
        return " ".join(sorted(seen))

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(ask, client) for client in range(2)]
        for count, text in enumerate(wanted, start=1):
            rollout.write(text)
            wait_until(partial(changed_often_enough, rollout, count))
        over.set()

        assert [client.result() for client in clients] == ["champion negates triples"] * 2
