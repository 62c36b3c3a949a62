"""Runs over rows of the store: outputs of a BatchInference, and the log that another server left."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from flywheel_runtime.monitoring.documents import DocumentProblems
from flywheel_runtime.monitoring.stored_rows.batch_outputs import BatchOutput, OutputManifest, read_batch_output
from tests.runtime.monitoring.traffic import DIGEST, START, draw_rows, timestamp

pytestmark = pytest.mark.integration  # a second of statistics for each monitored window

VERSION = "flight-delay-3f9a1c"
WRITERS = {"Parquet": "PARQUET", "CSV": "CSV, HEADER", "JSONL": "JSON"}
SUFFIXES = {"Parquet": "parquet", "CSV": "csv", "JSONL": "jsonl"}


def write_batch(
    root: Path, name: str, table: dict[str, Any], form: str = "Parquet", *, without: str = ""
) -> dict[str, Any]:
    """The output of a run with two files, and what params.json says of it."""
    folder = root / "inputs" / name
    folder.mkdir(parents=True)
    columns = {key: values for key, values in table.items() if key not in ("score", without)}
    columns |= {"probability_0": 1 - table["score"], "probability_1": table["score"]}
    listed = {key: values.tolist() for key, values in columns.items()}
    rows, files = len(table["score"]), []
    for part, chosen in enumerate((slice(None, rows // 2), slice(rows // 2, None))):
        path = f"part-{part:05}.{SUFFIXES[form]}"
        write_table({key: values[chosen] for key, values in listed.items()}, folder / path, WRITERS[form])
        files.append({"path": path, "sha256": "", "size": 1, "rows": len(range(*chosen.indices(rows)))})
    manifest = {"v": 1, "plan": name, "model": {"name": "b", "version": VERSION, "digest": DIGEST}, "format": form}
    manifest |= {"columns": [*columns], "rows": rows, "files": files}
    (folder / "_manifest.json").write_text(json.dumps(manifest))
    return {"input": name, "version": VERSION, "digest": DIGEST}


def write_table(columns: dict[str, list[Any]], path: Path, options: str) -> None:
    with duckdb.connect() as connection:
        types = ", ".join(
            f'"{name}" {"VARCHAR" if isinstance(each[0], str) else "DOUBLE"}' for name, each in columns.items()
        )
        connection.execute(f"CREATE TABLE t ({types})")
        marks = ", ".join("?" for _ in columns)
        connection.executemany(f"INSERT INTO t VALUES ({marks})", list(zip(*columns.values(), strict=True)))
        connection.execute(f"COPY t TO '{path}' (FORMAT {options})")


def run_batch(monitored: Any, table: dict[str, Any], form: str = "Parquet", **changes: Any) -> dict[str, Any]:
    """A run of the monitor over one hour in which a run of the BatchInference finished."""
    (monitored.root / "inputs" / f"version-{VERSION}" / "signature.json").write_text(json.dumps({"classes": [0, 1]}))
    run = write_batch(monitored.root, f"batch-{monitored.windows}", table, form, **changes)
    finished = timestamp(monitored.start.replace(minute=20))
    report: dict[str, Any] = monitored.run(storedRows={"source": "Batch", "runs": [{**run, "finishedAt": finished}]})
    return report


def states(report: dict[str, Any]) -> dict[str, str]:
    return {name: signal["state"] for name, signal in report["signals"].items()}


@pytest.mark.parametrize("form", ["Parquet", "CSV", "JSONL"])
def test_the_outputs_of_a_batch_are_compared_with_the_training(monitored: Any, form: str) -> None:
    report = run_batch(monitored, draw_rows(monitored.generator, 1_200), form)

    assert states(report) == {"dataQuality": "True", "drift": "True"}, report["signals"]
    assert (report["rows"], report["requests"], report["completeness"]) == (1_200, 1, None)
    assert {each["name"] for each in report["columns"]} == {"x0", "x1", "carrier", "prediction"}
    assert report["windows"][0]["reference"] == {"rows": 10_000, "window": None}
    assert "do not tell of errors, latencies and completeness" in report["signals"]["drift"]["message"]


@pytest.mark.usefixtures("drawn_charts")
def test_drift_of_batches_is_found_and_says_where(monitored: Any) -> None:
    reports = [run_batch(monitored, draw_rows(monitored.generator, 1_200, shift=0.8)) for _ in range(3)]

    [finding] = reports[-1]["findings"]
    assert (finding["signal"], finding["subject"], finding["is_skew"]) == ("featureDrift", "x0", False)
    assert "logged rows are counted" in monitored.page


def test_a_column_that_is_not_included_is_said_and_not_missing(monitored: Any) -> None:
    report = run_batch(monitored, draw_rows(monitored.generator, 1_200), without="x1")

    assert states(report) == {"dataQuality": "True", "drift": "True"}
    assert "these columns are not in the rows, and not compared: 'x1'" in report["note"]
    assert "x1" not in {each["name"] for each in report["columns"]}


def test_an_output_that_is_gone_or_of_another_version_is_counted_as_a_problem(monitored: Any) -> None:
    run = {"input": "batch-9", "version": VERSION, "digest": DIGEST, "finishedAt": timestamp(START)}
    report = monitored.run(storedRows={"source": "Batch", "runs": [run]})

    assert report["documents"]["problems"]["unreadable"]["count"] > 0
    assert states(report) == {"dataQuality": "Unknown", "drift": "Unknown"}


@pytest.mark.parametrize("path", ["../elsewhere/part-0.parquet", "/part-0.parquet", "part-*.parquet"])
def test_a_manifest_names_files_of_its_own_output(tmp_path: Path, path: str) -> None:
    columns = {"x0": [1.0, 2.0]}
    for folder in ("batch", "elsewhere"):
        (tmp_path / folder).mkdir()
        write_table(columns, tmp_path / folder / "part-0.parquet", "PARQUET")
    output = BatchOutput(tmp_path / "batch", VERSION, DIGEST, 0, 3_600)
    problems = DocumentProblems()
    path = path.replace("/part", f"{tmp_path}/elsewhere/part") if path.startswith("/") else path
    manifest = OutputManifest("plan", "Parquet", ("x0",), ((path, 2), ("part-0.parquet", 2)))

    [table] = read_batch_output(output, manifest, None, None, problems)

    assert (table.file, problems.counts) == ("plan/part-0.parquet", {"unreadable": 1})


def test_rows_of_another_server_are_counted_in_the_bins_of_the_training(monitored: Any) -> None:
    def serve(shift: float) -> dict[str, Any]:
        table = draw_rows(monitored.generator, 1_200, shift=shift)
        folder = monitored.root / "inputs" / "rows" / f"{monitored.windows}"
        folder.mkdir(parents=True)
        start = int(monitored.start.timestamp())
        listed = {name: values.tolist() for name, values in table.items()}
        listed["seconds"] = (start + np.arange(1_200) * 3).tolist()
        write_table({**listed, "carrier": listed["carrier"]}, folder / "flat.parquet", "PARQUET")
        with duckdb.connect() as connection:
            features = "{'x0': x0, 'x1': x1, 'carrier': carrier}"
            rows = f"SELECT to_timestamp(seconds) AS time, '{VERSION}' AS version, {features} AS features, {{'probabilities': [1 - score, score]}} AS outputs"
            connection.execute(
                f"COPY ({rows} FROM '{folder / 'flat.parquet'}') TO '{folder / 'rows.parquet'}' (FORMAT PARQUET)"
            )
        (folder / "flat.parquet").unlink()
        found: dict[str, Any] = monitored.run(storedRows={"source": "Log"})
        return found

    report = serve(0.0)
    assert states(report) == {"dataQuality": "True", "drift": "True"}, report["signals"]
    assert (report["rows"], report["completeness"]) == (1_200, None)
    reports = [serve(0.8) for _ in range(3)]
    assert [each["subject"] for each in reports[-1]["findings"]] == ["x0"]
