"""One finding for each gate: passed or not, and the numbers in a sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.gates.scored import TestRows
from flywheel_runtime.contract.errors import Undefined, Unmeasurable
from flywheel_runtime.statistics import calibration, groups, intervals, metrics
from flywheel_runtime.statistics.metric_names import CLASSIFICATION, LESS_IS_BETTER, REGRESSION
from flywheel_runtime.statistics.metrics import Answers

WORST_SHOWN = 20  # groups in gates.json


@dataclass(frozen=True)
class Finding:
    """What became of one gate; `numbers` are for gates.json."""

    name: str
    passed: bool
    message: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Contest:
    """Both models on the same rows. What could not be scored says why. `champion`: None where nobody is to be beaten."""

    rows: TestRows
    data: Path
    own: Answers | Unmeasurable
    champion: Answers | Unmeasurable | None
    champion_name: str
    seed: int

    @classmethod
    def seed_of(cls, own: str, champion: str) -> int:
        """The same artifacts draw the same resamples."""
        return int.from_bytes(hashlib.sha256(f"{own} {champion}".encode()).digest()[:8], "big")


Found = tuple[bool, str, Mapping[str, Any]]


def judged(gate: Mapping[str, Any], contest: Contest) -> Finding:
    """The finding about one gate, which has `name` and one of the words below."""
    kind = next(word for word in GATES if word in gate)
    try:
        return Finding(str(gate["name"]), *GATES[kind](gate[kind], contest))
    except Unmeasurable as error:
        return Finding(str(gate["name"]), False, f"cannot be measured: {error}", {})


def objective(metric: str, contest: Contest) -> dict[str, float]:
    """The Model's objective on these rows: `<metric>`, and `champion_<metric>` where there is a champion; {} where it cannot be measured."""
    found: dict[str, float] = {}
    if metric not in _known(contest.rows):
        return found
    for name, answers in ((metric, contest.own), (f"champion_{metric}", contest.champion)):
        if isinstance(answers, Answers):
            found[name] = metrics.value(metric, contest.rows.truth, answers)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def champion(gate: Mapping[str, Any], contest: Contest) -> Found:
    """Better than the champion on the same rows by at least minGain, at the lower end of the interval where one is asked for."""
    if contest.champion is None:
        return True, "the first version has nobody to beat", {}
    metric, wanted = str(gate["metric"]), float(gate.get("minGain") or 0)
    mine, theirs, truth = _own(contest), _champion(contest), contest.rows.truth
    _check(metric, contest.rows)
    values = [metrics.value(metric, truth, answers) for answers in (mine, theirs)]
    if not all(map(np.isfinite, values)):
        raise Unmeasurable(f"{metric} has no value on the {len(truth):,} test rows")
    sign = -1.0 if metric in LESS_IS_BETTER else 1.0
    gain = sign * (values[0] - values[1])
    numbers: dict[str, Any] = {"metric": metric, "own": values[0], "champion": values[1], "gain": gain}
    words = f"{metric} {values[0]:.4g} against {values[1]:.4g} of champion '{contest.champion_name}' on {len(truth):,} test rows: gain {gain:.4g}"
    least = gain
    if gate.get("confidence"):
        interval = _interval(metric, mine, theirs, contest, float(str(gate["confidence"]).rstrip("%")) / 100)
        low, high = sorted((sign * interval.low, sign * interval.high))
        least = low
        numbers |= {"low": low, "high": high, "method": interval.method}
        words += f", {gate['confidence']} interval {low:.4g} to {high:.4g} ({interval.method})"
    passed = least >= wanted and (gain > 0 or wanted < 0)
    return passed, f"{words}; at least {wanted:g} is wanted", numbers


def slice_(gate: Mapping[str, Any], contest: Contest) -> Found:
    """The worst group of a column within its bound, of which there is one: min or max."""
    metric, by, least_rows = str(gate["metric"]), str(gate["by"]), int(gate["minRows"])
    _check(metric, contest.rows)
    found = groups.slices(metric, contest.rows.truth, _own(contest), contest.rows.column(by), least_rows)
    if not found.values:
        raise Unmeasurable(f"no {by} has {least_rows} test rows on which {metric} has a value; lower minRows")
    is_least = gate.get("min") is not None
    limit = float(gate["min"] if is_least else gate["max"])
    worst = (min if is_least else max)(found.values, key=lambda name: found.values[name])
    value = found.values[worst]
    words = (
        f"worst {by} is '{worst[:60]}': {metric} {value:.4g} on {found.rows[worst]:,} rows, "
        f"{'at least' if is_least else 'at most'} {limit:g} is wanted{_left_out(found, by)}"
    )
    passed = value >= limit if is_least else value <= limit
    return passed, words, {"worst": worst, "groups": _worst(found, reverse=not is_least)}


def fairness(gate: Mapping[str, Any], contest: Contest) -> Found:
    """The gap between groups of a column."""
    rows, by, parity = contest.rows, str(gate["by"]), gate["measure"]
    if not rows.classes:
        raise Unmeasurable("a model of values has no positive class; fairness gates are for classification")
    positive = str(gate.get("positive") or (rows.classes[-1] if len(rows.classes) == 2 else ""))
    if positive not in rows.classes:
        raise Unmeasurable(f"positive must be one of the classes {', '.join(rows.classes)[:200]}")
    found = groups.positive_rates(
        parity, rows.truth, _own(contest).label, rows.classes.index(positive), rows.column(by), int(gate["minRows"])
    )
    if len(found.values) < 2:
        raise Unmeasurable(f"fewer than two groups of {by} have {gate['minRows']} test rows; lower minRows")
    gap, most = groups.gap(found.values), float(str(gate["maxGap"]).rstrip("%")) / 100
    low, high = (choose(found.values, key=lambda name: found.values[name]) for choose in (min, max))
    words = (
        f"{parity} of '{positive}' by {by}: {found.values[high]:.1%} of '{high[:40]}' and {found.values[low]:.1%} of "
        f"'{low[:40]}' are apart by {gap:.1%}, at most {gate['maxGap']} is allowed{_left_out(found, by)}"
    )
    return gap <= most, words, {"gap": gap, "groups": _worst(found, reverse=False)}


def calibrated(gate: Mapping[str, Any], contest: Contest) -> Found:
    """The expected calibration error."""
    if not contest.rows.classes:
        raise Unmeasurable("a model of values gives no probabilities; calibration gates are for classification")
    found = calibration.expected_calibration_error(contest.rows.truth, _own(contest).probabilities)
    most = float(str(gate["maxError"]).rstrip("%")) / 100
    words = f"expected calibration error {found:.2%} on {len(contest.rows.truth):,} test rows, at most {gate['maxError']} is allowed"
    return found <= most, words, {"error": found}


def data(gate: Mapping[str, Any], contest: Contest) -> Found:
    """The Dataset's check of the version that trained the challenger found nothing odd."""
    path = contest.data / "report.json"
    if not path.is_file():
        raise Unmeasurable("the data that trained it has no report.json")
    ignored = set(gate.get("ignore") or ())
    found = [each for each in json.loads(path.read_bytes()).get("anomalies") or () if each["kind"] not in ignored]
    if not found:
        return True, "the check of its data found no anomaly", {}
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    kinds = sorted({str(each["kind"]) for each in found})
    return False, f"the check of its data found {first['kind']}: {str(first['message'])[:200]}{more}", {"kinds": kinds}


GATES: dict[str, Callable[[Mapping[str, Any], Contest], Found]] = {
    "champion": champion,
    "slice": slice_,
    "fairness": fairness,
    "calibration": calibrated,
    "data": data,
}


def _interval(metric: str, mine: Answers, theirs: Answers, contest: Contest, confidence: float) -> intervals.Interval:
    truth = contest.rows.truth
    try:
        if metric == "roc_auc" and mine.probabilities.shape[1] == 2:
            return intervals.delong(truth, mine.probabilities[:, 1], theirs.probabilities[:, 1], confidence)
        own, other = (metrics.measure(metric, truth, answers) for answers in (mine, theirs))
        return intervals.bootstrap(lambda weights: own(weights) - other(weights), len(truth), contest.seed, confidence)
    except Undefined as error:
        raise Unmeasurable(f"{metric} has no interval on the {len(truth):,} test rows: {error}") from error


def _own(contest: Contest) -> Answers:
    if isinstance(contest.own, Unmeasurable):
        raise contest.own
    return contest.own


def _champion(contest: Contest) -> Answers:
    if isinstance(contest.champion, Answers):
        return contest.champion
    raise Unmeasurable(
        f"champion '{contest.champion_name}' cannot be scored on the challenger's rows: {contest.champion}"
    )


def _known(rows: TestRows) -> tuple[str, ...]:
    return CLASSIFICATION if rows.classes else REGRESSION


def _check(metric: str, rows: TestRows) -> None:
    if metric not in _known(rows):
        raise Unmeasurable(f"{metric} is no metric of {rows.task}; choose one of {', '.join(_known(rows))}")


def _left_out(found: groups.Grouped, by: str) -> str:
    return f" ({found.left_out:,} values of {by} have too few rows)" if found.left_out else ""


def _worst(found: groups.Grouped, *, reverse: bool) -> list[dict[str, Any]]:
    names = sorted(found.values, key=lambda name: found.values[name], reverse=reverse)[:WORST_SHOWN]
    return [{"group": name, "value": found.values[name], "rows": found.rows[name]} for name in names]
