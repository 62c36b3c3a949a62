"""Findings and signals in text, for conditions, mails and the report. They quote names of columns, and no values of the data."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

ANOMALIES = {
    "missing": "are missing",
    "invalid": "are infinite",
    "outOfRange": "are outside of the reference's range",
    "unseen": "are in no known category",
}
SERVICE_MEASURES = {"errors": "failed", "failed": "were failed by the model itself"}
STANDARD_ERRORS = 1.96  # to each side, of a 95 % interval
MAX_NAMED = 3  # findings in the message of a signal


def format_time(seconds: int) -> str:
    """RFC 3339 in UTC, without fractions."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def format_share(share: float) -> str:
    """A share as a percentage with three significant digits."""
    return f"{100 * share:.3g} %"


def describe_finding(finding: Mapping[str, Any]) -> str:
    """One sentence: which column, how large, since when, and for whom."""
    subject = "the prediction" if finding["signal"] == "predictionDrift" else f"'{finding['subject']}'"
    since = (
        "since its first window, so that serving and training differ (skew)"
        if finding["is_skew"]
        else f"since {finding['since']}"
    )
    where = f"version {finding['version']} ({format_share(finding['share'])} of traffic), {since}"
    if finding["signal"] == "service":
        what = SERVICE_MEASURES.get(finding["measure"]) or f"had a {finding['subject']}"
        size = f"{format_share(finding['effect'])} of requests {what}{_compare(finding, format_share)}"
        return f"{size}; {where}."
    if finding["measure"] == "drop":
        size = f"{_describe_change(finding)} than on the test rows{_compare(finding)}"
        return f"{finding['subject']} of labelled predictions is {size}; {where}."
    if finding["measure"] == "estimatedDrop":
        size = f"{_describe_change(finding)} than on the reference's rows{_compare(finding)}"
        return f"{finding['subject']}, as estimated without labels, is {size}; {where}."
    if finding["signal"] == "fairness":
        return f"{finding['measure']} by {subject} is {finding['effect']:.3g}{_compare(finding)}; {where}."
    if finding["measure"] == "psi":
        size = f"PSI {finding['effect']:.3g}{_compare(finding)}"
        constant = (
            " The answers are nearly the same for all rows." if finding.get("problem") == "ConstantOutput" else ""
        )
        return f"The distribution of {subject} has drifted: {size}; {where}.{constant}"
    size = f"{format_share(finding['effect'])} more than in the reference{_compare(finding, format_share)}"
    return f"Values of {subject} {ANOMALIES.get(finding['measure'], finding['measure'])}: {size}; {where}."


def _describe_change(finding: Mapping[str, Any]) -> str:
    effect = finding["effect"]
    return f"{abs(effect):.3g} {'better' if effect < 0 else 'worse'}"


def _compare(finding: Mapping[str, Any], format_value: Callable[[float], str] = "{:g}".format) -> str:
    """The effect against the threshold. A finding stays open in its first windows within the threshold."""
    threshold = format_value(finding["threshold"])
    if finding["effect"] > finding["threshold"]:
        return f", above {threshold}"
    return f" in its last window, after windows above {threshold}"


def summarize_findings(findings: Sequence[Mapping[str, Any]]) -> str:
    """The largest findings of a signal, relative to their thresholds, and how many more there are."""
    ranked = sorted(findings, key=lambda each: -each["effect"] / each["threshold"])
    text = " ".join(describe_finding(each) for each in ranked[:MAX_NAMED])
    more = len(ranked) - MAX_NAMED
    return f"{text} {more} more in the report." if more > 0 else text
