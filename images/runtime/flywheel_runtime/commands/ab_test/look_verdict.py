"""Whether the outcomes decide a test, and why, in one sentence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flywheel_runtime.commands.ab_test.arm_comparison import (
    Comparison,
    compare_arms,
    log_evidence_of_split,
)
from flywheel_runtime.commands.ab_test.config import ABTestConfig
from flywheel_runtime.commands.ab_test.units import LABEL, ArmCounts, TestOutcomes
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER

MIN_MATURE_UNITS = 20  # of an arm, from which on it is told that none has a label
SPLIT_ALPHA = 0.001  # the chance of holding a test for a split that is as it should be
NATS_PER_DECADE = math.log(10)


@dataclass(frozen=True)
class Verdict:
    """`Better` or `NotBetter` decide; `Undecided` and `CannotMeasure` go on, and are `Inconclusive` at the last look.

    `message` goes on after the challenger's name.
    """

    classification: str
    message: str
    numbers: Mapping[str, float]


def decide(config: ABTestConfig, found: TestOutcomes, bounds: tuple[float, float]) -> Verdict:
    """The verdict of one look. `bounds` are those of an outcome, in the unit of the metric."""
    width = bounds[1] - bounds[0]
    least_effect = min(config.min_effect / width, 1.0)
    comparison = compare_arms(found.outcomes, found.is_challenger, config.share, least_effect, config.alpha)
    numbers = _numbers(config, found, comparison, bounds)
    problem = _split_problem(config, found) or _label_problem(found) or _label_rate_problem(config, found)
    needed = -math.log(config.alpha)
    if problem:
        classification, message = "CannotMeasure", problem
    elif not (found.champion.labelled and found.challenger.labelled):
        classification, message = "Undecided", "has no unit with a label in either arm to compare yet"
    elif comparison.log_not_better >= needed:  # also where it is better, but by less than the least effect
        classification, message = "NotBetter", _not_better(config, comparison, numbers)
    elif comparison.log_better >= needed:
        classification, message = "Better", f"is better: {_effect(config, numbers)}"
    else:
        classification = "Undecided"
        message = (
            f"is neither better nor not better by {config.min_effect:g} for certain yet: {_effect(config, numbers)}"
        )
    message = f"{message}{_left_out(found)}"
    if config.final and classification in ("Undecided", "CannotMeasure"):
        return Verdict(
            "Inconclusive", f"was tested for the whole of maxDuration without a decision: it {message}", numbers
        )
    return Verdict(classification, message, numbers)


def _split_problem(config: ABTestConfig, found: TestOutcomes) -> str:
    units = found.champion.units + found.challenger.units
    if log_evidence_of_split(found.challenger.units, units, config.share) < -math.log(SPLIT_ALPHA):
        return ""
    share = found.challenger.units / units
    return (
        f"cannot be judged: it has {100 * share:.3g} % of the {units:,} units in the log, and {100 * config.share:g} % are assigned to it; "
        "find what loses rows of one arm, such as clients that send no second request or a log that drops rows"
    )


def _label_problem(found: TestOutcomes) -> str:
    """What keeps the test from ever ending, once there are enough units to see it."""
    arms = {"champion": found.champion, "challenger": found.challenger}
    if not found.champion.units + found.challenger.units:
        if found.unassigned:
            return (
                f"cannot be judged: none of {found.unassigned:,} rows names a unit; send the header of spec.rollout.abTest.sticky, "
                "or the key of spec.logging.key, with each request"
            )
        return (
            "cannot be judged: the log has no request of this test; if there is traffic, see flywheel_route_invalid of the servers, "
            "which those of an earlier release set, and restart them"
        )
    silent = [name for name, arm in arms.items() if arm.mature >= MIN_MATURE_UNITS and not arm.labelled]
    if not silent:
        return ""
    whose = "either arm" if len(silent) == 2 else f"the {silent[0]}'s arm"
    refused = sum(found.refused.values()) + found.invalid + found.drawn
    step = (
        "see why labels are left out" if refused else "post them to the service with the id of the response, or the key"
    )
    return f"cannot be judged: no label has come for any unit of {whose} in time; {step}"


def _label_rate_problem(config: ABTestConfig, found: TestOutcomes) -> str:
    """Units without a label are left out, which is fair only while as many of each arm are."""
    champion, challenger = found.champion, found.challenger
    labelled = champion.labelled + challenger.labelled
    if log_evidence_of_split(challenger.labelled, labelled, config.share) < -math.log(SPLIT_ALPHA):
        return ""
    rates = [100 * each.labelled / max(1, each.mature) for each in (challenger, champion)]
    return (
        f"cannot be judged: labels have come for {rates[0]:.3g} % of its units and for {rates[1]:.3g} % of the champion's, which is no chance, "
        "so that the means of the rest say little; post a label for each request, whatever the answer was, such as 0 where nothing came of it"
    )


def _not_better(config: ABTestConfig, comparison: Comparison, numbers: Mapping[str, float]) -> str:
    if comparison.high < 0:
        return f"is worse: {_effect(config, numbers)}"
    if comparison.low > 0:
        return f"is better by less than {config.min_effect:g}: {_effect(config, numbers)}"
    return f"is not better by {config.min_effect:g}: {_effect(config, numbers)}"


def _effect(config: ABTestConfig, numbers: Mapping[str, float]) -> str:
    name = "mean label" if config.metric == LABEL else config.metric
    confidence = 100 * (1 - config.alpha)
    return (
        f"{name} {numbers['challenger']:.4g} against {numbers['champion']:.4g}, a gain of {numbers['effect']:.3g} "
        f"(at least {numbers['effectLow']:.3g} and at most {numbers['effectHigh']:.3g}, each with {confidence:g} % confidence at all looks) "
        f"in {numbers['challengerUnits']:,.0f} and {numbers['championUnits']:,.0f} units"
    )


def _left_out(found: TestOutcomes) -> str:
    """What was not compared, or not as it came, as the end of the message."""
    challenger = found.challenger
    labels = {
        "labels of drawn rows": found.drawn,
        "labels that are no outcome": found.invalid,
        **{f"rows with labels refused ({reason})": count for reason, count in sorted(found.refused.items())},
        "rows without a unit": found.unassigned,
    }
    said = [f"{count:,} {what}" for what, count in labels.items() if count]
    notes = [f"left out are {', '.join(said)}"] if said else []
    if found.clipped:
        notes.append(f"{found.clipped:,} outcomes beyond the range count as its bound")
    if challenger.answered_otherwise:
        notes.append(
            f"the champion answered {challenger.answered_otherwise:,} of {challenger.rows:,} rows of the challenger's arm"
        )
    return "".join(f"; {note}" for note in notes)


def _numbers(
    config: ABTestConfig, found: TestOutcomes, comparison: Comparison, bounds: tuple[float, float]
) -> dict[str, float]:
    width = bounds[1] - bounds[0]
    arms = {"champion": found.outcomes[~found.is_challenger], "challenger": found.outcomes[found.is_challenger]}
    means = {name: _metric_value(config, float(each.mean()), bounds) for name, each in arms.items() if len(each)}
    return {
        "looks": config.look,
        **means,
        "effect": comparison.effect * width,
        "effectLow": comparison.low * width,
        "effectHigh": comparison.high * width,
        "log10Better": comparison.log_better / NATS_PER_DECADE,
        "log10NotBetter": comparison.log_not_better / NATS_PER_DECADE,
        **_unit_counts("champion", found.champion),
        **_unit_counts("challenger", found.challenger),
        "alpha": config.alpha,
        "minEffect": config.min_effect,
    }


def _unit_counts(name: str, arm: ArmCounts) -> dict[str, float]:
    return {f"{name}Units": arm.labelled, f"{name}Mature": arm.mature, f"{name}Assigned": arm.units}


def _metric_value(config: ABTestConfig, outcome: float, bounds: tuple[float, float]) -> float:
    """The mean in the unit of the metric, whose losses fall as the outcome rises. Of accuracy the outcome is the share that is right."""
    share = 1 - outcome if config.metric in LESS_IS_BETTER else outcome
    return bounds[0] + share * (bounds[1] - bounds[0])
