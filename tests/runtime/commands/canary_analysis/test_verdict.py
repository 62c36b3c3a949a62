"""Which numbers pass, which are a breach and how soon, and which tell nothing."""

from typing import Any

import pytest

from flywheel_runtime.commands.canary_analysis import verdict
from flywheel_runtime.commands.canary_analysis.verdict import StepCriteria
from tests.runtime.commands.canary_analysis.metrics_page import CHALLENGER, Page, grown

LIMITS = {"maxErrorRate": 0.01, "maxP99Ratio": 1.5, "maxDisagreement": 0.02, "minRequests": 100.0}
QUICK, SLOW = 0.004, 0.09
Counted = dict[str, Any]


def judged(progress: float = 1.0, mode: str = "Canary", **counted: Any) -> verdict.Verdict | None:
    """At the end of the step the verdict, before it a breach or nothing."""
    champion, challenger = Page(), Page(CHALLENGER)
    none = dict.fromkeys(("Answered", "Failed", "Late", "Invalid"), 0)
    start, empty = Page(), Page(CHALLENGER)
    for page in (start, champion):
        page.forwards(**{**none, **counted.get("before", {})})
    start.compares(Agreed=0, Disagreed=0, Failed=0, Late=0, Dropped=0)
    champion.forwards(**counted.get("forwarded", {}))
    champion.compares(**counted.get("compared", {}))
    champion.breaker.set(counted.get("breaker", 0))
    champion.answers(counted.get("champion", 0), QUICK)
    for count, seconds in counted.get("challenger", ()):
        challenger.answers(count, seconds)
    criteria = StepCriteria(mode, 5, CHALLENGER, LIMITS, progress)
    asked = verdict.final_verdict if progress >= 1.0 else verdict.find_breach
    return asked(criteria, grown(start, champion), grown(empty, challenger))


GOOD: Counted = {"forwarded": {"Answered": 1000}, "champion": 1000, "challenger": [(1000, QUICK)]}


@pytest.mark.parametrize(
    ("counted", "said", "words"),
    [
        pytest.param(GOOD, "Pass", "had 0 % errors in 1,000 requests at 5 %, and a p99 latency 1 times", id="all answered as quickly"),
        pytest.param({**GOOD, "forwarded": {"Answered": 990, "Failed": 10}}, "Pass", "had 1 % errors", id="as many errors as are allowed"),
        pytest.param({**GOOD, "forwarded": {"Answered": 989, "Failed": 5, "Late": 3, "Invalid": 3}}, "Breach", "had 1.1 % errors (limit 1 %; 5 failed, 3 late, 3 invalid) in 1,000 requests at 5 %", id="more, of every sort"),
        pytest.param({"forwarded": {"Failed": 2}, "champion": 1000, "breaker": 1}, "Breach", "had 100 % errors (limit 1 %; 2 failed; it failed so often in a row that it was asked no more)", id="all, until the breaker stopped asking"),
        pytest.param({"forwarded": {"Failed": 5}, "champion": 1000}, "Breach", "had 100 % errors", id="too many for as few as are asked for"),
        pytest.param({"forwarded": {"Answered": 10, "Failed": 2}, "champion": 1000}, "CannotMeasure", "got 12 requests", id="a stumble in too few requests"),
        pytest.param({"before": {"Failed": 5}, "champion": 1000, "breaker": 1}, "Breach", "had 100 % errors (limit 1 %; 5 failed; it failed so often in a row that it was asked no more) in 5 requests", id="all, before the first look"),
        pytest.param({**GOOD, "breaker": 1}, "CannotMeasure", "at the end failed so often in a row that it is asked no more for now", id="good for long, and then a row of failures"),
        pytest.param({**GOOD, "challenger": [(980, QUICK), (20, SLOW)]}, "Breach", "times the champion's", id="a slow tail"),
        pytest.param({**GOOD, "challenger": [(995, QUICK), (5, SLOW)]}, "Pass", "p99 latency 1 times", id="a tail beyond the 99th percentile"),
        pytest.param({**GOOD, "forwarded": {"Answered": 99}}, "CannotMeasure", "got 99 requests at 5 %, and analysis.minRequests is 100", id="too few requests"),
        pytest.param({**GOOD, "forwarded": {}}, "CannotMeasure", "got 0 requests", id="none"),
        pytest.param({**GOOD, "challenger": []}, "CannotMeasure", "latency of the challenger is not known", id="the challenger gives no metrics"),
        pytest.param({**GOOD, "champion": 0}, "CannotMeasure", "latency of the champion is not known", id="the champion gives none"),
        pytest.param({**GOOD, "champion": 50}, "CannotMeasure", "the champion answered only 50 requests itself", id="nothing to compare latencies with"),
    ],
)  # fmt: skip
def test_at_the_end_of_a_canary_step(counted: Counted, said: str, words: str) -> None:
    found = judged(**counted)

    assert found is not None
    assert (found.classification, words in found.message) == (said, True), found.message


@pytest.mark.parametrize(
    ("counted", "over"),
    [
        pytest.param({**GOOD, "forwarded": {"Answered": 89, "Failed": 11}}, True, id="more than the whole step may have"),
        pytest.param({**GOOD, "forwarded": {"Answered": 98, "Failed": 2}}, False, id="what the rest may make up for"),
        pytest.param({**GOOD, "breaker": 1}, False, id="a breaker that may close again"),
        pytest.param({**GOOD, "forwarded": {"Failed": 4}}, False, id="the first four alone"),
        pytest.param({**GOOD, "forwarded": {"Failed": 2}, "breaker": 1}, True, id="the first ones that are asked after many"),
        pytest.param({**GOOD, "forwarded": {"Failed": 5}}, True, id="five of five, where at this pace there will be fifty"),
        pytest.param({**GOOD, "challenger": [(0, QUICK), (100, SLOW)]}, True, id="all so slow that the tail is certain"),
        pytest.param({**GOOD, "challenger": [(98, QUICK), (2, SLOW)]}, False, id="a tail that may thin out"),
        pytest.param({**GOOD, "champion": 20, "challenger": [(0, QUICK), (100, SLOW)]}, False, id="slow, but compared with what?"),
        pytest.param(GOOD, False, id="nothing bad"),
    ],
)  # fmt: skip
def test_a_tenth_into_the_step_only_a_certain_breach_ends_it(counted: Counted, over: bool) -> None:
    assert (judged(0.1, **counted) is not None) is over


@pytest.mark.parametrize(
    ("compared", "said", "words"),
    [
        pytest.param({"Agreed": 1000}, "Pass", "disagreed in 0 % of 1,000 requests", id="all agree"),
        pytest.param({"Agreed": 980, "Disagreed": 20}, "Pass", "disagreed in 2 %", id="as many differ as may"),
        pytest.param({"Agreed": 970, "Disagreed": 30}, "Breach", "disagreed in 3 % (limit 2 %) of 1,000 requests", id="more"),
        pytest.param({"Agreed": 970, "Failed": 20, "Late": 10}, "Breach", "disagreed in 3 % (limit 2 %; 30 got no answer)", id="no answer is no agreement"),
        pytest.param({"Agreed": 50, "Dropped": 5000}, "CannotMeasure", "was compared in 50 requests, and minRequests is 100", id="what was dropped says nothing"),
    ],
)  # fmt: skip
def test_at_the_end_of_a_shadow(compared: dict[str, int], said: str, words: str) -> None:
    found = judged(mode="Shadow", compared=compared)

    assert found is not None
    assert (found.classification, words in found.message) == (said, True), found.message


def test_every_number_is_finite_and_the_facts_have_room() -> None:
    import json
    import math

    for counted in (GOOD, {}, {"forwarded": {"Failed": 5}}, {**GOOD, "challenger": [(100, 50.0)]}):
        found = judged(**counted)
        assert found is not None
        assert all(math.isfinite(value) for value in found.numbers.values())
        assert len(json.dumps({"message": found.message, "numbers": dict(found.numbers)})) < 1500
