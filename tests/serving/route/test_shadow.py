"""The champion answers; copies go to the challenger, and differences are counted and shown as examples."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2e.waiting import wait_until
from tests.serving.route.fake_challenger import fake_challenger, in_json, sends, sends_nothing
from tests.serving.route.rollout import NAME, Rollout, address
from tests.serving.route.toy_servers import Start

pytestmark = pytest.mark.integration  # each starts model servers in their own processes

ROW = (1.0, 3.0)
CHAMPION = {"version": "champion", "value": [2.0, 6.0], "label": [1]}


def examples(rollout: Rollout) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rollout.text(f"/v2/models/{NAME}/shadow"))["examples"]
    return found


def all_compared(rollout: Rollout, count: int) -> dict[str, float]:
    wait_until(lambda: sum(rollout.compared().values()) == count)
    return rollout.compared()


def test_without_a_route_there_are_no_examples(rollout: Rollout) -> None:
    assert examples(rollout) == []


def test_equal_answers_agree(shared: Rollout, start: Start) -> None:
    shared.route(address(start("doubles nearly")), "doubles nearly", mode="Shadow")

    assert [shared.rest(ROW), shared.grpc(ROW), shared.rest((0.0, 0.0))][:2] == [CHAMPION] * 2

    assert all_compared(shared, 3) == {"Agreed": 3}
    difference = shared.metric("flywheel_shadow_difference")
    assert difference is not None
    assert 0 < difference < 1e-3
    assert examples(shared) == []
    assert shared.forwarded() == {}


def test_the_examples_are_those_that_differ_most(rollout: Rollout, start: Start) -> None:
    rollout.route(address(start("triples")), "triples", mode="Shadow")

    for number in range(1, 31):
        assert rollout.rest((0.0, float(number)))["version"] == "champion"

    assert all_compared(rollout, 30) == {"Disagreed": 30}
    assert rollout.metric("flywheel_shadow_difference") == 30
    found = examples(rollout)
    assert [one["difference"] for one in found] == [float(number) for number in range(30, 10, -1)]
    assert found[0] == {
        "id": "",
        "difference": 30.0,
        "inputs": {"x": [0.0, 30.0]},
        "champion": {"value": [0.0, 60.0], "label": [1]},
        "challenger": {"value": [0.0, 90.0], "label": [1]},
    }


def test_classes_must_be_equal_and_numbers_within_the_routes_tolerance(rollout: Rollout, start: Start) -> None:
    tolerance = {"absolute": 100.0, "relative": 0.0}
    rollout.route(address(start("triples")), "triples", mode="Shadow", tolerance=tolerance)
    rollout.rest(ROW)
    assert all_compared(rollout, 1) == {"Agreed": 1}

    rollout.route(address(start("negates")), "negates", mode="Shadow", tolerance=tolerance)
    rollout.rest(ROW)

    assert all_compared(rollout, 1) == {"Disagreed": 1}
    assert examples(rollout)[0]["difference"] == 1.0  # of the label; the numbers are within the tolerance


def test_a_difference_to_nan_is_infinite(shared: Rollout, start: Start) -> None:
    shared.route(address(start("gives NaN")), "gives NaN", mode="Shadow")

    assert shared.rest((-1.0, -2.0)) == {"version": "champion", "value": [-2.0, -4.0], "label": [0]}

    assert all_compared(shared, 1) == {"Disagreed": 1}
    assert shared.metric("flywheel_shadow_difference") == float("inf")
    (example,) = examples(shared)
    assert example["difference"] is None
    assert example["challenger"]["value"] == [None, None]


def test_the_share_of_copies_is_exact_and_examples_outlive_the_route(rollout: Rollout, start: Start) -> None:
    rollout.route(address(start("triples")), "triples", mode="Shadow", percent=50)
    for _ in range(40):
        rollout.rest(ROW)
    copies = sum(all_compared(rollout, 20).values())

    rollout.write('{"v": 1}')
    wait_until(lambda: rollout.metric("flywheel_route_percent") == 0)

    assert copies == 20
    assert len(examples(rollout)) == 20
    assert rollout.compared() == {"Disagreed": 20}


@pytest.mark.parametrize(
    ("sort", "row"),
    [
        pytest.param("fails", ROW, id="errors"),
        pytest.param("gives one column", ROW, id="another shape"),
        pytest.param("gives another dtype", ROW, id="another dtype"),
    ],
)
def test_an_invalid_response_has_failed(shared: Rollout, start: Start, sort: str, row: tuple[float, float]) -> None:
    shared.route(address(start(sort)), sort, mode="Shadow")

    assert shared.rest(row) == CHAMPION

    assert all_compared(shared, 1) == {"Failed": 1}


def test_a_request_that_the_champion_refuses_is_not_copied(start: Start, tmp_path: Path) -> None:
    with start.champion("fails", tmp_path) as server:
        rollout = Rollout(server, tmp_path / "route.json")
        rollout.route(address(start("triples")), "triples", mode="Shadow")
        with pytest.raises(AssertionError, match="could not compute"):
            rollout.rest(ROW)
        rollout.rest((0.0, 0.0))

        assert all_compared(rollout, 1) == {"Agreed": 1}


def test_clients_do_not_wait_for_a_challenger_that_hangs(rollout: Rollout) -> None:
    """Eight copies are in flight, 256 wait, the others are dropped; when the challenger continues, those that waited are compared."""
    over = threading.Event()
    with fake_challenger(sends_nothing(over)) as challenger:
        rollout.route(challenger, "fake", mode="Shadow", timeoutSeconds=60.0)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(rollout.rest, [ROW] * 300)) == [CHAMPION] * 300

        wait_until(lambda: rollout.compared() == {"Dropped": 300 - 256 - 8})
        over.set()
        assert all_compared(rollout, 300) == {"Dropped": 36, "Failed": 264}


def test_copies_that_wait_when_the_route_ends_are_dropped(rollout: Rollout) -> None:
    over = threading.Event()
    with fake_challenger(sends_nothing(over)) as challenger:
        rollout.route(challenger, "fake", mode="Shadow", timeoutSeconds=60.0)
        for _ in range(12):
            rollout.rest(ROW)

        rollout.write("")
        wait_until(lambda: rollout.compared() == {"Dropped": 4})
        over.set()

        assert all_compared(rollout, 12) == {"Dropped": 4, "Failed": 8}


def test_a_late_copy_is_counted(rollout: Rollout) -> None:
    over = threading.Event()
    with fake_challenger(sends_nothing(over)) as challenger:
        rollout.route(challenger, "fake", mode="Shadow", timeoutSeconds=0.1)

        assert rollout.rest(ROW) == CHAMPION

        assert all_compared(rollout, 1) == {"Late": 1}
        over.set()


def test_long_values_are_cut(rollout: Rollout) -> None:
    """An example of a request with many rows shows the row that differs most."""
    body = {
        "id": "a" * 3_000,
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [4, 2], "data": [[0, 1], [0, 2], [0, 9], [0, 3]]}],
    }
    answer = in_json(
        outputs=[
            {"name": "value", "datatype": "FP32", "shape": [4, 2], "data": [0, 2, 0, 4, 0, 99, 0, 6]},
            {"name": "label", "datatype": "INT64", "shape": [4], "data": [1, 1, 1, 1]},
        ]
    )
    with fake_challenger(sends(answer)) as challenger:
        rollout.route(challenger, "fake", mode="Shadow")
        assert rollout.post(body)["outputs"][0]["data"] == [0, 2, 0, 4, 0, 18, 0, 6]
        assert all_compared(rollout, 1) == {"Disagreed": 1}

    (example,) = examples(rollout)
    assert example["inputs"] == {"x": [0.0, 9.0]}
    assert example["challenger"] == {"value": [0.0, 99.0], "label": [1]}
    assert example["difference"] == 81.0
    assert example["id"] == "a" * 1_024
