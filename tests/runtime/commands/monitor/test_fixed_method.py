"""Runs of a monitor with method Fixed."""

from typing import Any


def test_a_shift_is_found_in_its_first_window_and_named(monitored: Any) -> None:
    monitored.run_hour(method="Fixed")
    report = monitored.run_hour(change=lambda rows: rows | {"x0": rows["x0"] + 1.0}, method="Fixed")

    assert report["method"] == "Fixed"
    (found,) = report["findings"]
    assert (found["signal"], found["subject"]) == ("featureDrift", "x0")
    assert found["since"] == report["windows"][0]["start"]
    assert found["evidence"] > 4
    assert monitored.facts["signals"]["drift"]["state"] == "False"


def test_quiet_windows_are_true_and_leave_no_finding(monitored: Any) -> None:
    for _ in range(4):
        report = monitored.run_hour(method="Fixed")

    assert {name: signal["state"] for name, signal in report["signals"].items()} == {
        "dataQuality": "True",
        "drift": "True",
    }
    assert report["budget"]["alarms"] == 0


def test_a_finding_of_one_method_is_followed_by_the_other(monitored: Any) -> None:
    shifted = {"change": lambda rows: rows | {"x0": rows["x0"] + 1.5}}
    for _ in range(3):
        monitored.run_hour(**shifted)
    first = monitored.run_hour(**shifted)["findings"]
    report = monitored.run_hour(**shifted, method="Fixed")

    assert [each["since"] for each in report["findings"]] == [each["since"] for each in first]
    assert report["budget"]["alarms"] == 1
