"""The report's page and charts: golden bytes, hostile names, and one file without scripts and requests."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.contract.step import MAX_FACTS_BYTES, canonical_json
from flywheel_runtime.monitoring.report.charts import Charts
from flywheel_runtime.monitoring.report.facts import shorten_report
from flywheel_runtime.monitoring.report.page import SIGNAL_NAMES, render_page
from flywheel_runtime.monitoring.report.sentences import describe_finding
from tests.golden_files import same_text

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "<script>alert(1)</script>\"'&$\\frac{1}{0}$ {0} %s \u202e"


def column(name: str = "month", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": "delay-1",
        "isPrediction": False,
        "rows": 1_000,
        "untested": "",
        "labels": ["< 4", "4 to 7", "≥ 7"],
        "innerEdges": [4.0, 7.0],
        "reference": [0.5, 0.3, 0.2],
        "current": [0.2, 0.3, 0.5],
        "psi": 0.55,
        "jensenShannon": 0.2,
        "quality": {"missing": {"share": 0.1, "referenceShare": 0.0}},
        **fields,
    }


def make_report(name: str = "month", count: int = 1) -> dict[str, Any]:
    finding = {
        "signal": "featureDrift",
        "subject": name,
        "version": "delay-1",
        "measure": "psi",
        "effect": 0.55,
        "threshold": 0.1,
        "since": "2026-01-31T17:00:00Z",
        "until": "2026-01-31T18:00:00Z",
        "evidence": 7.6,
        "share": 1.0,
        "is_skew": False,
    }
    window = {
        "start": "2026-01-31T17:00:00Z",
        "version": "delay-1",
        "rows": 1_000,
        "share": 1.0,
        "completeness": 0.998,
        "reference": {"rows": 10_000, "window": None},
        "note": "",
    }
    points = [
        {"time": 1_769_878_800 + 3_600 * hour, "version": "delay-1", "rows": 1_000, "completeness": 1.0, "psi": {name: 0.1 * hour}}
        for hour in range(3)
    ]  # fmt: skip
    return {
        "namespace": "shop",
        "service": "flight-delay",
        "from": "2026-01-31T17:00:00Z",
        "until": "2026-01-31T18:00:00Z",
        "windowSeconds": 3_600,
        "skipped": 2,
        "rows": 1_000,
        "requests": 1_000,
        "completeness": 0.998,
        "versions": {"delay-1": 1_000},
        "thresholds": {"dataQuality": 0.01, "featureDrift": 0.1, "predictionDrift": None},
        "signals": {"drift": {"state": "False", "message": f"The distribution of '{name}' has drifted."}},
        "findings": [finding | {"message": describe_finding(finding)}] * count,
        "budget": {"count": 1, "perSeconds": 31_536_000, "alarms": 1, "since": "2026-01-31T17:00:00Z", "left": 0.0},
        "windows": [window],
        "columns": [column(name, psi=0.55 - number / 1_000) for number in range(count)],
        "trend": points,
        "documents": {"read": 60, "late": 1, "problems": {"unreadable": {"count": 1, "examples": [f"{name}.json"]}}},
    }


class Elements(HTMLParser):
    """The elements of a page, and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parse(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


@pytest.mark.parametrize("name", ["distribution", "categories", "trend", "bars", "curve"])
def test_charts_are_the_golden_ones(name: str) -> None:
    charts = Charts()
    drawn = {
        "distribution": lambda: charts.distribution(["< 4", "4 to 7", "≥ 7"], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [4.0, 7.0]),
        "categories": lambda: charts.distribution(["UA", "DL", "other"], [0.6, 0.3, 0.1], [0.5, 0.1, 0.4]),
        "trend": lambda: charts.trend([1_769_878_800, 1_769_882_400], {"month": [0.1, None], "carrier": [0.0, 0.2]}, 0.1, "PSI"),
        "bars": lambda: charts.bars(["north", "south"], [0.4, 0.2], [0.02, 0.04], "selection rate"),
        "curve": lambda: charts.curve({"now": ([0.0, 0.5, 1.0], [0.0, 0.8, 1.0]), "test rows": ([0.0, 1.0], [0.0, 1.0])}, "false positive rate", "true positive rate", diagonal=True),
    }[name]()  # fmt: skip

    assert same_text(GOLDEN / f"{name}.svg", drawn)


def test_equal_charts_are_drawn_once() -> None:
    charts = Charts()

    assert charts.distribution(["a"], [1.0], [1.0]) is charts.distribution(["a"], [1.0], [1.0])


def test_a_page_is_one_file_without_scripts_and_requests() -> None:
    found = parse(render_page(make_report(), Charts()))

    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & set(found.tags)
    references = [value for name, value in found.attributes if name in ("src", "href", "xlink:href", "action")]
    assert all(value and value.startswith("#") for value in references)


def test_hostile_names_are_texts_alone() -> None:
    expected, found = parse(render_page(make_report(), Charts())), parse(render_page(make_report(HOSTILE), Charts()))

    assert sorted(found.tags) == sorted(expected.tags)
    assert any(HOSTILE in text for text in found.texts)


def test_a_hostile_category_is_a_text_of_its_chart() -> None:
    drawn = Charts().distribution([HOSTILE, "other"], [0.5, 0.5], [0.4, 0.6])

    assert "<script" not in drawn
    assert "\\frac" in "".join(parse(drawn).texts) or "&lt;script" in drawn


def test_the_page_says_in_numbers_what_charts_show() -> None:
    texts = " ".join(parse(re.sub(r"<svg.*?</svg>", "", render_page(make_report(), Charts()), flags=re.DOTALL)).texts)

    for expected in (
        "The distribution of 'month' has drifted: PSI 0.55, above 0.1",
        "99.8 %",
        "2 windows were skipped",
        "month.json",
        "10 % (0 %)",
    ):
        assert expected in texts


@pytest.mark.parametrize(
    ("rows", "completeness", "expected"),
    [
        (1_000, 0.998, "1,000 rows of 1,000 requests; 99.8 % of what the servers answered is counted."),
        (1_000, None, "1,000 rows of 1,000 requests; logged rows are counted, and how many the servers answered is not known."),
        (0, None, "0 rows of 1,000 requests; there was no traffic."),
    ],
)  # fmt: skip
def test_the_page_says_how_much_was_counted(rows: int, completeness: float | None, expected: str) -> None:
    assert expected in render_page(make_report() | {"rows": rows, "completeness": completeness}, Charts())


@pytest.mark.parametrize(("count", "expected"), [(1, "At most 1 false alarm is expected"), (2, "2 false alarms are")])
def test_the_page_says_the_budget(count: int, expected: str) -> None:
    report = make_report()

    assert expected in render_page(report | {"budget": report["budget"] | {"count": count}}, Charts())


def test_the_page_has_the_note_of_the_run_and_the_unit_of_evidence() -> None:
    page = render_page(make_report() | {"note": "All tests & the budget started again."}, Charts())

    assert "<p>All tests &amp; the budget started again.</p>" in page
    assert "<th>Evidence (logarithm of the odds)</th>" in page


def test_a_name_that_begins_with_an_underscore_is_in_the_legend() -> None:
    drawn = Charts().trend([1_769_878_800, 1_769_882_400], {"_month": [0.1, 0.2], "carrier": [0.0, 0.2]}, None, "PSI")

    assert {"_month", "carrier"} <= {text.strip() for text in parse(drawn).texts}


@pytest.mark.parametrize("name", ["month", HOSTILE * 20, "列" * 300])
def test_facts_have_room_for_any_report(name: str) -> None:
    facts = shorten_report(make_report(name, count=40))

    assert len(canonical_json(facts).encode()) < MAX_FACTS_BYTES
    assert facts["findingCount"] == 40
    json.dumps(facts)


def test_facts_have_room_for_the_longest_names_and_all_signals() -> None:
    report = make_report("列" * 300, count=40)
    report["versions"] = {f"{number}{'v' * 252}": 10**9 for number in range(9)}
    report["signals"] = {
        signal: {"state": "Unknown", "reason": "KeyNotLogged", "message": "列" * 900} for signal in SIGNAL_NAMES
    }

    facts = shorten_report(report)

    assert len(canonical_json(facts).encode()) < MAX_FACTS_BYTES
    assert (len(facts["signals"]), facts["findingCount"]) == (len(SIGNAL_NAMES), 40)


@pytest.mark.parametrize("number", [float("nan"), float("inf")], ids=str)
def test_a_number_that_is_not_finite_is_null_in_the_facts(number: float) -> None:
    report = make_report(count=2)
    report["findings"][0] = {**report["findings"][0], "effect": number}

    facts = shorten_report(report)

    assert [each["effect"] for each in facts["findings"]].count(None) == 1
    json.dumps(facts, allow_nan=False)


def test_the_largest_finding_of_each_signal_is_among_the_facts() -> None:
    """A pipeline starts runs for findings of performance, which many columns that drift must not hide."""
    report = make_report(count=12)
    [drift, *_] = report["findings"]
    missing = {**drift, "signal": "dataQuality", "measure": "missing", "effect": 0.03, "threshold": 0.01}
    report["findings"] += [
        missing,
        {**missing, "subject": "predictions", "measure": "invalid", "effect": 0.02, "problem": "NotFinite"},
        {**missing, "version": "delay-2"},
        {**drift, "signal": "performance", "subject": "brier", "measure": "drop", "effect": 0.02, "threshold": 0.02},
    ]

    found = [(each["signal"], each["version"], each["measure"]) for each in shorten_report(report)["findings"]]

    assert found == [
        ("dataQuality", "delay-1", "invalid"),
        ("performance", "delay-1", "drop"),
        ("dataQuality", "delay-1", "missing"),
        ("dataQuality", "delay-2", "missing"),
        ("featureDrift", "delay-1", "psi"),
    ]


@pytest.mark.parametrize(
    ("signal", "measure", "effect", "threshold", "expected"),
    [
        ("performance", "drop", 0.05, 0.02, "brier of labelled predictions is 0.05 worse than on the test rows, above 0.02;"),
        ("performance", "drop", -0.01, 0.02, "brier of labelled predictions is 0.01 better than on the test rows in its last window, after windows above 0.02;"),
        ("featureDrift", "psi", 0.04, 0.1, "The distribution of 'brier' has drifted: PSI 0.04 in its last window, after windows above 0.1;"),
        ("dataQuality", "missing", 0.3, 0.01, "Values of 'brier' are missing: 30 % more than in the reference, above 1 %;"),
        ("dataQuality", "missing", 0.0, 0.01, "Values of 'brier' are missing: 0 % more than in the reference in its last window, after windows above 1 %;"),
    ],
)  # fmt: skip
def test_a_finding_says_whether_its_last_window_still_exceeds_the_threshold(
    signal: str, measure: str, effect: float, threshold: float, expected: str
) -> None:
    [finding] = make_report("brier")["findings"]
    changed = {"signal": signal, "measure": measure, "effect": effect, "threshold": threshold}

    assert describe_finding({**finding, **changed}).startswith(expected)
