"""The gate `replay`: how many of the logged decisions flip, in which groups, and which rows differ most."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from flywheel_runtime.commands.gates.config import ReplayGate, parse_fraction, parse_seconds
from flywheel_runtime.commands.gates.traffic.flips import GroupShare, flips_by_group, share_interval
from flywheel_runtime.commands.gates.traffic.latency import LatencySample, measure_latency
from flywheel_runtime.commands.gates.traffic.model_answers import UNKNOWN, differ
from flywheel_runtime.commands.gates.traffic.replay import AnsweredBatch, Models, ReplayCounts, answer_rows
from flywheel_runtime.commands.gates.traffic.request_log import LoggedRow, RequestLog
from flywheel_runtime.commands.gates.traffic.service_logs import ServiceLogs
from flywheel_runtime.contract.errors import Unmeasurable
from flywheel_runtime.contract.step import null_non_finite
from flywheel_runtime.monitoring.labels.label_matching import MICROSECONDS
from flywheel_runtime.monitoring.labels.sources import MISSING_GROUP
from flywheel_runtime.statistics.intervals import Interval
from flywheel_runtime.statistics.metrics import Array

MAX_EXAMPLES = 20
MAX_FEATURES, MAX_TEXT_CHARACTERS = 100, 200  # of a row in the document
MAX_CHANGES = 20  # pairs of classes in the document
SPREAD_QUANTILES = (0.05, 0.95)

Outcome = tuple[bool, bool, str, Mapping[str, Any], Mapping[str, Any]]
"""Whether the gate passed, whether it was measured, its message, the numbers, and the document."""


class Example(NamedTuple):
    """A row that differs: whether it flips and by how much, which row it is, and what the document says of it."""

    key: tuple[bool, float]
    logged: LoggedRow
    described: Mapping[str, Any]


@dataclass
class Differences:
    """What differs, of all rows (rows,): `changed` decisions, by how much, and the champion's values where it predicts values."""

    changed: list[Array] = field(default_factory=list)
    amount: list[Array] = field(default_factory=list)
    requests: list[Array] = field(default_factory=list)
    groups: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    changes: Counter[tuple[int, int]] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    failed: int = 0

    def add(self, answered: AnsweredBatch, models: Models) -> None:
        """Add the rows of a batch."""
        champion, challenger = answered.champion, answered.challenger
        changed, amount = differ(champion, challenger, len(models.codes.names))
        self.changed.append(changed)
        self.amount.append(amount)
        self.requests.append(answered.batch.requests)
        if len(answered.batch.groups):
            self.groups.append(answered.batch.groups)
        if champion.is_classification:
            self._count_changes(champion.decided[changed], challenger.decided[changed])
        else:
            self.values.append(champion.decided)
        self.failed += int((champion.is_finite & ~challenger.is_finite).sum())
        self._add_examples(answered, models, changed, amount)

    def _count_changes(self, before: Array, after: Array) -> None:
        pairs, counts = np.unique(np.stack([before, after]), axis=1, return_counts=True)
        for (one, other), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            self.changes[one, other] += count

    def _add_examples(self, answered: AnsweredBatch, models: Models, changed: Array, amount: Array) -> None:
        """Keep the rows that differ most so far: those that flip, then by the amount."""
        keys = amount + changed * (np.where(np.isfinite(amount), amount, 0).max(initial=0) + 1)
        few = np.argpartition(-keys, min(MAX_EXAMPLES, len(keys) - 1))[:MAX_EXAMPLES]
        for row in few[amount[few] > 0].tolist():
            key = (bool(changed[row]), float(amount[row]))
            described = _describe_row(answered, models, row, key)
            self.examples.append(Example(key, answered.batch.identify(row), described))
        self.examples.sort(key=lambda each: each.key, reverse=True)
        del self.examples[MAX_EXAMPLES:]


def replay_gate(gate: ReplayGate, models: Models, logs: ServiceLogs) -> Outcome:
    """The share of decisions that flip among the logged rows of the window. Raises Unmeasurable."""
    needed = [*models.challenger.inputs, *([gate.by] if gate.by else [])]
    logs.check_rules(needed)
    log = logs.open(parse_seconds(gate.window))
    in_files = log.count_files_rows()
    rows = log.count() if in_files > gate.max_rows else in_files
    if not rows:
        raise Unmeasurable(logs.describe_no_rows(gate.window))
    _check_columns(needed, log.feature_names)
    share = min(1.0, gate.max_rows / rows)
    counts, found, sample = ReplayCounts(), Differences(), LatencySample()
    for answered in answer_rows(models, log, counts, models.columns(gate.by), share):
        found.add(answered, models)
        sample.add(answered.batch)
    if share == 1:
        rows = counts.drawn  # without what the files have beside the window
    if not rows:
        raise Unmeasurable(logs.describe_no_rows(gate.window))
    if not counts.rows:
        finding = f"none of the {rows:,} logged rows of the last {gate.window} can be answered by both versions"
        raise Unmeasurable(f"{finding}: {_left_out(counts)}")
    summary = _summarize(gate, found)
    passed, measured, verdict = _decide(gate, summary.interval)
    document = {
        **summary.numbers,
        "window": {"from": _stamp(logs.start(parse_seconds(gate.window))), "until": _stamp(logs.until)},
        "services": logs.describe(),
        "rowsInWindow": rows,
        "unreadableFiles": len(log.unreadable),
        "by": gate.by,
        **_describe_rows(models, counts, found, summary),
        "differences": _describe_examples(log, found.examples),
        "latency": _describe_latency(models, counts, sample),
    }
    message = f"{_message(gate, logs, summary, counts, found)}; {verdict}"
    return passed, measured, message, summary.numbers, null_non_finite(document)


@dataclass(frozen=True)
class Summary:
    """The share of flips with its interval, the numbers of the gate, and the groups."""

    interval: Interval
    numbers: Mapping[str, Any]
    groups: Sequence[GroupShare]


def _summarize(gate: ReplayGate, found: Differences) -> Summary:
    flips, tolerance = _find_flips(gate, found)
    distinct, requests = np.unique(np.concatenate(found.requests), return_inverse=True)
    confidence = parse_fraction(gate.confidence)
    interval = share_interval(flips, requests, confidence)
    groups: list[GroupShare] = []
    if found.groups:
        values = np.concatenate(found.groups)
        named = np.where(values == "", MISSING_GROUP, values) if values.dtype.kind == "O" else values
        groups = flips_by_group(flips, requests, named, confidence)
    numbers = {
        "rows": len(flips),
        "requests": len(distinct),
        "flips": int(flips.sum()),
        "share": interval.value,
        "low": interval.low,
        "high": interval.high,
        **tolerance,
    }
    return Summary(interval, numbers, groups)


def _describe_rows(models: Models, counts: ReplayCounts, found: Differences, summary: Summary) -> dict[str, Any]:
    """What became of the rows, and how they differ."""
    return {
        "answers": {"logged": counts.logged_answers, "byChampion": counts.recomputed_answers},
        "leftOut": dict(counts.left_out),
        "failedRows": found.failed,
        "groups": [each.to_json() for each in summary.groups],
        "changes": _describe_changes(found, models),
    }


def _describe_examples(log: RequestLog, examples: Sequence[Example]) -> list[dict[str, Any]]:
    ids = log.find_ids({each.logged for each in examples})
    return [{"id": ids.get(each.logged, "")[:MAX_TEXT_CHARACTERS], **each.described} for each in examples]


def _describe_latency(models: Models, counts: ReplayCounts, sample: LatencySample) -> dict[str, Any]:
    champion, challenger = measure_latency((models.champion, models.challenger), sample)
    speed = round(counts.rows / counts.seconds) if counts.seconds else None
    return {"champion": champion, "challenger": {**challenger, "rowsPerSecond": speed}}


def _find_flips(gate: ReplayGate, found: Differences) -> tuple[Array, dict[str, float]]:
    """Which rows (rows,) flip: another class, or a value that differs by more than the tolerance, a share of the spread of the champion's."""
    changed = np.concatenate(found.changed)
    if not found.values:
        return changed, {}
    values = np.concatenate(found.values)
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, SPREAD_QUANTILES) if len(finite) else (0.0, 0.0)
    largest = parse_fraction(gate.tolerance) * float(high - low)
    return changed | (np.concatenate(found.amount) > largest), {"tolerance": largest, "spread": float(high - low)}


def _decide(gate: ReplayGate, interval: Interval) -> tuple[bool, bool, str]:
    """Passed, measured, and the end of the message: the upper end must be within the limit; 0% allows no flip, whatever the interval."""
    limit = parse_fraction(gate.max_flips)
    allowed = f"at most {gate.max_flips} may"
    if interval.high <= limit or (limit == 0 and interval.value == 0):
        return True, True, allowed
    if interval.value > limit:
        return False, True, allowed
    advice = "lengthen window, or raise spec.logging.sample of the InferenceService"
    return False, False, f"{allowed}: too few rows to tell, since the interval reaches beyond it; {advice}"


def _message(gate: ReplayGate, logs: ServiceLogs, summary: Summary, counts: ReplayCounts, found: Differences) -> str:
    numbers, interval = summary.numbers, summary.interval
    beyond = f"values differ by more than {numbers.get('tolerance', 0):.4g} ({gate.tolerance} of the champion's spread)"
    text = (
        f"{interval.value:.2%} of {numbers['rows']:,} {beyond if found.values else 'decisions flip'} "
        f"({gate.confidence} interval {interval.low:.2%} to {interval.high:.2%}), of the last {gate.window} of {logs.names}"
    )
    worst = summary.groups[0] if summary.groups else None
    if worst is not None and worst.flips:
        name = f"'{worst.group[:60]}'" if logs.shows_values else "(named in the document)"
        text += f"; most of {gate.by} {name}: {worst.interval.value:.2%} of {worst.rows:,}"
    if found.failed:
        text += f"; {found.failed:,} rows have no finite answer of the version"
    return f"{text}; {_left_out(counts)}" if counts.left_out else text


def _left_out(counts: ReplayCounts) -> str:
    columns = ", ".join(f"'{name}' ({rows:,})" for name, rows in counts.left_out.most_common(5))
    return f"rows without a column that a version takes, as it was sent, are left out: {columns}"


def _check_columns(needed: Sequence[str], logged: set[str]) -> None:
    missing = [f"'{name}'" for name in needed if name not in logged]
    if missing:
        raise Unmeasurable(
            f"the logged rows of the window do not have the columns {', '.join(missing)[:300]}; the gate compares on the "
            "columns that callers send today: use a gate 'champion' for a version with others"
        )


def _describe_row(answered: AnsweredBatch, models: Models, row: int, key: tuple[bool, float]) -> dict[str, Any]:
    batch = answered.batch
    features = {name: _shorten(each[row]) for name, each in list(batch.features.items())[:MAX_FEATURES]}
    return {
        "row": int(batch.rows[row]),
        "time": _stamp(float(batch.times[row]) / MICROSECONDS),
        "flips": key[0],
        "difference": key[1],
        "features": features,
        "champion": {
            **models.champion.describe(answered.champion, row),
            "source": "Logged" if batch.is_champion[row] else "Computed",
        },
        "challenger": models.challenger.describe(answered.challenger, row),
    }


def _shorten(value: Any) -> Any:
    """A value as JSON, of at most 200 characters."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(plain, str):
        return plain[:MAX_TEXT_CHARACTERS]
    return str(plain)[:MAX_TEXT_CHARACTERS] if isinstance(plain, list) else plain


def _describe_changes(found: Differences, models: Models) -> list[dict[str, Any]]:
    """From which class to which one the decisions flip, the most frequent first."""

    def name(code: int) -> str | None:
        return None if code == UNKNOWN else models.codes.names[code]

    return [
        {"from": name(before), "to": name(after), "rows": rows}
        for (before, after), rows in found.changes.most_common(MAX_CHANGES)
    ]


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
