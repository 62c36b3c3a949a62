"""Labels of a hostile source cause neither a run nor a rollback: both follow the finding `performance`, which the guards keep away."""

from typing import Any

import pytest

from flywheel_runtime.monitoring.labels.admission import find_range, name_source
from tests.runtime.commands.monitor.labelled import CLAIMS, ROWS, STRANGER, Labelled

GUARDS = {"trustedSources": [CLAIMS], "maxSourceShare": 0.05}


@pytest.mark.integration
@pytest.mark.parametrize("hostile", [0.01, 0.05, 0.2])
def test_wrong_labels_of_a_source_that_is_not_trusted_are_no_finding_of_performance(
    labelled: Labelled, hostile: float
) -> None:
    labelled.params["groundTruth"] |= GUARDS

    report = [labelled.run_hour(hostile=hostile) for _ in range(3)][-1]

    assert report["signals"]["performance"]["state"] == "True"
    assert [each["signal"] for each in report["findings"]] == (["labels"] if hostile == 0.2 else [])
    windows = report["performance"]["windows"]
    assert sum(each["drop"] for each in windows) / len(windows) < 0.05
    assert report["budget"]["alarms"] == 0
    if hostile == 0.2:
        assert_the_flood_is_told(labelled, report)


def assert_the_flood_is_told(labelled: Labelled, report: dict[str, Any]) -> None:
    [finding] = report["findings"]
    assert (finding["subject"], finding["effect"]) == (STRANGER, pytest.approx(0.2))
    assert f"Source '{STRANGER}' decided 20 % of the labelled rows" in report["signals"]["dataQuality"]["message"]
    assert report["signals"]["dataQuality"]["state"] == "False"
    assert "neither a run nor a rollback follows from them" in report["signals"]["performance"]["message"]
    assert STRANGER in labelled.monitored.page
    windows = len(report["performance"]["windows"])
    refused = report["labels"]["refused"]["overShare"]
    assert refused == pytest.approx(windows * ROWS * (0.2 - 0.8 * 0.05 / 0.95), abs=windows)
    facts = labelled.monitored.facts["labels"]
    assert (facts["refused"], facts["sources"]) == ({"overShare": refused}, [[STRANGER, refused]])


@pytest.mark.integration
def test_golden_rows_and_everything_else_of_a_version_stay_as_they_are(labelled: Labelled) -> None:
    folder = labelled.inputs / f"version-{labelled.version}"
    (folder / "golden.json").write_text('{"v": 1, "inputs": {}, "outputs": {}}')
    before = {each.name: each.read_bytes() for each in folder.iterdir()}

    labelled.run_hour(hostile=0.2)

    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert sorted(each.name for each in (labelled.monitored.root / "outputs").iterdir() if each.is_dir()) == [
        "report",
        "state",
    ]


@pytest.mark.integration
def test_without_guards_a_fifth_of_wrong_labels_is_measured_as_a_drop(labelled: Labelled) -> None:
    report = labelled.run_hour(hostile=0.2)

    assert report["performance"]["windows"][0]["drop"] > 0.08
    assert [each["source"] for each in report["labels"]["sources"]] == [CLAIMS, STRANGER]
    assert report["labels"]["refused"] == {}


def test_a_caller_has_the_source_that_the_server_writes() -> None:
    assert name_source(CLAIMS, "shop", "delay") == CLAIMS
    assert name_source("jane@example.org", "shop", "delay") == "user-06114ad7bfcf773e"
    assert name_source("user-06114ad7bfcf773e", "shop", "delay") == "user-06114ad7bfcf773e"


def test_the_range_of_a_version_is_that_of_its_test_rows_and_half_of_them_cannot_move_it_far() -> None:
    sample = [{"actual": float(value)} for value in range(-50, 51)]
    low, high = find_range({"predictionsSample": sample}, 8) or (0.0, 0.0)

    assert [low, high] == pytest.approx([-296.5, 296.5], abs=1)
    moved = [*sample, *[{"actual": 1e9}] * 40]
    assert (find_range({"predictionsSample": moved}, 8) or (0.0, 1e9))[1] < 1_000


@pytest.mark.parametrize(
    "evaluation",
    [{}, {"predictionsSample": "x"}, {"predictionsSample": [{"actual": "1"}] * 50}, {"predictionsSample": [{"actual": 1.0}] * 50}, {"predictionsSample": [{"actual": 1.0}, {"actual": 2.0}]}],
)  # fmt: skip
def test_without_numbers_that_spread_no_number_is_an_outlier(evaluation: dict[str, object]) -> None:
    assert find_range(evaluation, 8) is None
