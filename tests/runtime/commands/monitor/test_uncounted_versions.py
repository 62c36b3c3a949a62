"""A version without baseline.json is monitored by its logged rows, as the log's own code writes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.contract.step import canonical_json
from flywheel_runtime.monitoring.documents import DocumentProblems
from flywheel_runtime.monitoring.layout import flatten_columns, flatten_responses
from flywheel_runtime.monitoring.logged_rows import RowBins, RowTable, count_table, freeze_bins, read_rows
from tests.runtime.monitoring.row_files import write_rows
from tests.runtime.monitoring.traffic import CARRIERS, START, count_rows, draw_rows

pytestmark = pytest.mark.integration  # a second of statistics for each monitored window


def serve_rows(monitored: Any, table: dict[str, Any]) -> None:
    folder = monitored.root / "inputs" / "rows" / f"hour={monitored.windows}"
    write_rows(folder / f"pod-{monitored.windows}.parquet", "brought-1", monitored.start, table)


def test_rows_are_counted_as_the_server_counts_them(tmp_path: Path, monitored: Any) -> None:
    table = draw_rows(np.random.default_rng(1), 500)
    table["x1"] = np.where(np.arange(500) % 7, table["x1"], np.nan)
    table["carrier"] = np.where(np.arange(500) % 5, table["carrier"], "")
    write_rows(tmp_path / "rows" / "a.parquet", "brought-1", monitored.start, table)
    (read,) = read_rows([tmp_path / "rows" / "a.parquet"], frozenset({"brought-1"}), DocumentProblems())
    bins = freeze_bins([read])

    documents = count_table(read, bins)

    features: dict[str, Any] = {name: {"edges": list(each)} for name, each in bins.edges.items()}
    features |= {name: {"categories": list(each)} for name, each in bins.categories.items()}
    expected = count_rows({"features": features, "predictions": {"edges": list(bins.prediction)}}, table)
    _, _, cells = flatten_columns(expected["features"], expected["predictions"])
    assert np.sum([each.counts for each in documents], axis=0).tolist() == cells + flatten_responses(None)
    assert (len(documents), sum(each.rows for each in documents)) == (60, 500)
    assert set(bins.categories["carrier"]) == {*CARRIERS, "B6"}


def test_columns_in_another_order_than_that_of_their_names_are_counted_in_the_next_run_too(tmp_path: Path) -> None:
    bins = freeze_bins([_read_one(tmp_path, draw_rows(np.random.default_rng(1), 50, numbers=12))])

    read_again = RowBins.from_json(json.loads(canonical_json(bins.to_json())))

    assert read_again.layout == bins.layout


def _read_one(folder: Path, table: dict[str, Any]) -> RowTable:
    write_rows(folder / "rows.parquet", "brought-1", START, table)
    (read,) = read_rows([folder / "rows.parquet"], frozenset({"brought-1"}), DocumentProblems())
    return read


def test_a_brought_model_has_its_first_window_as_reference_and_its_drift_is_found(monitored: Any) -> None:
    monitored.versions = ["brought-1"]
    reports = []
    for hour in range(6):
        serve_rows(monitored, draw_rows(monitored.generator, 2_000, shift=0.0 if hour < 3 else 1.5))
        reports.append(monitored.run())

    assert "this window is its reference from now on" in reports[0]["signals"]["drift"]["message"]
    assert [each["signals"]["drift"]["state"] for each in reports[:3]] == ["Unknown", "True", "True"]
    assert [each["subject"] for each in reports[-1]["findings"] if each["measure"] == "psi"] == ["x0"]
    assert (reports[-1]["rows"], reports[-1]["completeness"]) == (2_000, None)
    assert any("to" in label for label in reports[-1]["columns"][0]["labels"])


def test_rows_that_are_read_again_count_once(monitored: Any) -> None:
    monitored.versions = ["brought-1"]
    for _ in range(3):
        serve_rows(monitored, draw_rows(monitored.generator, 1_000))
        report = monitored.run()

    assert [point["rows"] for point in report["trend"]] == [1_000] * 3


def test_files_of_another_server_may_have_one_name_in_several_folders(monitored: Any) -> None:
    """The rows of a minute are in two files where a server has several pods, or begins a file each hour."""
    monitored.versions = ["brought-1"]
    for pod in "ab":
        file = monitored.root / "inputs" / "rows" / "dt=2026-01-31" / f"pod={pod}" / "part-0.parquet"
        write_rows(file, "brought-1", monitored.start, draw_rows(monitored.generator, 1_000))
    reports = [monitored.run(storedRows={"source": "Log"}) for _ in range(2)]

    assert (reports[0]["rows"], reports[0]["documents"]["problems"]) == (2_000, {})
    assert [point["rows"] for point in reports[-1]["trend"]] == [2_000]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 64])
def test_a_file_of_rows_that_cannot_be_read_is_reported(monitored: Any, content: bytes) -> None:
    monitored.versions = ["brought-1"]
    serve_rows(monitored, draw_rows(monitored.generator, 1_000))
    (monitored.root / "inputs" / "rows" / "broken.parquet").write_bytes(content)

    report = monitored.run()

    assert (report["rows"], report["documents"]["problems"]["unreadable"]["count"]) == (1_000, 1)


def test_columns_that_the_log_dropped_later_are_missing(monitored: Any) -> None:
    monitored.versions = ["brought-1"]
    for hour in range(3):
        table = draw_rows(monitored.generator, 1_000)
        serve_rows(monitored, table if hour < 1 else {name: each for name, each in table.items() if name != "x1"})
        report = monitored.run()

    assert ("x1", "missing") in {(each["subject"], each["measure"]) for each in report["findings"]}


def test_without_rows_an_uncounted_version_has_no_traffic(monitored: Any) -> None:
    monitored.versions = ["brought-1"]

    report = monitored.run()

    assert (report["signals"]["drift"]["state"], report["rows"]) == ("Unknown", 0)
    assert "brought-1 has no baseline.json" in report["signals"]["drift"]["message"]


def test_rows_of_every_window_that_a_run_decides_are_counted(monitored: Any) -> None:
    monitored.versions = ["brought-1"]
    serve_rows(monitored, draw_rows(monitored.generator, 1_000))

    report = monitored.run(hours=50)

    assert [(each["start"], each["rows"]) for each in report["windows"]] == [("2026-01-31T17:00:00Z", 1_000)]


@pytest.mark.parametrize(("has_rows", "state"), [(False, "Unknown"), (True, "True")])
def test_a_served_version_that_nothing_counts_leaves_the_signals_unknown(
    monitored: Any, has_rows: bool, state: str
) -> None:
    monitored.versions.append("brought-1")
    if has_rows:  # of another version: this one had no traffic
        write_rows(
            monitored.root / "inputs" / "rows" / "a.parquet",
            monitored.pod.version,
            monitored.start,
            draw_rows(monitored.generator, 10),
        )

    report = monitored.run_hour()

    assert {each["state"] for each in report["signals"].values()} == {state}
    assert ("brought-1 has no baseline.json" in report["signals"]["drift"]["message"]) is not has_rows
