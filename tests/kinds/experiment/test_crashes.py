"""Whole searches whose operator is killed after any of its writes."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.kinds.experiment.situations import Search, experiment, repeated, sometimes_fails

pytestmark = pytest.mark.exhaustive

WHOLE = Search(experiment({"register": "m"}), sometimes_fails)
WHOLE.finish()


@pytest.mark.parametrize("crash_after", range(1, len(WHOLE.writes) + 1))
def test_killed_after_any_write_the_search_ends_the_same(crash_after: int) -> None:
    search = Search(experiment({"register": "m"}), sometimes_fails, crash_after=crash_after)
    search.finish()

    assert search.history == WHOLE.history
    assert search.status.model_version == WHOLE.status.model_version
    assert search.created == WHOLE.created


@pytest.mark.parametrize("crash_after", range(1, len(WHOLE.writes) + 1))
def test_what_is_remembered_is_what_was_tried_though_trials_ended_while_nobody_looked(crash_after: int) -> None:
    tried: dict[int, list[float]] = {}

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        assert tried.setdefault(trial, point) == point
        return sometimes_fails(trial, attempt, point)

    search = Search(experiment({"register": "m"}), ends, crash_after=crash_after, ends_while_dead=True)
    search.finish()

    assert {record.trial: json.loads(record.point) for record in search.status.history} == tried
    assert [record.trial for record in search.status.history] == list(range(1, 13))


WHOLE_REPEATED = repeated()
WHOLE_REPEATED.finish()


@pytest.mark.parametrize("crash_after", range(1, len(WHOLE_REPEATED.writes) + 1))
def test_killed_after_any_write_a_search_with_repeats_ends_the_same(crash_after: int) -> None:
    search = repeated(crash_after=crash_after)
    search.finish()

    assert search.history == WHOLE_REPEATED.history
    assert search.created == WHOLE_REPEATED.created
