"""The page report.html, made from report.json: one file without scripts and without requests, whose tables say all that its charts show.

Names and values come from requests, so every text is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from flywheel_runtime.monitoring.report.charts import Charts
from flywheel_runtime.monitoring.report.fairness_page import render_fairness
from flywheel_runtime.monitoring.report.html import Html, Number, format_number, render_section, render_table
from flywheel_runtime.monitoring.report.labelled_page import render_labelled_rows
from flywheel_runtime.monitoring.report.sentences import ANOMALIES, format_share
from flywheel_runtime.monitoring.report.service_section import render_service

MAX_CHARTS = 12  # columns with a chart; the table has all
TREND_LINES = 4
SIGNAL_NAMES = {
    "dataQuality": "Data quality",
    "drift": "Drift",
    "estimatedPerformance": "Estimated performance",
    "performance": "Performance",
    "fairness": "Fairness",
    "service": "Service",
}
LABEL_COUNTS = {
    "duplicates": "duplicates",
    "conflicts": "rows with different labels",
    "invalid": "rows with no class or number, or no probability of a draw",
    "ambiguous": "rows with the id of another",
    "unanswered": "rows without an output",
    "tooLate": "too late",
    "redrawn": "rows drawn again",
    "capped": "rows whose weight was cut",
    "outliers": "rows with an outlier",
    "overShare": "rows of one source beyond its share",
    "untrustedDraw": "rows drawn by a source that is not trusted",
    "overruled": "rows where a trusted source overruled others",
}
STATES = {"True": ("good", "as in the reference"), "False": ("bad", "finding"), "Unknown": ("open", "unknown")}
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d1d9e0}h3{font-size:1rem;margin-bottom:0}
table{border-collapse:collapse;width:100%;font-size:13px}td,th{padding:.25rem .6rem;border-bottom:1px solid #d1d9e0;text-align:left;vertical-align:top;overflow-wrap:break-word;max-width:24rem}th{vertical-align:bottom}
td.n,th.n{text-align:right;white-space:nowrap}.good{color:#1a7f37}.bad{color:#c93c37;font-weight:600}.open{color:#9a6700}
.note{color:#59636e;font-size:13px}svg{max-width:100%;height:auto}section{break-inside:avoid}
"""
ESTIMATE_NOTE = (
    "By the scores of the window, and by how often labelled rows of the training with such scores were right. It cannot see that the "
    "same features now mean another label."
)
MEANINGS = (
    ("PSI", "the population stability index of the reference's bins: about the square of a shift in standard deviations. 0.1 is a shift by a third of one. What few rows add to it without any difference is subtracted."),
    ("Jensen-Shannon", "the distance of the two distributions, 0 (equal) to 1 (nothing in common)."),
    ("Wasserstein", "by how many standard deviations of the reference values moved on average."),
    ("L-infinity", "the largest difference of one category's share."),
    ("Importance", "by how much the metric of the version's test rows is worse when the values of the column are shuffled. The order is by PSI times the share of the largest importance; the prediction counts as the most important."),
    ("Evidence", "the decimal logarithm of the odds against no effect above the threshold, since the finding began; 6 is a million to one. With method Fixed it is that of 1/p."),
    ("Completeness", "rows in the servers' count documents over rows that the servers answered."),
    ("Gap", "the largest difference between two groups that have enough rows; what is tested is without what few rows add to it."),
    ("Alarm budget", "how many false alarms are expected in how long at most, over all signals, columns and windows together."),
)  # fmt: skip


def render_page(report: Mapping[str, Any], charts: Charts) -> str:
    """The page, a whole HTML document."""
    title = f"Monitoring of {report['namespace']}/{report['service']}"
    sections = (
        _summary(report),
        _findings(report),
        _versions(report),
        _estimated(report),
        _performance(report),
        render_labelled_rows(report, charts),
        render_fairness(report, charts),
        render_service(report, charts),
        _trend(report, charts),
        _columns(report, charts),
        _documents(report),
        render_section("What the numbers mean", render_table(("Number", "Meaning"), MEANINGS)),
    )
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = f"<h1>{escape(title)}</h1>" + "".join(sections)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>\n'


def _summary(report: Mapping[str, Any]) -> str:
    window = f"{report['from']} to {report['until']}, in windows of {report['windowSeconds']:,} s"
    rows = []
    for name, signal in report["signals"].items():
        style, state = STATES[signal["state"]]
        rows.append((SIGNAL_NAMES.get(name, name), Html(f'<span class="{style}">{state}</span>'), signal["message"]))
    budget = report["budget"]
    alarms = "false alarm is" if budget["count"] == 1 else "false alarms are"
    left = f"At most {budget['count']:g} {alarms} expected in {_days(budget['perSeconds'])}; alarms in that time so far: {budget['alarms']}."
    facts = f"{report['rows']:,} rows of {report['requests']:,} requests; {_completeness(report)}."
    note = f"<p>{escape(report['note'])}</p>" if report.get("note") else ""
    untested = (report.get("labels") or {}).get("untested", 0)
    if untested:
        left += f" {untested:,} windows were never tested, since their rows or labels could not be read in time."
    return f'<p>{escape(window)}. {escape(facts)}</p>{note}{render_table(("Signal", "State", "Why"), rows)}<p class="note">{escape(left)}</p>'


def _completeness(report: Mapping[str, Any]) -> str:
    if report["completeness"] is not None:
        return f"{format_share(report['completeness'])} of what the servers answered is counted"
    if report["rows"]:
        return "logged rows are counted, and how many the servers answered is not known"
    return "there was no traffic"


def _findings(report: Mapping[str, Any]) -> str:
    if not report["findings"]:
        return render_section("Findings", "<p>None is open.</p>")
    rows = [
        (each["message"], Number(f"{each['effect']:.3g}"), Number(f"{each['threshold']:g}"), Number(f"{each['evidence']:.3g}"))
        for each in report["findings"]
    ]  # fmt: skip
    return render_section(
        "Findings", render_table(("Finding", "Effect", "Threshold", "Evidence (logarithm of the odds)"), rows)
    )


def _versions(report: Mapping[str, Any]) -> str:
    has_estimate = any(window.get("estimatedRocAuc") for window in report["windows"])
    rows = [
        (
            window["start"],
            window["version"],
            Number(f"{window['rows']:,}"),
            Number(format_share(window["share"])),
            Number("" if window["completeness"] is None else format_share(window["completeness"])),
            _reference(window),
            *([Number(_estimate(window.get("estimatedRocAuc")))] if has_estimate else []),
        )
        for window in report["windows"]
    ]
    skipped = (
        f'<p class="note">{report["skipped"]:,} windows were skipped, since they were too old.</p>'
        if report["skipped"]
        else ""
    )
    header = ("Window", "Version", "Rows", "Traffic", "Counted", "Compared with")
    estimated = ("Estimated ROC AUC",) if has_estimate else ()
    return render_section("Windows", render_table((*header, *estimated), rows) + skipped)


def _estimate(estimated: Mapping[str, float] | None) -> str:
    """The estimate of the window without labels, and in brackets that of the reference."""
    return "" if estimated is None else f"{estimated['value']:.3f} ({estimated['reference']:.3f})"


def _reference(window: Mapping[str, Any]) -> str:
    reference = window["reference"]
    if reference is None:
        return str(window["note"])
    if reference.get("season"):
        return f"{reference['rows']:,} rows of {reference['season']} in {reference['weeks']} weeks"
    if reference["window"] is None:
        note = f"; drift with nothing yet: {window['note']}" if window["note"] else ""
        return f"{reference['rows']:,} rows of the training{note}"
    return f"{reference['rows']:,} rows of the window {reference['window']}"


def _estimated(report: Mapping[str, Any]) -> str:
    """The metric of each window as it is expected without labels, newest first."""
    found = report.get("estimatedPerformance")
    if found is None:
        return ""
    rows = [
        (each["start"], each["version"], Number(f"{each['value']:.4g}"), Number(f"{each['reference']:.4g}"))
        for each in reversed(found["windows"])
    ]
    said = f"{ESTIMATE_NOTE} A difference of more than {found['maxDrop']:g} is a finding, once the evidence allows it."
    problems = "".join(f"<p>{escape(name)}: {escape(text)}.</p>" for name, text in found["problems"].items())
    header = ("Window", "Version", found["metric"], "Expected on the reference's rows")
    return render_section(
        "Estimated performance", f'{render_table(header, rows)}{problems}<p class="note">{escape(said)}</p>'
    )


def _performance(report: Mapping[str, Any]) -> str:
    """The labelled windows: a table, newest first."""
    found = report.get("performance")
    if found is None:
        return ""
    rows = [
        (
            each["start"], each["version"], Number(format_number(each.get("value"))),
            Number(f"{each['low']:.4g} to {each['high']:.4g}" if "low" in each else ""), Number(format_number(each.get("drop"))),
            Number(format_share(each["labels"]["coverage"])),
            ", ".join(f"{count:,} {LABEL_COUNTS[name]}" for name, count in each["labels"].items() if name in LABEL_COUNTS and count) or "none",
            each.get("problem") or ("frozen" if each["frozen"] else "open"),
        )
        for each in reversed(found["windows"])
    ]  # fmt: skip
    header = ("Window", "Version", found["metric"], "95 % interval", "Drop", "Labelled", "Other labels", "State")
    said = (
        f"{found['labels']:,} labels {found['source']}; {found['unknown']:,} of them name no logged row that was read."
    )
    estimates = "".join(f"<p>{escape(each['message'])}</p>" for each in found["estimates"])
    return render_section(
        "Labelled performance", f'{estimates}{render_table(header, rows)}<p class="note">{escape(said)}</p>'
    )


def _trend(report: Mapping[str, Any], charts: Charts) -> str:
    parts = []
    for version in dict.fromkeys(point["version"] for point in report["trend"]):
        points = [point for point in report["trend"] if point["version"] == version]
        if len(points) < 2:
            continue
        last = points[-1]["psi"]
        names = sorted(last, key=lambda name: (-last[name], name))[:TREND_LINES]
        times = [point["time"] for point in points]
        lines = {name: [point["psi"].get(name) for point in points] for name in names}
        threshold = report["thresholds"]["featureDrift"]
        psi = charts.trend(times, lines, threshold, "PSI") if lines else ""
        rows = charts.trend(times, {"rows": [float(point["rows"]) for point in points]}, None, "rows")
        parts.append(f"<h3>{escape(version)}</h3>{psi}{rows}")
    return render_section("Trend", "".join(parts)) if parts else ""


def _columns(report: Mapping[str, Any], charts: Charts) -> str:
    columns = report["columns"]
    if not columns:
        return ""
    has_importance = any("importance" in column for column in columns)
    importance = ("Importance",) if has_importance else ()
    header = ("Column", "Version", *importance, "PSI", "Jensen-Shannon", "Wasserstein", "L-infinity", *ANOMALY_TITLES)
    rows = [
        (
            column["name"],
            column["version"],
            *([Number(_importance(column))] if has_importance else []),
            *(Number(format_number(column.get(name))) for name in ("psi", "jensenShannon", "wasserstein", "lInfinity")),
            *(Number(_quality(column, name)) for name in ANOMALIES),
        )
        for column in columns
    ]
    drawn = [
        f'<section><h3>{escape(column["name"])} <span class="note">{escape(_caption(column))}</span></h3>'
        f"{charts.distribution(column['labels'], column['reference'], column['current'], column['innerEdges'])}</section>"
        for column in columns[:MAX_CHARTS]
        if column["labels"]
    ]
    note = (
        f'<p class="note">Charts of the first {MAX_CHARTS} of {len(columns)} columns.</p>'
        if len(columns) > MAX_CHARTS
        else ""
    )
    title = "Columns, by importance times effect" if has_importance else "Columns, the largest effect first"
    return render_section(title, render_table(header, rows) + _importance_note(columns)) + "".join(drawn) + note


ANOMALY_TITLES = ("Missing", "Infinite", "Out of range", "Unseen")


def _importance(column: Mapping[str, Any]) -> str:
    """How much worse the metric of the test rows is without the column; empty where that is not known."""
    found = column.get("importance")
    return format_number(None if found is None else found["value"])


def _importance_note(columns: Sequence[Mapping[str, Any]]) -> str:
    metrics = sorted({column["importance"]["metric"] for column in columns if "importance" in column})
    return f'<p class="note">Importance is in {escape(" and ".join(metrics))} of the test rows.</p>' if metrics else ""


def _caption(column: Mapping[str, Any]) -> str:
    if column["untested"]:
        return f"{column['untested']}, whose distribution is not tested; {column['rows']:,} rows; {column['version']}"
    return f"PSI {format_number(column.get('psi'))}; {column['rows']:,} rows; {column['version']}"


def _quality(column: Mapping[str, Any], anomaly: str) -> str:
    found = column["quality"].get(anomaly)
    if found is None:
        return ""
    return f"{format_share(found['share'])} ({format_share(found['referenceShare'])})"


def _documents(report: Mapping[str, Any]) -> str:
    documents = report["documents"]
    rows = [("read", Number(f"{documents['read']:,}"), ""), ("late", Number(f"{documents['late']:,}"), "")]
    rows += [
        (reason, Number(f"{found['count']:,}"), "; ".join(found["examples"]))
        for reason, found in documents["problems"].items()
    ]
    return render_section("Count documents", render_table(("Outcome", "Documents", "Examples"), rows))


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:g} days"
