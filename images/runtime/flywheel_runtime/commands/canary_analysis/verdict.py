"""From counts to a verdict. A breach is reported as soon as the rest of the step cannot make up for it, whatever comes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flywheel_runtime.commands.canary_analysis.request_counts import Counts, quantile, slower

ROUTED = "flywheel_route_forwarded_total"
LATENCY = "model_infer_duration_seconds"
P99_TAIL_FRACTION = 0.01  # the share of requests beyond the 99th percentile
FAILED = ("Failed", "Late", "Invalid")
MIN_BAD_REQUESTS = 5  # so many are no accident: fewer bad answers end no step early, and fail no challenger in fewer requests than were asked for


@dataclass(frozen=True)
class Verdict:
    """`Pass`, `Breach` or `CannotMeasure`; `message` goes on after the challenger's name."""

    classification: str
    message: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StepCriteria:
    """The limits of the step, and how far it is (0 to 1)."""

    mode: str
    percent: float
    challenger: str
    limits: Mapping[str, Any]
    progress: float = 1.0

    @property
    def min_requests(self) -> int:
        return int(self.limits["minRequests"])

    def projected_requests(self, count: float) -> float:
        """How many there will be at the end, if they go on coming as they do; at least as many as are asked for."""
        return max(self.min_requests, count / max(self.progress, 1e-9))

    def is_too_many(self, bad: float, count: float, limit: float) -> bool:
        """Whether so many of so many are a breach that no later answer can make up for."""
        enough = self.progress >= 1.0 and count >= self.min_requests
        return bad > limit * self.projected_requests(count) and (enough or bad >= MIN_BAD_REQUESTS)


def find_breach(criteria: StepCriteria, champion: Counts, challenger: Counts) -> Verdict | None:
    """What the rest of the step cannot make up for; at the end of the step, any limit that is broken."""
    if criteria.mode == "Shadow":
        return _disagrees(criteria, champion)
    return _errs(criteria, champion) or _is_slow(criteria, champion, challenger)


def final_verdict(criteria: StepCriteria, champion: Counts, challenger: Counts) -> Verdict:
    """The verdict at the end of the step."""
    found = find_breach(criteria, champion, challenger)
    if found is not None:
        return found
    if criteria.mode == "Shadow":
        return _compared_enough(criteria, champion)
    return _answered_enough(criteria, champion, challenger)


def _errs(criteria: StepCriteria, champion: Counts) -> Verdict | None:
    outcomes = {name: _forwarded(criteria, champion, name) for name in ("Answered", *FAILED)}
    forwarded, failed = sum(outcomes.values()), sum(outcomes[name] for name in FAILED)
    limit, given_up = float(criteria.limits["maxErrorRate"]), _is_given_up(champion)
    starved = given_up and criteria.progress >= 1.0 and forwarded < criteria.min_requests
    if starved and not failed:  # what it failed, it failed before the first look
        outcomes = {name: champion.total(ROUTED, challenger=criteria.challenger, outcome=name) for name in outcomes}
        forwarded, failed = sum(outcomes.values()), sum(outcomes[name] for name in FAILED)
    certain = criteria.is_too_many(failed, forwarded, limit)
    if not failed or not (certain or starved or (given_up and failed > limit * criteria.projected_requests(forwarded))):
        return None
    details = ", ".join(f"{outcomes[name]:.0f} {name.lower()}" for name in FAILED if outcomes[name])
    details = f"{details}; it failed so often in a row that it was asked no more" if given_up else details
    message = f"had {_percent(failed / forwarded)} errors (limit {_percent(limit)}; {details}) in {_requests(forwarded)} at {criteria.percent:g} %"
    return Verdict("Breach", message, {**_counted(forwarded, failed), "errorRateLimit": limit})


def _is_given_up(champion: Counts) -> bool:
    """Whether a server of the champion asks no more after repeated failures, so that there will never be many requests."""
    return max(champion.latest("flywheel_route_breaker_open"), default=0.0) > 0


def _is_slow(criteria: StepCriteria, champion: Counts, challenger: Counts) -> Verdict | None:
    numbers = _latencies(champion, challenger)
    ours, theirs = champion.buckets(LATENCY), challenger.buckets(LATENCY)
    if "championP99Ms" not in numbers or "challengerP99Ms" not in numbers or _total(ours) < criteria.min_requests:
        return None
    limit = float(criteria.limits["maxP99Ratio"])
    at_most = limit * numbers["championP99Ms"] / 1000
    is_over = criteria.progress >= 1.0 and _total(theirs) >= criteria.min_requests
    early = criteria.is_too_many(slower(at_most, theirs), _total(theirs), P99_TAIL_FRACTION)
    if not (numbers["p99Ratio"] > limit if is_over else early):
        return None
    message = (
        f"had a p99 latency of {_ms(numbers['challengerP99Ms'])}, {numbers['p99Ratio']:.3g} times the champion's "
        f"{_ms(numbers['championP99Ms'])} (limit {limit:g} times), in {_requests(_total(theirs))} at {criteria.percent:g} %"
    )
    return Verdict("Breach", message, {**numbers, "requests": _total(theirs), "p99RatioLimit": limit})


def _disagrees(criteria: StepCriteria, champion: Counts) -> Verdict | None:
    agreed, differed, silent = _comparisons(criteria, champion)
    compared, against = agreed + differed + silent, differed + silent
    limit = float(criteria.limits["maxDisagreement"])
    if not criteria.is_too_many(against, compared, limit):
        return None
    details = f"; {silent:.0f} got no answer" if silent else ""
    message = f"disagreed in {_percent(against / compared)} (limit {_percent(limit)}{details}) of {_requests(compared)} that it got copies of"
    return Verdict("Breach", message, {**_shadowed(champion, compared, against), "disagreementLimit": limit})


def _answered_enough(criteria: StepCriteria, champion: Counts, challenger: Counts) -> Verdict:
    failed = sum(_forwarded(criteria, champion, name) for name in FAILED)
    forwarded = failed + _forwarded(criteria, champion, "Answered")
    numbers = {**_counted(forwarded, failed), **_latencies(champion, challenger)}
    if forwarded < criteria.min_requests:
        message = f"got {_requests(forwarded)} at {criteria.percent:g} %, and analysis.minRequests is {criteria.min_requests:,}; send more, lengthen the step or lower it"
        return Verdict("CannotMeasure", message, numbers)
    if _is_given_up(champion):
        message = f"had {_percent(numbers['errorRate'])} errors in {_requests(forwarded)}, and at the end failed so often in a row that it is asked no more for now"
        return Verdict("CannotMeasure", message, numbers)
    if "p99Ratio" not in numbers:
        side = "challenger" if "championP99Ms" in numbers else "champion"
        message = f"answered, but the latency of the {side} is not known, since no pod of its gave metrics"
        return Verdict("CannotMeasure", message, numbers)
    if _total(champion.buckets(LATENCY)) < criteria.min_requests:
        message = f"answered, but the champion answered only {_requests(_total(champion.buckets(LATENCY)))} itself, too few to compare latencies (analysis.minRequests is {criteria.min_requests:,})"
        return Verdict("CannotMeasure", message, numbers)
    message = (
        f"had {_percent(numbers['errorRate'])} errors in {_requests(forwarded)} at {criteria.percent:g} %, "
        f"and a p99 latency {numbers['p99Ratio']:.3g} times the champion's"
    )
    return Verdict("Pass", message, numbers)


def _compared_enough(criteria: StepCriteria, champion: Counts) -> Verdict:
    agreed, differed, silent = _comparisons(criteria, champion)
    compared, against = agreed + differed + silent, differed + silent
    numbers = _shadowed(champion, compared, against)
    if compared < criteria.min_requests:
        message = f"was compared in {_requests(compared)}, and minRequests is {criteria.min_requests:,}; send more, lengthen the shadow or lower it"
        return Verdict("CannotMeasure", message, numbers)
    return Verdict("Pass", f"disagreed in {_percent(against / compared)} of {_requests(compared)}", numbers)


def _forwarded(criteria: StepCriteria, champion: Counts, outcome: str) -> float:
    return champion.increase(ROUTED, challenger=criteria.challenger, outcome=outcome)


def _comparisons(criteria: StepCriteria, champion: Counts) -> tuple[float, float, float]:
    """Agreed, disagreed, and not answered. What was dropped says nothing: it is our own queue that was full."""

    def grown(outcome: str) -> float:
        return champion.increase("flywheel_shadow_compared_total", challenger=criteria.challenger, outcome=outcome)

    return grown("Agreed"), grown("Disagreed"), grown("Failed") + grown("Late")


def _counted(forwarded: float, failed: float) -> dict[str, float]:
    rate = {"errorRate": failed / forwarded} if forwarded else {}
    return {"requests": forwarded, "errors": failed, **rate}


def _shadowed(champion: Counts, compared: float, against: float) -> dict[str, float]:
    rate = {"disagreement": against / compared} if compared else {}
    largest = max(champion.latest("flywheel_shadow_difference"), default=0.0)
    return {"requests": compared, "disagreed": against, "largestDifference": largest, **rate}


def _latencies(champion: Counts, challenger: Counts) -> dict[str, float]:
    """Each side's own pods measure it, so that the extra hop is not held against the challenger."""
    found = {
        name: value * 1000
        for name, counts in (("championP99Ms", champion), ("challengerP99Ms", challenger))
        if (value := quantile(0.99, counts.buckets(LATENCY))) is not None
    }
    if len(found) == 2 and found["championP99Ms"] > 0:
        found["p99Ratio"] = found["challengerP99Ms"] / found["championP99Ms"]
    return found


def _total(buckets: list[tuple[float, float]]) -> float:
    return buckets[-1][1] if buckets else 0.0


def _requests(count: float) -> str:
    return f"{count:,.0f} request{'' if round(count) == 1 else 's'}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"


def _ms(value: float) -> str:
    return f"{value:.3g} ms"
