"""Scores are named and compared by the classes of the version that computed them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.waiting import wait_until
from tests.serving.route.fake_challenger import fake_challenger, in_json, sends
from tests.serving.route.rollout import NAME, Rollout, address
from tests.serving.route.toy_servers import Start

pytestmark = pytest.mark.integration  # each starts model servers in their own processes

ROW = (1.0, 3.0)
BY_CHAMPION = {"a": 2.0, "b": 6.0}


@pytest.fixture
def scorer(start: Start, tmp_path: Path) -> Iterator[Rollout]:
    """A champion whose scores are those of the classes `a` and `b`."""
    with start.champion("scores a and b", tmp_path) as server:
        yield Rollout(server, tmp_path / "route.json")


@pytest.mark.parametrize(
    ("challenger", "scores"),
    [
        pytest.param("scores a and b", BY_CHAMPION, id="the same classes"),
        pytest.param("scores b and a", BY_CHAMPION, id="another order"),
        pytest.param("scores a and c", {"a": 2.0, "c": 6.0}, id="another class"),
        pytest.param("doubles", [2.0, 6.0], id="no classes"),
    ],
)
def test_predictions_are_named_by_the_classes_of_the_version_that_responded(
    scorer: Rollout, start: Start, challenger: str, scores: Any
) -> None:
    assert scorer.predict(ROW)["value"] == BY_CHAMPION

    scorer.route(address(start(challenger)), challenger)

    for _ in range(2):  # the names come with the first response
        predicted = scorer.predict(ROW)
        assert (predicted["version"], predicted["value"]) == (challenger, scores)
    assert scorer.predict(ROW, "/versions/champion")["value"] == BY_CHAMPION


def test_a_challenger_that_sends_no_class_names_is_requested_for_them_and_has_the_champions(scorer: Rollout) -> None:
    heads: list[bytes] = []
    with fake_challenger(sends(in_json()), heads) as there:
        scorer.route(there, "fake")

        assert scorer.predict(ROW)["value"] == {"a": 5.0, "b": 7.0}
        assert scorer.predict(ROW)["value"] == {"a": 5.0, "b": 7.0}

    assert [b"x-flywheel-class-names" in head for head in heads] == [True, True]


@pytest.mark.parametrize(
    ("challenger", "outcome"),
    [
        pytest.param("scores a and b", "Agreed", id="the same classes"),
        pytest.param("scores b and a", "Agreed", id="another order"),
        pytest.param("scores a and c", "Disagreed", id="another class"),
    ],
)
def test_a_shadow_compares_scores_of_the_same_class(
    scorer: Rollout, start: Start, challenger: str, outcome: str
) -> None:
    scorer.route(address(start(challenger)), challenger, mode="Shadow")

    scored = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [ROW]}],
        "outputs": [{"name": "value"}],
    }
    scorer.post(scored)

    wait_until(lambda: sum(scorer.compared().values()) == 1)
    assert scorer.compared() == {outcome: 1}
    examples = json.loads(scorer.text(f"/v2/models/{NAME}/shadow"))["examples"]
    assert [one["difference"] for one in examples] == ([None] if outcome == "Disagreed" else [])
