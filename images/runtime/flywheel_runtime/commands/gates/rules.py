"""One result for each gate: passed or not, and the numbers in a sentence."""

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.gates.comparison import Comparison
from flywheel_runtime.commands.gates.config import (
    BaselineGate,
    CalibrationGate,
    ChampionGate,
    DataGate,
    FairnessGate,
    Gate,
    SliceGate,
)
from flywheel_runtime.contract.errors import Failure, FlywheelError, Undefined, Unmeasurable, describe_fault
from flywheel_runtime.models.test_set import TestSet
from flywheel_runtime.statistics.calibration import expected_calibration_error
from flywheel_runtime.statistics.dummy import fit_dummy
from flywheel_runtime.statistics.groups import GroupValues, largest_difference, metric_by_group, positive_rates
from flywheel_runtime.statistics.intervals import Interval, difference_interval
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER, METRICS_OF_TASK, ScoredRows, metric_value

MAX_GROUPS = 20  # in gates.json
ANSWERS_GATE = "answers"


@dataclass(frozen=True)
class GateResult:
    """The result of one gate; `numbers` are for gates.json. What was not `measured` says why in `message`."""

    name: str
    passed: bool
    message: str
    numbers: Mapping[str, Any]
    measured: bool = True


Outcome = tuple[bool, str, Mapping[str, Any]]


def evaluate_gate(gate: Gate, comparison: Comparison) -> GateResult:
    """The result of one gate, which has one of the conditions of GATES. What goes wrong with it is no reason to measure no other."""
    kind, condition = next((kind, found) for kind in GATES if (found := getattr(gate, kind)) is not None)
    try:
        return GateResult(gate.name, *GATES[kind](condition, comparison))
    except FlywheelError as error:
        return unmeasurable(gate, error)
    except Exception as error:  # noqa: BLE001 the other gates are measured, and this one says what happened
        traceback.print_exc()
        return unmeasurable(gate, Unmeasurable(f"a fault of the gate ({describe_fault(error)}); its log has more"))


def unmeasurable(gate: Gate, reason: Exception) -> GateResult:
    """A gate that cannot be measured has not passed, unless it is optional."""
    return GateResult(gate.name, gate.optional, f"cannot be measured: {reason}", {}, measured=False)


def evaluate_without_rows(gate: Gate, data: Path, reason: Failure) -> GateResult:
    """The result of one gate where there are no test rows for `reason`: only that of the data needs none."""
    if gate.data is None:
        return unmeasurable(gate, reason)
    try:
        return GateResult(gate.name, *check_data(gate.data, data))
    except Unmeasurable as error:
        return unmeasurable(gate, error)


def answers_result(comparison: Comparison) -> GateResult | None:
    """A failed result where the challenger gives no finite answer to more rows than the champion, else None."""
    failed, of_champion = comparison.failed_rows()
    if failed <= of_champion:
        return None
    beside = f", and champion '{comparison.champion_name}' to {of_champion:,}" if comparison.has_champion else ""
    message = f"the version gives no finite answer to {failed:,} of {len(comparison.test):,} test rows{beside}; the other gates are measured on the rest"
    return GateResult(ANSWERS_GATE, False, message, {"failedRows": failed, "championFailedRows": of_champion})


def objective_metrics(metric: str, comparison: Comparison) -> dict[str, float]:
    """The Model's objective on these rows: `<metric>`, and `champion_<metric>` where there is a champion; none where it is undefined."""
    if metric not in METRICS_OF_TASK[comparison.test.task]:
        return {}
    try:
        if isinstance(comparison.all_champion, ScoredRows):
            scored = dict(zip((metric, f"champion_{metric}"), comparison.both, strict=True))
        else:
            scored = {metric: comparison.challenger}
    except Unmeasurable:
        return {}
    values = {name: metric_value(metric, each) for name, each in scored.items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def baseline_gate(gate: BaselineGate, comparison: Comparison) -> Outcome:
    """Better than a constant prediction on the same rows, at the lower end of the interval: more than 0, and at least minGain."""
    metric, scored, test = gate.metric or comparison.default_metric, comparison.challenger, comparison.test
    _check_metric(metric, test)
    dummy = fit_dummy(metric, test.data.read("train").y, len(test.classes))
    constant = dummy.score(scored.y_true)
    own, other, gain = _measure_gain(metric, scored, constant)
    rows = f"{len(scored):,} test rows"
    interval = _gain_interval(metric, scored, constant, gate.confidence)
    low, high = interval.low, interval.high
    passed = low > 0 and low >= gate.min_gain
    finding = (
        ""
        if passed
        else "the model is no better than a constant: "
        if low <= 0
        else "the model is hardly better than a constant: "
    )
    required = f"at least {gate.min_gain:g}" if gate.min_gain else "more than 0"
    message = (
        f"{finding}{metric} {own:.4g} against {other:.4g} of the {dummy.strategy} of the train rows, on {rows}: gain {gain:.4g}, "
        f"{gate.confidence} interval {low:.4g} to {high:.4g} ({interval.method}); {required} is required"
    )
    numbers = {
        "metric": metric,
        "own": own,
        "constant": other,
        "gain": gain,
        "low": low,
        "high": high,
        "method": interval.method,
    }
    return passed, message, numbers


def champion_gate(gate: ChampionGate, comparison: Comparison) -> Outcome:
    """Better than the champion on the same rows by at least minGain, at the lower end of the interval where one is requested."""
    if not comparison.has_champion:
        return True, "there is no champion to compare the first version with", {}
    metric, min_gain = gate.metric, gate.min_gain
    challenger, champion = comparison.both
    _check_metric(metric, comparison.test)
    own, other, gain = _measure_gain(metric, challenger, champion)
    rows, least = f"{len(challenger):,} test rows{_own_preparations(comparison)}", gain
    numbers: dict[str, Any] = {"metric": metric, "own": own, "champion": other, "gain": gain}
    message = (
        f"{metric} {own:.4g} against {other:.4g} of champion '{comparison.champion_name}' on {rows}: gain {gain:.4g}"
    )
    if gate.confidence is not None:
        interval = _gain_interval(metric, challenger, champion, gate.confidence)
        least, low, high = interval.low, interval.low, interval.high
        numbers |= {"low": low, "high": high, "method": interval.method}
        message += f", {gate.confidence} interval {low:.4g} to {high:.4g} ({interval.method})"
    passed = least >= min_gain and (gain > 0 or min_gain < 0)
    return passed, f"{message}; at least {min_gain:g} is required", numbers


def slice_gate(gate: SliceGate, comparison: Comparison) -> Outcome:
    """The worst group of a column within its bound, of which there is one: min or max."""
    metric, by = gate.metric, gate.by
    _check_metric(metric, comparison.test)
    found = metric_by_group(metric, comparison.challenger, comparison.column(by), gate.min_rows)
    if not found.values:
        raise Unmeasurable(f"no {by} has {gate.min_rows} test rows on which {metric} has a value; lower minRows")
    is_minimum = gate.min is not None
    worst = (min if is_minimum else max)(found.values, key=lambda name: found.values[name])
    value = found.values[worst]
    name = f"is '{worst[:60]}'" if comparison.test.shows_values else "(named in gates.json)"
    message = (
        f"worst {by} {name}: {metric} {value:.4g} on {found.rows[worst]:,} rows, "
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
    groups = comparison.column(by)
    found = positive_rates(parity, comparison.challenger, classes.index(positive), groups, gate.min_rows)
    if len(found.values) < 2:
        raise Unmeasurable(f"fewer than two groups of {by} have {gate.min_rows} test rows; lower minRows")
    gap = largest_difference(found.values)
    low, high = (choose(found.values, key=lambda name: found.values[name]) for choose in (min, max))
    shows = comparison.test.shows_values
    highest, lowest = (f"'{high[:40]}'", f"'{low[:40]}'") if shows else ("the highest group", "the lowest")
    message = (
        f"{parity} of '{positive}' by {by}: {found.values[high]:.1%} of {highest} and {found.values[low]:.1%} of {lowest}"
        f"{'' if shows else ' (named in gates.json)'} are apart by {gap:.1%}, at most {gate.max_gap} is allowed{_omitted(found, by)}"
    )
    numbers = {"gap": gap, "highest": high, "lowest": low, "groups": _worst_groups(found, reverse=False)}
    return gap <= _fraction(gate.max_gap), message, numbers


def calibration_gate(gate: CalibrationGate, comparison: Comparison) -> Outcome:
    """The expected calibration error."""
    if not comparison.test.classes:
        raise Unmeasurable("a model of values gives no probabilities; calibration gates are for classification")
    scored = comparison.challenger
    error = expected_calibration_error(scored)
    message = (
        f"expected calibration error {error:.2%} on {len(scored):,} test rows, at most {gate.max_error} is allowed"
    )
    return error <= _fraction(gate.max_error), message, {"error": error}


def data_gate(gate: DataGate, comparison: Comparison) -> Outcome:
    """The Dataset's check of the version that trained the challenger found no anomaly."""
    return check_data(gate, comparison.test.data.folder)


def check_data(gate: DataGate, folder: Path) -> Outcome:
    """The check of the data in `folder` found no anomaly but those to ignore. Raises Unmeasurable."""
    path = folder / "report.json"
    if not path.is_file():
        raise Unmeasurable("the data that trained it has no report.json")
    found = [each for each in json.loads(path.read_bytes()).get("anomalies") or () if each["kind"] not in gate.ignored]
    if not found:
        return True, "the check of its data found no anomaly", {}
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    kinds = sorted({str(each["kind"]) for each in found})
    return False, f"the check of its data found {_describe_anomaly(found[0], folder)}{more}", {"kinds": kinds}


def _describe_anomaly(anomaly: Mapping[str, Any], folder: Path) -> str:
    """The finding for a status; its message in report.json may quote values."""
    schema = folder / "schema.json"
    if schema.is_file() and json.loads(schema.read_bytes()).get("showValues") is True:
        return f"{anomaly['kind']}: {str(anomaly['message'])[:200]}"
    column = f" in column '{anomaly['column']}'" if anomaly.get("column") else ""
    return f"{anomaly['kind']}{column}, see report.json of the data"


GATES: dict[str, Callable[[Any, Comparison], Outcome]] = {
    "champion": champion_gate,
    "baseline": baseline_gate,
    "slice": slice_gate,
    "fairness": fairness_gate,
    "calibration": calibration_gate,
    "data": data_gate,
}


def _own_preparations(comparison: Comparison) -> str:
    """What is said of rows that each model was given as its own training prepared them, or should have been."""
    if comparison.fallback is not None:
        return f" as the version's training prepared them (champion '{comparison.champion_name}' has another preparation, which cannot be used: {comparison.fallback[:200]})"
    if comparison.matched is None:
        return ""
    dropped = f" ({comparison.left_out:,} that only one preparation keeps are left out)" if comparison.left_out else ""
    return f", each prepared as for its own training{dropped}"


def _measure_gain(metric: str, first: ScoredRows, second: ScoredRows) -> tuple[float, float, float]:
    """The metric of both on the same rows, and by how much the first is better."""
    own, other = metric_value(metric, first), metric_value(metric, second)
    if not np.isfinite(own) or not np.isfinite(other):
        raise Unmeasurable(f"{metric} has no value on the {len(first):,} test rows")
    return own, other, _sign(metric) * (own - other)


def _gain_interval(metric: str, first: ScoredRows, second: ScoredRows, confidence: str) -> Interval:
    """The interval of the gain; its lower end is the worse one whether more or less is better."""
    try:
        found = difference_interval(metric, first, second, _fraction(confidence))
    except Undefined as error:
        raise Unmeasurable(f"{metric} has no interval on the {len(first):,} test rows: {error}") from error
    sign = _sign(metric)
    low, high = sorted((sign * found.low, sign * found.high))
    return Interval(sign * found.value, low, high, found.method)


def _sign(metric: str) -> float:
    return -1.0 if metric in LESS_IS_BETTER else 1.0


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
