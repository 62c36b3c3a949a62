"""A challenger answers its share; whatever it does instead, every client gets a right answer."""

import pytest

from tests.serving.route.conftest import Start
from tests.serving.route.rollout import Rollout, address

pytestmark = pytest.mark.integration  # each needs model servers, processes of their own

ROW = (1.0, 3.0)
CHAMPION = {"version": "champion", "value": [2.0, 6.0], "label": [1]}


def test_the_challenger_answers_over_rest_and_grpc(rollout: Rollout, start: Start) -> None:
    rollout.route(address(start("triples")), "triples")

    wanted = {"version": "triples", "value": [3.0, 9.0], "label": [1]}
    assert rollout.rest(ROW) == wanted
    assert rollout.grpc(ROW) == wanted
    assert rollout.forwarded() == {"Answered": 2}
