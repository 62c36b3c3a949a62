"""The demo's monitor: April as traffic of the champion, one run over it, and a table of what was found."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from demo import april
from e2e import kube
from e2e.cluster.progress import announce
from e2e.waiting import wait_until

NAME = "flight-delay"  # of the service and its monitor
SIGNALS = ("DataHealthy", "NoDrift", "Performing")
WEEK_DAYS = 7
RUN_SECONDS = 180


def replay_april(namespace: str) -> None:
    """Write April's flights into the log of the service, unless the monitor has tested them."""
    if _status(namespace).get("report"):
        announce("April was replayed by an earlier run of the demo")
        return
    service = (kube.get("fwsvc", NAME, namespace) or {})["status"]
    version = april.ServedVersion(service["version"], service["digest"])
    rows = april.replay_flights(namespace, NAME, version, datetime.now(UTC))
    announce(
        f"replayed {rows:,} flights of April with their delays as traffic of {version.name}, a day in {april.WINDOW}"
    )


def wait_for_report(namespace: str) -> None:
    """Request a run of the monitor, unless there was one, and wait until it has reported."""
    if not _status(namespace).get("report"):
        kube.kubectl("annotate", "fwmon", NAME, "-n", namespace, "--overwrite", "flywheel.ml/run-requested=april")
    wait_until(
        lambda: _status(namespace).get("report"), RUN_SECONDS, lambda: f"no report of the monitor: {_status(namespace)}"
    )


def show_findings(namespace: str) -> None:
    """Print what the monitor found in April."""
    status = _status(namespace)
    report = april.read_report(namespace, status["report"]["digest"])
    print("\n".join(describe_findings(status, report)) + "\n")


def describe_findings(status: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """The conditions, the findings by the days for which they hold, and the labelled metric of each week."""
    first = datetime.fromtimestamp(report["trend"][0]["time"], UTC)
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    found = ", ".join(f"{name} {conditions[name]}" for name in SIGNALS)
    lines = [f"ModelMonitor {NAME}: April's flights as traffic, a day in each window: {found}"]
    return [*lines, *_describe_open(report["findings"], first), *_describe_closed(report["closed"], first), *_describe_weeks(report["performance"], first)]  # fmt: skip


def _describe_open(findings: list[dict[str, Any]], first: datetime) -> Iterator[str]:
    """One line for all columns with the same finding since the same day, with the largest effect."""
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for each in findings:
        groups.setdefault((_day(each["since"], first), each["signal"], each["measure"]), []).append(each)
    for (since, signal, measure), listed in sorted(groups.items()):
        size = max(each["effect"] for each in listed)
        subjects = ", ".join(each["subject"] for each in listed)
        yield f"  since April {since:<3} {signal:<15} {measure} {size:.2f}: {subjects}"


def _describe_closed(findings: list[dict[str, Any]], first: datetime) -> Iterator[str]:
    """Findings that no longer hold."""
    for each in sorted(findings, key=lambda each: str(each["since"])):
        days = f"April {_day(each['since'], first)} to {_day(each['until'], first) - 1}"
        yield f"  {days:<18} {each['signal']:<15} {each['measure']}: {each['subject']}"


def _describe_weeks(performance: dict[str, Any], first: datetime) -> Iterator[str]:
    """The labelled metric of each week. It is a mean over rows, so that the days' add up."""
    weeks: dict[int, list[dict[str, Any]]] = {}
    for each in performance["windows"]:
        if "value" not in each:
            continue  # too few flights to define the metric
        weeks.setdefault((_day(each["start"], first) - 1) // WEEK_DAYS, []).append(each)
    for week, listed in sorted(weeks.items()):
        rows = [each["labels"]["labelled"] for each in listed]
        value = sum(each["value"] * count for each, count in zip(listed, rows, strict=True)) / sum(rows)
        days = f"April {week * WEEK_DAYS + 1} to {min((week + 1) * WEEK_DAYS, april.DAYS)}"
        test = listed[0]["test"]
        yield f"  {days:<18} {performance['metric']} {value:.3f} of {sum(rows):,} labelled flights, {test:.3f} on the test rows"


def _day(time: str, first: datetime) -> int:
    return april.day_of(datetime.fromisoformat(time), first)


def _status(namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = (kube.get("fwmon", NAME, namespace) or {}).get("status") or {}
    return found
