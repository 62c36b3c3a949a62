"""The step `monitor` on documents that the server's own code counted."""

import json
import shutil
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.monitoring.report.facts import shorten_report
from tests.runtime.monitoring.traffic import baseline_bytes, count_rows, draw_rows, make_baseline, write_document
from tests.runtime.pods import golden

pytestmark = pytest.mark.integration  # a second of statistics for each monitored window

Rows = dict[str, Any]


def shift(rows: Rows, by: float = 0.8) -> Rows:
    return rows | {"x0": rows["x0"] + by}


def states(report: dict[str, Any]) -> dict[str, str]:
    return {name: signal["state"] for name, signal in report["signals"].items()}


def test_traffic_like_the_reference_is_silent(monitored: Any) -> None:
    for _ in range(4):
        report = monitored.run_hour()

        assert (states(report), report["findings"]) == ({"dataQuality": "True", "drift": "True"}, [])
        assert (report["rows"], report["completeness"]) == (1_200, 1.0)


def test_a_shifted_feature_is_found_with_its_size_and_start_and_closes_when_it_is_back(monitored: Any) -> None:
    monitored.run_hour()
    reports = [monitored.run_hour(shift) for _ in range(4)]

    assert [states(each)["drift"] for each in reports][-1] == "False"
    (finding,) = reports[-1]["findings"]
    assert (finding["signal"], finding["subject"], finding["measure"]) == ("featureDrift", "x0", "psi")
    assert 0.4 < finding["effect"] < 1
    assert finding["since"] == "2026-01-31T18:00:00Z"
    assert "The distribution of 'x0' has drifted" in reports[-1]["signals"]["drift"]["message"]
    assert reports[-1]["budget"]["alarms"] == 1

    reports = [monitored.run_hour() for _ in range(3)]

    assert [states(each)["drift"] for each in reports] == ["False", "False", "True"]
    assert [each["subject"] for each in reports[-1]["closed"]] == ["x0"]


@pytest.mark.parametrize(
    ("anomaly", "change"),
    [
        pytest.param("missing", lambda rows: rows | {"x1": np.where(np.arange(len(rows["x1"])) % 10, rows["x1"], np.nan)}, id="missing"),
        pytest.param("missing", lambda rows: rows | {"x1": np.full(len(rows["x1"]), np.nan)}, id="a column that is gone"),
        pytest.param("invalid", lambda rows: rows | {"x1": np.where(np.arange(len(rows["x1"])) % 10, rows["x1"], np.inf)}, id="infinite"),
        pytest.param("outOfRange", lambda rows: rows | {"x1": rows["x1"] * 4}, id="out of range"),
        pytest.param("unseen", lambda rows: rows | {"carrier": np.where(np.arange(len(rows["x1"])) % 3, rows["carrier"], "new")}, id="a new category"),
        pytest.param("invalid", lambda rows: rows | {"score": np.where(np.arange(len(rows["x1"])) % 9, rows["score"], np.inf)}, id="answers that are not finite"),
    ],
)  # fmt: skip
def test_an_anomaly_of_the_values_is_found(monitored: Any, anomaly: str, change: Any) -> None:
    for _ in range(3):
        report = monitored.run_hour(change)

    assert states(report)["dataQuality"] == "False"
    assert anomaly in {each["measure"] for each in report["findings"]}


ONE_ROW = {"x0": 0.1, "x1": 0.2, "carrier": "UA", "score": 0.31}


def problems(report: dict[str, Any]) -> set[str | None]:
    return {each["problem"] for each in report["findings"]}


def test_answers_that_are_not_finite_or_all_the_same_are_named(monitored: Any) -> None:
    for _ in range(3):
        report = monitored.run_hour(lambda rows: rows | {"score": np.full(len(rows["score"]), np.nan)})
    assert "NotFinite" in problems(report)


def test_one_answer_for_all_rows_is_a_constant_output(monitored: Any) -> None:
    for _ in range(3):
        report = monitored.run_hour(lambda rows: rows | {"score": np.full(len(rows["score"]), 0.31)})

    [found] = [each for each in report["findings"] if each["signal"] == "predictionDrift"]
    assert found["problem"] == "ConstantOutput"
    assert "The answers are nearly the same for all rows." in found["message"]
    assert {"problem": "ConstantOutput"}.items() <= shorten_report(report)["findings"][0].items()


@pytest.mark.parametrize("change", [
    pytest.param(lambda rows: rows | {"score": rows["score"] * 0.5}, id="answers that only drift"),
    pytest.param(lambda rows: rows | {name: np.full(len(rows[name]), value, rows[name].dtype) for name, value in ONE_ROW.items()}, id="one row again and again"),
    pytest.param(lambda rows: rows | {"x1": np.full(len(rows["x1"]), np.nan)}, id="a feature that is gone"),
])  # fmt: skip
def test_what_is_no_fault_of_the_model_is_no_problem_of_its_answers(monitored: Any, change: Any) -> None:
    for _ in range(3):
        report = monitored.run_hour(change)

    assert report["findings"]
    assert problems(report) == {None}


def test_few_rows_are_unknown_and_never_a_finding(monitored: Any) -> None:
    for _ in range(3):
        report = monitored.run_hour(shift, rows=120)

    assert (states(report), report["findings"]) == ({"dataQuality": "Unknown", "drift": "Unknown"}, [])
    assert "too few rows in the window (120 at least)" in report["signals"]["drift"]["message"]


def test_no_traffic_is_unknown(monitored: Any) -> None:
    monitored.run_hour()

    report = monitored.run()

    assert (states(report)["drift"], report["rows"], report["completeness"]) == ("Unknown", 0, None)
    assert "There was no traffic that is counted." in report["signals"]["drift"]["message"]


def test_an_open_finding_stays_when_there_is_no_traffic(monitored: Any) -> None:
    for _ in range(4):
        monitored.run_hour(shift)

    assert states(monitored.run())["drift"] == "False"


def test_a_column_that_differs_since_the_first_window_is_skew_of_serving_and_training(monitored: Any) -> None:
    for _ in range(3):
        report = monitored.run_hour(shift)

    assert "since its first window, so that serving and training differ (skew)" in report["signals"]["drift"]["message"]


def test_a_difference_is_no_skew_where_the_service_is_older_than_its_monitor(monitored: Any) -> None:
    monitored.pod.served = {"requests": 90_000, "rows": 90_000}
    for _ in range(3):
        report = monitored.run_hour(shift)

    assert [each["is_skew"] for each in report["findings"]] == [False]
    assert "since 2026-01-31T17:00:00Z" in report["signals"]["drift"]["message"]


def test_a_version_that_was_not_compared_leaves_the_signals_unknown(monitored: Any) -> None:
    challenger = monitored.add_pod(boot="77aa", version="challenger", digest="sha256:" + "1" * 64)
    monitored.serve_hour(challenger, rows=120)

    report = monitored.run_hour()

    assert states(report) == {"dataQuality": "Unknown", "drift": "Unknown"}
    assert (
        "Version challenger was not compared: this version has no baseline, and waits"
        in report["signals"]["drift"]["message"]
    )


def test_the_trend_has_the_ten_largest_columns_of_a_window(monitored: Any) -> None:
    table = draw_rows(monitored.generator, 2_000, numbers=14)
    monitored.pod.baseline = make_baseline(table)
    (monitored.root / "inputs" / f"version-{monitored.pod.version}" / "baseline.json").write_bytes(
        baseline_bytes(monitored.pod.baseline)
    )
    for minute in range(0, 60, 10):
        rows = draw_rows(monitored.generator, 100, numbers=14)
        monitored.pod.serve(rows | {"x13": rows["x13"] + 1}, monitored.start + timedelta(minutes=minute))

    (point,) = monitored.run()["trend"]

    assert (len(point["psi"]), max(point["psi"], key=point["psi"].get)) == (10, "x13")


def test_what_was_counted_is_not_too_late_in_runs_with_short_windows(monitored: Any) -> None:
    reports = []
    for _ in range(3):
        monitored.serve_hour()
        reports.append(monitored.run(windowSeconds=60, minRows=1_000_000))

    assert [each["documents"]["problems"] for each in reports] == [{}] * 3


@pytest.mark.parametrize("labels_only", [False, True], ids=["gone", "labels may still come"])
def test_a_version_that_is_served_no_more_has_no_findings(monitored: Any, labels_only: bool) -> None:
    for _ in range(3):
        monitored.run_hour(shift)

    version = {"name": monitored.pod.version, "digest": monitored.pod.digest, "labelsOnly": True}
    report = monitored.run(versions=[version] if labels_only else [])

    assert (report["findings"], [each["subject"] for each in report["closed"]]) == ([], ["x0"])
    assert states(report)["drift"] == "Unknown"


def test_another_threshold_is_another_test(monitored: Any) -> None:
    for _ in range(3):
        monitored.run_hour(shift)

    report = monitored.run_hour(shift, signals={"featureDrift": {"psi": "2.5"}})

    assert (states(report)["drift"], report["findings"]) == ("True", [])


def test_a_version_that_is_made_again_with_other_bins_is_tested_anew(monitored: Any) -> None:
    for _ in range(3):
        monitored.run_hour(shift)
    baseline = make_baseline(draw_rows(monitored.generator, 9_000))
    baseline["features"]["x0"]["edges"] = baseline["features"]["x0"]["edges"][::2]
    table = shift(draw_rows(monitored.generator, 9_000))
    baseline["features"]["x0"]["counts"] = {"rows": 9_000, **count_rows(baseline, table)["features"]["x0"]}
    monitored.pod = monitored.add_pod(boot="2", baseline=baseline, digest="sha256:" + "1" * 64)
    (monitored.root / "inputs" / f"version-{monitored.pod.version}" / "baseline.json").write_bytes(
        baseline_bytes(baseline)
    )

    report = monitored.run_hour(shift)

    assert (states(report)["drift"], report["findings"]) == ("True", [])
    assert [each["subject"] for each in report["closed"]] == ["x0"]


def test_a_version_without_baseline_has_its_first_window_as_reference(monitored: Any) -> None:
    shutil.rmtree(monitored.root / "inputs" / f"version-{monitored.pod.version}")

    first = monitored.run_hour()
    few = [monitored.run_hour() for _ in range(2)]
    last = [monitored.run_hour(lambda rows: shift(rows, 2.0)) for _ in range(4)]

    assert states(first)["drift"] == "Unknown"
    assert "this window is its reference from now on" in first["signals"]["drift"]["message"]
    assert {states(each)["drift"] for each in few} == {"True"}
    assert few[0]["windows"][0]["reference"] == {"rows": 1_200, "window": "2026-01-31T17:00:00Z"}
    assert states(last[-1])["drift"] == "False"


def test_two_versions_in_a_rollout_have_windows_and_findings_of_their_own(monitored: Any) -> None:
    challenger = monitored.add_pod(
        pod="flight-delay-b", boot="77aa", version="flight-delay-88b2d0", digest="sha256:" + "1" * 64
    )
    monitored.add_version(challenger)
    for _ in range(4):
        monitored.serve_hour(challenger, rows=600, change=shift)
        report = monitored.run_hour()

    assert report["versions"] == {"flight-delay-3f9a1c": 1_200, "flight-delay-88b2d0": 600}
    (finding,) = report["findings"]
    assert (finding["version"], round(finding["share"], 3)) == ("flight-delay-88b2d0", 0.333)


def test_a_champion_that_changes_in_the_middle_of_a_window_leaves_two_parts(monitored: Any) -> None:
    monitored.run_hour()
    successor = monitored.add_pod(
        pod="flight-delay-b", boot="77aa", version="flight-delay-88b2d0", digest="sha256:" + "1" * 64
    )
    monitored.add_version(successor)
    for minute in range(0, 60, 5):
        pod = monitored.pod if minute < 30 else successor
        pod.serve(draw(monitored), monitored.start + timedelta(minutes=minute))

    report = monitored.run()

    assert [(each["version"], each["rows"]) for each in report["windows"]] == [
        ("flight-delay-3f9a1c", 600),
        ("flight-delay-88b2d0", 600),
    ]


def draw(monitored: Any) -> Rows:
    return draw_rows(monitored.generator, 100)


def test_late_documents_correct_their_window_and_cost_no_further_look(monitored: Any) -> None:
    monitored.serve_hour(rows=600)
    late = [
        monitored.pod.serve(draw(monitored), monitored.start + timedelta(minutes=58), write=False) for _ in range(6)
    ]
    monitored.run()
    for each in late:
        write_document(monitored.counts, each)

    report = monitored.run_hour()

    assert report["trend"][0]["rows"] == 1_200
    assert report["trend"][0]["completeness"] == 1.0
    assert (report["documents"]["late"], report["documents"]["lateRows"], report["rows"]) == (6, 600, 1_200)


def test_documents_that_are_read_again_count_once(monitored: Any) -> None:
    reports = [monitored.run_hour() for _ in range(3)]

    assert [each["rows"] for each in reports] == [1_200] * 3
    assert [point["rows"] for point in reports[-1]["trend"]] == [1_200] * 3


def test_a_monitor_that_was_suspended_decides_every_window_in_turn(monitored: Any) -> None:
    for _ in range(5):
        monitored.serve_hour(change=shift)
        monitored.windows += 1
    monitored.windows -= 5

    report = monitored.run(hours=5, skipped=40)

    assert ([each["rows"] for each in report["windows"]], report["skipped"]) == ([1_200] * 5, 40)
    assert states(report)["drift"] == "False"
    assert report["findings"][0]["since"] == "2026-01-31T17:00:00Z"


def test_documents_of_the_future_wait_for_their_window(monitored: Any) -> None:
    monitored.serve_hour()
    monitored.windows += 1
    monitored.serve_hour()
    monitored.windows -= 1

    assert (monitored.run()["rows"], monitored.run()["rows"]) == (1_200, 1_200)


def test_pods_whose_clocks_differ_count_in_the_windows_of_their_clocks(monitored: Any) -> None:
    ahead = monitored.add_pod(pod="ahead", boot="1")
    monitored.run_hour()
    for minute in range(0, 60, 5):
        ahead.serve(draw(monitored), monitored.start + timedelta(minutes=minute + 7))

    reports = [monitored.run_hour(), monitored.run_hour()]

    assert [each["rows"] for each in reports] == [1_200 + 1_100, 1_200 + 100]


def test_a_flood_of_equal_rows_in_one_minute_is_no_finding(monitored: Any) -> None:
    monitored.run_hour()
    flood = {name: np.repeat(values[:1], 3_000) for name, values in draw(monitored).items()}
    monitored.add_pod(pod="flooded", boot="1").serve(flood, monitored.start)

    report = monitored.run_hour()

    assert (report["rows"], report["findings"]) == (4_200, [])
    assert monitored.run_hour()["findings"] == []


def test_what_is_no_document_is_reported_and_no_failure(monitored: Any) -> None:
    (monitored.counts / "broken.json").write_text("{")

    report = monitored.run_hour()

    assert report["rows"] == 1_200
    assert report["documents"]["problems"]["unreadable"]["count"] == 1
    assert "broken.json" in monitored.page


def test_a_state_that_cannot_be_read_starts_the_tests_again(monitored: Any) -> None:
    monitored.run_hour()
    (monitored.root / "inputs" / "state" / "state.json").write_text('{"v": 9}')

    report = monitored.run_hour()

    assert "could not be used" in report["note"]
    assert states(report)["drift"] == "True"


def test_a_state_that_is_expected_and_missing_is_said_in_messages_and_page(monitored: Any) -> None:
    first = monitored.run_hour()
    shutil.rmtree(monitored.root / "inputs" / "state")

    report = monitored.run_hour(stateExpected=True)

    assert (first["note"], report["note"]) == (
        "",
        "The state of the previous run is not in the store any more, so that all tests and the budget started again.",
    )
    assert report["note"] in monitored.page
    assert all(signal["message"].endswith(report["note"]) for signal in monitored.facts["signals"].values())


def test_a_test_whose_state_is_of_other_bins_starts_again_and_says_so(monitored: Any) -> None:
    monitored.run_hour()
    path = monitored.root / "inputs" / "state" / "state.json"
    state = json.loads(path.read_text())
    (name,) = (each for each in state["streams"] if each.endswith("psi/0.1/x0"))
    state["streams"][name]["learned"] = [[1.0, 2.0]]
    path.write_text(json.dumps(state))

    report = monitored.run_hour()

    assert report["note"] == "1 of the tests started again: their states of the previous run do not fit them."
    assert states(report)["drift"] == "True"


@pytest.mark.parametrize(
    "change", [{"streams": []}, {"trend": None}, {"until": "x"}, {"streams": {"a": 1}}], ids=lambda each: str(each)
)
def test_a_state_with_fields_of_another_kind_starts_the_tests_again(monitored: Any, change: dict[str, Any]) -> None:
    monitored.run_hour()
    path = monitored.root / "inputs" / "state" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    assert "could not be used" in monitored.run_hour()["note"]


def test_the_same_inputs_give_the_same_bytes(monitored: Any) -> None:
    monitored.run_hour(shift)
    monitored.run_hour(shift)
    folder = monitored.root / "outputs"
    first = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(monitored.root / "inputs" / "state")
    monitored.windows = 0
    monitored.run()
    monitored.run()

    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first


def test_facts_have_the_fields_of_the_contract_and_room_for_any_names(monitored: Any) -> None:
    for _ in range(4):
        monitored.run_hour(shift)
    facts, expected = monitored.facts, golden("collect_monitored")["message"]["facts"]

    assert set(facts) == set(expected)
    assert set(facts["findings"][0]) == set(expected["findings"][0])
    assert set(facts["budget"]) == set(expected["budget"])
    assert len(json.dumps(facts)) < 2_000


def test_windows_that_do_not_fit_between_the_times_are_refused(monitored: Any) -> None:
    monitored.run(expected=2, windowSeconds=3_000)

    failure = json.loads((monitored.root / "termination-log").read_text())
    assert failure["reason"] == "ParamsInvalid"
    assert "no multiple of windowSeconds" in failure["message"]


@pytest.mark.usefixtures("drawn_charts")
def test_the_report_sorts_columns_by_what_their_shift_means_to_the_model(monitored: Any) -> None:
    features = [
        {"name": "x1", "importance": 0.2},
        {"name": "x0", "importance": 0.001},
        {"name": "carrier", "importance": 0.0},
    ]
    document = {"v": 1, "metric": "roc_auc", "features": features}
    folder = monitored.root / "inputs" / f"version-{monitored.pod.version}"
    (folder / "permutation_importance.json").write_text(json.dumps(document))

    report = monitored.run_hour(lambda rows: rows | {"x0": rows["x0"] + 0.8, "x1": rows["x1"] + 0.4})

    psi = {each["name"]: each["psi"] for each in report["columns"]}
    assert psi["x0"] > psi["x1"]
    assert next(each["name"] for each in report["columns"] if not each["isPrediction"]) == "x1"
    assert report["columns"][0]["importance"] == {"metric": "roc_auc", "value": 0.2, "shareOfLargest": 1.0}
    assert '<td class="n">0.2</td>' in monitored.page
    assert "Importance is in roc_auc of the test rows." in monitored.page
    assert "Columns, by importance times effect" in monitored.page
