"""The gate `labelled`: the gain on logged rows of which the labels are known, champion and challenger on the same rows."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from flywheel_runtime.commands.gates.config import LabelledGate, LabelSource, parse_fraction, parse_seconds
from flywheel_runtime.commands.gates.leakage import leave_out_learned
from flywheel_runtime.commands.gates.traffic.model_answers import Answers, spread_scores
from flywheel_runtime.commands.gates.traffic.replay import Models, ReplayCounts, answer_rows, join_answers
from flywheel_runtime.commands.gates.traffic.service_logs import ServiceLogs
from flywheel_runtime.contract.errors import Undefined, Unmeasurable
from flywheel_runtime.contract.step import read_json_object
from flywheel_runtime.monitoring.labels.admission import admit_labels, label_policy
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.label_sample import LabelSample
from flywheel_runtime.monitoring.labels.sources import (
    DatasetLabels,
    OutputNames,
    read_dataset_labels,
    read_logged_rows,
    read_posted_labels,
)
from flywheel_runtime.monitoring.labels.window_rows import MAX_VALUE, find_class
from flywheel_runtime.statistics.intervals import Interval, bootstrap, difference_interval
from flywheel_runtime.statistics.metrics import (
    LESS_IS_BETTER,
    METRICS_OF_TASK,
    Array,
    ScoredRows,
    metric_function,
)

LABELS_PREFIX = "labels-"  # of the input with the labels of a monitor
DEFAULT_CONFIDENCE = "95%"
TRUTHS = "label", "probability", "undrawn"
NEED_SCORES = frozenset(("roc_auc", "average_precision", "log_loss", "brier"))
JOINED = 'JOIN truth_rows ON truth_rows.id = {id} AND truth_rows."row" = {row}'

Outcome = tuple[bool, str, Mapping[str, Any], bool]
"""Whether the gate passed, its message, the numbers, and whether it was measured."""


def labelled_gate(name: str, gate: LabelledGate, models: Models, logs: ServiceLogs) -> Outcome:
    """The gain of the version over the champion on the labelled rows of the window. Raises Unmeasurable."""
    source = logs.label_source(name)
    task = _check_metric(gate.metric, models)
    seconds = parse_seconds(gate.window)
    logs.check_rules([*models.challenger.inputs], only=source.service)
    log = logs.open(seconds, only=source.service)
    if not log.count():
        raise Unmeasurable(logs.describe_no_rows(gate.window))
    refused = _admit(logs, source, seconds, models.version.version)
    learned, about = leave_out_learned(logs.connection, logs.inputs / "data", logs.rules_of(source.service))
    answered = answer_rows(models, log, ReplayCounts(), models.columns(), joined=JOINED, further=TRUTHS)
    parts = [(each.champion, each.challenger, each.batch.further) for each in answered]
    where = f"rows of InferenceService '{source.service}' with labels of the last {gate.window} (ModelMonitor '{source.monitor}')"
    told = f" ({about})" if learned else ""
    if not parts:
        raise Unmeasurable(f"there are no {where}{_refusals(refused)}{told}; post labels, or lengthen window")
    truth, sample = _read_truths(models, task, [further for *_, further in parts])
    champion, challenger = map(join_answers, ([one for one, _, _ in parts], [other for _, other, _ in parts]))
    usable = np.isfinite(truth) & champion.is_finite & challenger.is_finite
    failed = int((np.isfinite(truth) & champion.is_finite & ~challenger.is_finite).sum())
    rows = int(usable.sum())
    if rows < gate.min_rows:
        finding = f"there are {rows:,} {where}{_refusals(refused)}{told}, and minRows is {gate.min_rows}"
        raise Unmeasurable(f"{finding}; lengthen window, or post more labels")
    own, other = (_scored(each, truth, usable, models, task) for each in (challenger, champion))
    gain = _gain(gate, own, other, None if sample.weights is None else sample.weights[usable])
    passed, message, numbers = _judge(gate, models, gain, f"{rows:,} {where}", failed)
    numbers |= {"rows": rows, "refusedLabels": dict(refused), "failedRows": failed, "learnedRows": learned}
    return passed, f"{message}{_refusals(refused)}; {about}", numbers, True


def _judge(
    gate: LabelledGate, models: Models, gain: tuple[Interval, float, float], rows: str, failed: int
) -> tuple[bool, str, dict[str, Any]]:
    """Whether the gain, or its lower end where a confidence is given, is enough; the message, and the numbers."""
    interval, own, other = gain
    least = interval.value if gate.confidence is None else interval.low
    message = (
        f"{gate.metric} {own:.4g} against {other:.4g} of champion '{models.version.version}' on {rows}: gain {interval.value:.4g}, "
        f"{gate.confidence or DEFAULT_CONFIDENCE} interval {interval.low:.4g} to {interval.high:.4g} ({interval.method}); "
        f"at least {gate.min_gain:g} is required"
    )
    if failed:
        message = f"the version gives no finite answer to {failed:,} labelled rows that the champion answers; {message}"
    numbers = {"metric": gate.metric, "own": own, "champion": other, "gain": interval.value}
    numbers |= {"low": interval.low, "high": interval.high, "method": interval.method}
    return least >= gate.min_gain and not failed, message, numbers


def _check_metric(metric: str, models: Models) -> str:
    """The task that the outputs tell. Raises Unmeasurable for a metric of another one, or one that needs scores where there are none."""
    task = "Regression" if models.predicts_values else "Classification"
    known = METRICS_OF_TASK[task]
    if metric not in known:
        raise Unmeasurable(f"{metric} is no metric of {task}; choose one of {', '.join(known)}")
    without = next(
        (each.name for each in (models.champion, models.challenger) if metric in NEED_SCORES and not each.classes), None
    )
    if without is not None:
        raise Unmeasurable(
            f"{metric} needs the probabilities of the classes, which {without} does not have; choose accuracy"
        )
    return task


def _admit(logs: ServiceLogs, source: LabelSource, seconds: int, version: str) -> Mapping[str, int]:
    """Creates the table `truth_rows` of the rows whose label counts; the numbers of rows whose labels do not, by the reason. Raises Unmeasurable."""
    connection, folder = logs.connection, logs.inputs / f"{LABELS_PREFIX}{source.monitor}"
    unreadable: list[str] = []
    read_logged_rows(
        connection, logs.files(source.service), OutputNames(), unreadable=lambda file, _: unreadable.append(file.name)
    )
    files = sorted(folder.rglob("*.parquet"))
    try:
        if source.key is not None and source.column is not None:
            read_dataset_labels(connection, DatasetLabels(files, source.key, source.column, source.probability))
        else:
            read_posted_labels(connection, files, lambda file, _: unreadable.append(file.name))
    except Undefined as error:
        raise Unmeasurable(f"the labels of ModelMonitor '{source.monitor}' cannot be read: {error}") from error
    evaluation = read_json_object(logs.inputs / "champion" / "evaluation.json")
    delay, namespace = Delay(0, source.max_delay_seconds), os.environ.get("FLYWHEEL_NAMESPACE", "")
    policy = label_policy(source, delay, namespace, source.service, [(version, evaluation)])
    admitted = admit_labels(connection, policy, [int(logs.start(seconds))], seconds)
    # A row whose id another one has too cannot be found again.
    connection.execute(
        'CREATE OR REPLACE TEMP TABLE truth_rows AS SELECT id, "row", any_value(key) AS key, any_value(label) AS label, any_value(probability) AS probability, '
        'any_value(undrawn) AS undrawn FROM admitted JOIN logged ON logged.rowid = admitted.number GROUP BY id, "row" HAVING count(*) = 1'
    )
    connection.execute("SET preserve_insertion_order = true")
    return admitted.refused


def _read_truths(models: Models, task: str, parts: list[Mapping[str, Any]]) -> tuple[Array, LabelSample]:
    """The true classes or values (rows,), not a number where a label is neither, and how the rows were drawn."""
    label, probability, undrawn = (_concatenate([part[name] for part in parts]) for name in TRUTHS)
    texts = [str(each) for each in label.tolist()]
    numbers = {text: _truth(text, models.codes.names if task == "Classification" else None) for text in set(texts)}
    truth = np.array([numbers[text] for text in texts], np.float64)
    return truth, LabelSample.from_columns(probability, np.ma.filled(undrawn, 0) > 0)


def _concatenate(parts: list[Any]) -> Any:
    """Arrays (rows,), some of which are masked, one after the other."""
    return np.ma.concatenate(parts)  # type: ignore[no-untyped-call]


def _truth(text: str, classes: list[str] | None) -> float:
    if classes is not None:
        found = find_class(text, classes)
        return float("nan") if found is None else float(found)
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if abs(value) <= MAX_VALUE else float("nan")


def _scored(answers: Answers, truth: Array, usable: Array, models: Models, task: str) -> ScoredRows:
    """The usable rows as metrics take them; without scores the decided class has all probability."""
    chosen = np.flatnonzero(usable)
    if task == "Regression":
        return ScoredRows(truth[chosen], answers.decided[chosen], np.empty((len(chosen), 0)))
    classes = len(models.codes.names)
    scores = spread_scores(answers, classes) if answers.scores.shape[1] else np.eye(classes)[answers.decided]
    return ScoredRows(truth[chosen].astype(np.int64), answers.decided[chosen], scores[chosen].astype(np.float64))


def _gain(
    gate: LabelledGate, own: ScoredRows, other: ScoredRows, weights: Array | None
) -> tuple[Interval, float, float]:
    """By how much the metric is better, with its paired interval, and the metric of both. Raises Unmeasurable."""
    confidence = parse_fraction(gate.confidence or DEFAULT_CONFIDENCE)
    of_own, of_other = metric_function(gate.metric, own), metric_function(gate.metric, other)
    given = np.ones(len(own)) if weights is None else weights
    value, other_value = (float(each(given[None])[0]) for each in (of_own, of_other))
    try:
        if weights is None:
            found = difference_interval(gate.metric, own, other, confidence)
        else:  # rows that were drawn to be labelled count for those that were not
            found = bootstrap(lambda drawn: of_own(drawn * given) - of_other(drawn * given), len(own), confidence)
    except Undefined as error:
        raise Unmeasurable(f"{gate.metric} has no interval on the {len(own):,} labelled rows: {error}") from error
    sign = -1.0 if gate.metric in LESS_IS_BETTER else 1.0
    low, high = sorted((sign * found.low, sign * found.high))
    return Interval(sign * found.value, low, high, found.method), value, other_value


def _refusals(refused: Mapping[str, int]) -> str:
    listed = ", ".join(f"{count:,} {reason}" for reason, count in sorted(refused.items()) if count)
    return f" (labels that do not count: {listed})" if listed else ""
