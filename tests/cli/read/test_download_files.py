"""`flywheel download`: which files, and where to."""

from pathlib import Path
from typing import Any

import pytest

from flywheel.cli import main
from tests.client.local_cluster import LocalCluster, Reply, artifact, reader_error
from tests.client.sample_records import record

FILES = {"model.onnx": b"an ONNX model", "evaluation.json": b"{}", "golden/rows.json": b"[]"}
DIGEST, ENTRIES = artifact(FILES)
VERSION = "/v1/namespaces/shop/modelversions/delay-1"
DATA = "/v1/namespaces/shop/datasets/flights/versions/flights-1"
TRIAL = f"/v1/namespaces/shop/trials/{record(7)['id']}"


def resource(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"model": "delay"}, "status": status}


@pytest.fixture(autouse=True)
def folder(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "work"
    found.mkdir()
    monkeypatch.chdir(found)
    cluster.add("models", resource("delay", champion="delay-1"))
    cluster.add("modelversions", resource("delay-1", digest=DIGEST))
    cluster.add(
        "datasets", resource("flights", version="flights-1", versions=[{"name": "flights-1", "digest": DIGEST}])
    )
    for base, listed_at in ((VERSION, VERSION), (DATA, f"{DATA}/files")):
        cluster.reader[listed_at] = Reply({"files": ENTRIES})
        cluster.reader |= {f"{base}/files/{path}": Reply(content, is_file=True) for path, content in FILES.items()}
    return found


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize(
    ("words", "name"),
    [(["model", "delay"], "delay-1"), (["version", "delay-1"], "delay-1"), (["dataset", "flights"], "flights-1")],
)
def test_all_files_of_an_artifact(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], name: str
) -> None:
    assert main(["download", *words]) == 0

    assert written(folder) == {f"{name}/{path}": content for path, content in FILES.items()}
    assert capsys.readouterr().out.splitlines() == [f"{name}/{entry['path']}" for entry in ENTRIES]


def test_chosen_files_into_a_folder(folder: Path) -> None:
    assert main(["download", "model", "delay", "--file", "*.onnx", "--file", "golden/*", "--to", "here"]) == 0

    assert sorted(written(folder)) == ["here/golden/rows.json", "here/model.onnx"]


def test_a_pattern_that_matches_nothing_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "model", "delay", "--file", "x"]) == 1
    assert (
        "no file of delay-1 matches x; it has evaluation.json, golden/rows.json, model.onnx" in capsys.readouterr().err
    )


def test_the_files_of_a_trial_and_its_log(cluster: LocalCluster, folder: Path) -> None:
    trial = {**record(7), "files": [entry for entry in ENTRIES if entry["path"] == "evaluation.json"]}
    cluster.reader |= {
        TRIAL: Reply(trial),
        f"{TRIAL}/files/evaluation.json": Reply(b"{}"),
        f"{TRIAL}/log": Reply(b"epoch 1\n"),
    }

    assert main(["download", "trial", record(7)["id"], "--to", "a"]) == 0
    assert main(["download", "logs", record(7)["id"], "--to", "b"]) == 0

    assert written(folder) == {"a/evaluation.json": b"{}", "b/main.log": b"epoch 1\n"}


def test_a_file_of_ones_own_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "delay-1").mkdir()
    (folder / "delay-1/model.onnx").write_text("mine")

    assert main(["download", "model", "delay"]) == 1
    assert "exists with other content; --force" in capsys.readouterr().err
    assert written(folder) == {"delay-1/model.onnx": b"mine"}

    assert main(["download", "model", "delay", "--force"]) == 0
    assert written(folder)["delay-1/model.onnx"] == FILES["model.onnx"]


def test_without_read_data_nothing_is_written(
    cluster: LocalCluster, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in FILES:
        cluster.reader[f"{VERSION}/files/{path}"] = reader_error(403, "Forbidden", "you may not read-data")

    assert main(["download", "model", "delay"]) == 1
    assert capsys.readouterr().err == "flywheel: you may not read-data\n"
    assert written(folder) == {}


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a\x1b[2J"])
def test_hostile_names_of_files_are_not_written(
    cluster: LocalCluster, folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    digest, entries = artifact({name: b"x"})
    cluster.add("modelversions", resource("delay-1", digest=digest))
    cluster.reader[VERSION] = Reply({"files": entries})

    assert main(["download", "model", "delay"]) == 1
    assert written(folder) == {}
    assert "\x1b" not in capsys.readouterr().err


def test_a_report_needs_its_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "report", "monthly-x7k2p"]) == 2
    assert "name it with --step" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "delay-1").write_text("a file")

    assert main(["download", "model", "delay"]) == 1
    assert "cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("report", "names"), [({}, ["report.json", "report.md"]), ({"message": "values are left out"}, ["report.json"])]
)
def test_the_page_of_a_report_that_leaves_values_out_is_not_downloaded(
    cluster: LocalCluster, folder: Path, capsys: pytest.CaptureFixture[str], report: dict[str, str], names: list[str]
) -> None:
    cluster.reader["/v1/namespaces/shop/trainingruns/monthly/steps/evaluate/report"] = Reply(report)

    assert main(["download", "report", "monthly", "--step", "evaluate"]) == 0

    assert sorted(written(folder)) == [f"monthly-evaluate/{name}" for name in names]
    assert ("values are left out" in capsys.readouterr().err) is ("message" in report)
