"""Findings of a ModelMonitor as causes of runs.

A change of the world is often found more than once: by several monitors of one service, in several columns, and in each window anew. A
run that started after the change began was trained on data with it. So a finding is handled by each run that a monitor's trigger of this
pipeline started after the finding began, for the same signal and version, and a finding of a version that is no longer served by nothing.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.kinds.modelmonitor.schema.problems import summarize_finding
from flywheel.kinds.trainingpipeline.observe import Seen
from flywheel.kinds.trainingpipeline.schema.triggers import FindingKind, OnFinding, Trigger, TriggerStatus
from flywheel.kinds.trainingpipeline.triggers.causes import Cause, Obstacle

SIGNALS: dict[FindingKind, str] = {
    "Performance": "performance",
    "EstimatedPerformance": "estimatedPerformance",
    "PredictionDrift": "predictionDrift",
    "DataHealth": "dataQuality",
}
MIN_REFUSED_SHARE = 0.01  # of the labelled rows
# The field of a monitor without which the signal is not tested; the others are always tested unless they are disabled.
REQUIRED_FIELDS = {"Performance": "performance", "EstimatedPerformance": "estimatedPerformance"}


def find_finding(
    trigger: Trigger, wanted: OnFinding, status: TriggerStatus, every: Iterable[TriggerStatus], seen: Seen
) -> Cause | None:
    """The finding for which a run should start, with what keeps it from that. None where nothing is found that is not handled.

    `every`: the statuses of all triggers of the pipeline.
    """
    name = str(trigger.name)
    monitor = seen.watched.get(name)
    problem = _monitor_problem(wanted, monitor)
    if monitor is None or problem is not None:
        return Cause("", f"a finding {wanted.when} of ModelMonitor '{wanted.name}'", obstacle=problem)
    found = [(_key(monitor, each), each) for each in _findings(monitor, SIGNALS[wanted.when])]
    if not found and (refused := _refused_labels(wanted, monitor)) is not None:
        return Cause("", f"a finding {wanted.when} of ModelMonitor '{wanted.name}'", obstacle=refused)
    handled = tuple(key for key, _ in found if key in status.handled)
    causes = [
        Cause(
            key,
            f"ModelMonitor '{wanted.name}' has found: {summarize_finding(each)}",
            obstacle=_obstacle(wanted, each, every, seen.answering.get(name), seen),
            facts=_facts(wanted, each),
            handled=handled,
        )
        for key, each in found
        if key not in handled
    ]
    return min(causes, key=lambda cause: (cause.obstacle is not None, cause.facts["since"], cause.key), default=None)


def _monitor_problem(wanted: OnFinding, monitor: Manifest | None) -> Obstacle | None:
    if monitor is None:
        message = f"ModelMonitor '{wanted.name}' does not exist, so nothing is found; create it, or correct monitor.name of the trigger."
        return Obstacle("MonitorNotFound", message)
    required, spec = REQUIRED_FIELDS.get(wanted.when), monitor["spec"]
    if required is not None and not spec.get(required):
        message = f"ModelMonitor '{wanted.name}' has no spec.{required}, so it never finds {wanted.when}; set it there, or correct monitor.when of the trigger."
        return Obstacle("SignalNotTested", message)
    if wanted.when == "PredictionDrift" and (spec.get("predictionDrift") or {}).get("disabled"):
        message = f"ModelMonitor '{wanted.name}' has spec.predictionDrift.disabled, so it never finds PredictionDrift; remove it, or correct monitor.when of the trigger."
        return Obstacle("SignalNotTested", message)
    return None


def _refused_labels(wanted: OnFinding, monitor: Manifest) -> Obstacle | None:
    """Says that labels do not count which might have been a finding; a few that differ are as usual."""
    refused = (monitor.get("status") or {}).get("refusedLabels") or {}
    rows = sum(each["rows"] for each in refused.get("reasons") or ())
    if wanted.when != "Performance" or rows < MIN_REFUSED_SHARE * (rows + refused.get("admitted", 0)) or not rows:
        return None
    reasons = ", ".join(f"{each['rows']:,} {each['reason']}" for each in refused["reasons"])
    sources = ", ".join(f"'{each['source']}'" for each in refused.get("sources") or ())
    named = f", most of them of {sources}" if sources else ""
    message = f"ModelMonitor '{wanted.name}' finds no drop; labels of rows do not count for it ({reasons}{named}), so no run starts for what they say. See its spec.groundTruth.guards."
    return Obstacle("LabelsRefused", message[:1_000])


def _findings(monitor: Manifest, signal: str) -> Iterator[Manifest]:
    """Those of the signal that say since when, without which nobody can tell whether a run came after it."""
    for found in (monitor.get("status") or {}).get("findings") or ():
        if found.get("signal") == signal and found.get("since"):
            yield found


def _key(monitor: Manifest, found: Manifest) -> str:
    """The finding's key: a monitor of the same name that was created anew finds anew."""
    digest = names.digest([monitor["metadata"]["uid"], str(found["name"])])[:16]
    return f"{found['signal']}@{found['since']} {digest}"


def _facts(wanted: OnFinding, found: Manifest) -> dict[str, str]:
    facts: dict[str, Any] = {
        "monitor": str(wanted.name),
        "finding": found["signal"],
        "version": found.get("version"),
        "since": found["since"],
    }
    return {name: str(value) for name, value in facts.items() if value}


def _obstacle(
    wanted: OnFinding, found: Manifest, every: Iterable[TriggerStatus], answering: frozenset[str] | None, seen: Seen
) -> Obstacle | None:
    version, since = found.get("version"), datetime.fromisoformat(found["since"])
    run = _run_after(since, str(found["signal"]), version, every, seen)
    if run is not None:
        message = f"TrainingRun '{run}' was started for the same finding of version '{version}' after it began, so its data have the change."
        return Obstacle("SameCause", message)
    if answering is not None and version is not None and version not in answering:
        message = f"Version '{version}' answers no requests any more, so no run starts for what ModelMonitor '{wanted.name}' found of it."
        return Obstacle("VersionNotServed", message)
    return None


def _run_after(
    since: datetime, finding: str, version: str | None, every: Iterable[TriggerStatus], seen: Seen
) -> str | None:
    """A run that a trigger started for this sort of finding of this version, at or after that time; its TrainingRun may be deleted."""
    runs = [(run.created, run.name, run.finding, run.version) for run in seen.runs]
    runs += [
        (each.fired.at, str(each.fired.run), each.fired.finding, each.fired.version) for each in every if each.fired
    ]
    return next(
        (name for at, name, *about in runs if at >= since and tuple(about) == (finding, version)),
        None,
    )
