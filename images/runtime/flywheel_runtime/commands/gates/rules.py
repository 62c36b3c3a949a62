"""One result for each gate: passed or not, and the numbers in a sentence."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.gates.config import (
    CalibrationGate,
    ChampionGate,
    DataGate,
    FairnessGate,
    Gate,
    SliceGate,
)
from flywheel_runtime.contract.errors import Failure, Undefined, Unmeasurable
from flywheel_runtime.models.test_set import TestSet
from flywheel_runtime.statistics.calibration import expected_calibration_error
from flywheel_runtime.statistics.groups import GroupValues, largest_difference, metric_by_group, positive_rates
from flywheel_runtime.statistics.intervals import Interval, difference_interval
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER, METRICS_OF_TASK, ScoredRows, metric_value

MAX_GROUPS = 20  # in gates.json


@dataclass(frozen=True)
class GateResult:
    """The result of one gate; `numbers` are for gates.json."""

    name: str
    passed: bool
    message: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The challenger and the champion on the same rows; a model that cannot be scored says why. `champion` is None where there is none."""

    test: TestSet
    challenger: ScoredRows | Unmeasurable
    champion: ScoredRows | Unmeasurable | None
    champion_name: str

    @property
    def scored(self) -> ScoredRows:
        """The challenger's rows. Raises Unmeasurable."""
        if isinstance(self.challenger, Unmeasurable):
            raise self.challenger
        return self.challenger

    @property
    def scored_champion(self) -> ScoredRows:
        """The champion's rows. Raises Unmeasurable."""
        if isinstance(self.champion, ScoredRows):
            return self.champion
        message = f"champion '{self.champion_name}' cannot be scored on the challenger's rows: {self.champion}"
        raise Unmeasurable(message)


Outcome = tuple[bool, str, Mapping[str, Any]]


def evaluate_gate(gate: Gate, comparison: Comparison) -> GateResult:
    """The result of one gate, which has one of the conditions of GATES."""
    kind, condition = next((kind, found) for kind in GATES if (found := getattr(gate, kind)) is not None)
    try:
        return GateResult(gate.name, *GATES[kind](condition, comparison))
    except (Unmeasurable, Failure) as error:
        return unmeasurable(gate, error)


def unmeasurable(gate: Gate, reason: Exception) -> GateResult:
    """A gate that cannot be measured has not passed."""
    return GateResult(gate.name, False, f"cannot be measured: {reason}", {})


def objective_metrics(metric: str, comparison: Comparison) -> dict[str, float]:
    """The Model's objective on these rows: `<metric>`, and `champion_<metric>` where there is a champion; none where it is undefined."""
    if metric not in METRICS_OF_TASK[comparison.test.task]:
        return {}
    models = {metric: comparison.challenger, f"champion_{metric}": comparison.champion}
    values = {name: metric_value(metric, each) for name, each in models.items() if isinstance(each, ScoredRows)}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def champion_gate(gate: ChampionGate, comparison: Comparison) -> Outcome:
    """Better than the champion on the same rows by at least minGain, at the lower end of the interval where one is requested."""
    if comparison.champion is None:
        return True, "there is no champion to compare the first version with", {}
    metric, min_gain = gate.metric, gate.min_gain
    challenger, champion = comparison.scored, comparison.scored_champion
    _check_metric(metric, comparison.test)
    rows = f"{len(challenger):,} test rows"
    own, other = metric_value(metric, challenger), metric_value(metric, champion)
    if not np.isfinite(own) or not np.isfinite(other):
        raise Unmeasurable(f"{metric} has no value on the {rows}")
    sign = -1.0 if metric in LESS_IS_BETTER else 1.0
    gain = least = sign * (own - other)
    numbers: dict[str, Any] = {"metric": metric, "own": own, "champion": other, "gain": gain}
    message = (
        f"{metric} {own:.4g} against {other:.4g} of champion '{comparison.champion_name}' on {rows}: gain {gain:.4g}"
    )
    if gate.confidence is not None:
        interval = _difference_interval(metric, challenger, champion, _fraction(gate.confidence))
        low, high = sorted((sign * interval.low, sign * interval.high))
        least = low
        numbers |= {"low": low, "high": high, "method": interval.method}
        message += f", {gate.confidence} interval {low:.4g} to {high:.4g} ({interval.method})"
    passed = least >= min_gain and (gain > 0 or min_gain < 0)
    return passed, f"{message}; at least {min_gain:g} is required", numbers


def slice_gate(gate: SliceGate, comparison: Comparison) -> Outcome:
    """The worst group of a column within its bound, of which there is one: min or max."""
    metric, by = gate.metric, gate.by
    _check_metric(metric, comparison.test)
    found = metric_by_group(metric, comparison.scored, comparison.test.column(by), gate.min_rows)
    if not found.values:
        raise Unmeasurable(f"no {by} has {gate.min_rows} test rows on which {metric} has a value; lower minRows")
    is_minimum = gate.min is not None
    worst = (min if is_minimum else max)(found.values, key=lambda name: found.values[name])
    value = found.values[worst]
    message = (
        f"worst {by} is '{worst[:60]}': {metric} {value:.4g} on {found.rows[worst]:,} rows, "
        f"{f'at least {gate.min:g}' if is_minimum else f'at most {gate.max:g}'} is required{_omitted(found, by)}"
    )
    passed = (gate.min is None or value >= gate.min) and (gate.max is None or value <= gate.max)
    return passed, message, {"worst": worst, "groups": _worst_groups(found, reverse=not is_minimum)}


def fairness_gate(gate: FairnessGate, comparison: Comparison) -> Outcome:
    """The greatest difference between groups of a column."""
    by, parity, classes = gate.by, gate.measure, comparison.test.classes
    if not classes:
        raise Unmeasurable("a model of values has no positive class; fairness gates are for classification")
    positive = gate.positive or (classes[-1] if len(classes) == 2 else "")
    if positive not in classes:
        raise Unmeasurable(f"positive must be one of the classes {', '.join(classes)[:200]}")
    groups = comparison.test.column(by)
    found = positive_rates(parity, comparison.scored, classes.index(positive), groups, gate.min_rows)
    if len(found.values) < 2:
        raise Unmeasurable(f"fewer than two groups of {by} have {gate.min_rows} test rows; lower minRows")
    gap = largest_difference(found.values)
    low, high = (choose(found.values, key=lambda name: found.values[name]) for choose in (min, max))
    message = (
        f"{parity} of '{positive}' by {by}: {found.values[high]:.1%} of '{high[:40]}' and {found.values[low]:.1%} of "
        f"'{low[:40]}' are apart by {gap:.1%}, at most {gate.max_gap} is allowed{_omitted(found, by)}"
    )
    return gap <= _fraction(gate.max_gap), message, {"gap": gap, "groups": _worst_groups(found, reverse=False)}


def calibration_gate(gate: CalibrationGate, comparison: Comparison) -> Outcome:
    """The expected calibration error."""
    if not comparison.test.classes:
        raise Unmeasurable("a model of values gives no probabilities; calibration gates are for classification")
    error, rows = expected_calibration_error(comparison.scored), len(comparison.test)
    message = f"expected calibration error {error:.2%} on {rows:,} test rows, at most {gate.max_error} is allowed"
    return error <= _fraction(gate.max_error), message, {"error": error}


def data_gate(gate: DataGate, comparison: Comparison) -> Outcome:
    """The Dataset's check of the version that trained the challenger found no anomaly."""
    path: Path = comparison.test.data.folder / "report.json"
    if not path.is_file():
        raise Unmeasurable("the data that trained it has no report.json")
    found = [each for each in json.loads(path.read_bytes()).get("anomalies") or () if each["kind"] not in gate.ignore]
    if not found:
        return True, "the check of its data found no anomaly", {}
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    kinds = sorted({str(each["kind"]) for each in found})
    return False, f"the check of its data found {first['kind']}: {str(first['message'])[:200]}{more}", {"kinds": kinds}


GATES: dict[str, Callable[[Any, Comparison], Outcome]] = {
    "champion": champion_gate,
    "slice": slice_gate,
    "fairness": fairness_gate,
    "calibration": calibration_gate,
    "data": data_gate,
}


def _difference_interval(metric: str, first: ScoredRows, second: ScoredRows, confidence: float) -> Interval:
    try:
        return difference_interval(metric, first, second, confidence)
    except Undefined as error:
        raise Unmeasurable(f"{metric} has no interval on the {len(first):,} test rows: {error}") from error


def _check_metric(metric: str, test: TestSet) -> None:
    known = METRICS_OF_TASK[test.task]
    if metric not in known:
        raise Unmeasurable(f"{metric} is no metric of {test.task}; choose one of {', '.join(known)}")


def _fraction(percent: str) -> float:
    return float(percent.rstrip("%")) / 100


def _omitted(found: GroupValues, by: str) -> str:
    return f" ({found.omitted:,} values of {by} have too few rows)" if found.omitted else ""


def _worst_groups(found: GroupValues, *, reverse: bool) -> list[dict[str, Any]]:
    names = sorted(found.values, key=lambda name: found.values[name], reverse=reverse)[:MAX_GROUPS]
    return [{"group": name, "value": found.values[name], "rows": found.rows[name]} for name in names]
