"""No finding flaps at the boundary, whatever the evidence and the effects of successive windows are."""

import itertools
import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.monitoring.statistics.streams.decision import (
    CLEAR_FRACTION,
    CLEAR_LOOKS,
    Finding,
    StreamLook,
    StreamState,
    decide_fixed_look,
    decide_look,
)

THRESHOLD, ALLOWANCE = 0.1, 1e-4
EFFECTS = st.one_of(st.floats(0.0, 0.3), st.sampled_from([0.0799, 0.08, 0.0801, 0.0999, 0.1, 0.1001]))
LOOKS = st.lists(st.tuples(EFFECTS, st.floats(-50, 200)), max_size=60)


def follow(looks: list[tuple[float, float]], *, is_fixed: bool) -> list[Finding]:
    state: Any = None
    found = []
    for start, (effect, evidence) in enumerate(looks):
        memory = StreamState.from_json(state, 1)
        look = StreamLook(1_000, effect, THRESHOLD, 1.0, ALLOWANCE, start)
        if is_fixed:
            new, finding = decide_fixed_look(memory, look, min(1.0, float(np.exp(-evidence))))
        else:
            new, finding = decide_look(memory, look, np.array([evidence]), np.zeros(1))
        state = json.loads(json.dumps(new))
        found.append(finding)
    return found


@given(looks=LOOKS, is_fixed=st.booleans())
def test_a_second_alarm_needs_three_successive_looks_well_below_the_threshold(
    looks: list[tuple[float, float]], is_fixed: bool
) -> None:
    found = follow(looks, is_fixed=is_fixed)
    alarms = [index for index, each in enumerate(found) if each.is_new]
    below = [effect < CLEAR_FRACTION * THRESHOLD for effect, _ in looks]

    for first, second in itertools.pairwise(alarms):
        between = range(first + 1, second - CLEAR_LOOKS + 1)
        assert any(all(below[start : start + CLEAR_LOOKS]) for start in between)
        assert sum(each.is_cleared for each in found[first:second]) == 1


@given(looks=LOOKS, is_fixed=st.booleans())
def test_a_finding_is_active_from_its_alarm_until_it_is_cleared(
    looks: list[tuple[float, float]], is_fixed: bool
) -> None:
    active = False
    for each in follow(looks, is_fixed=is_fixed):
        active = (active or each.is_new) and not each.is_cleared
        assert (each.status == "Active") == active


@given(
    evidence=st.lists(st.floats(-50, 200), max_size=40),
    effects=st.lists(st.floats(CLEAR_FRACTION * THRESHOLD, 0.12), min_size=40, max_size=40),
    is_fixed=st.booleans(),
)
def test_effects_about_the_threshold_raise_one_alarm_at_most(
    evidence: list[float], effects: list[float], is_fixed: bool
) -> None:
    looks = list(zip(effects, evidence, strict=False))

    assert sum(each.is_new for each in follow(looks, is_fixed=is_fixed)) <= 1


@given(looks=LOOKS)
def test_an_effect_within_the_threshold_raises_no_alarm_whatever_the_evidence_is(
    looks: list[tuple[float, float]],
) -> None:
    found = follow([(min(effect, THRESHOLD), evidence) for effect, evidence in looks], is_fixed=False)

    assert not any(each.is_new for each in found)
