"""`flywheel import mlflow` reads a real MLflow: its database, and its server."""

import csv
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import onnxruntime
import pytest
import yaml

from e2e.cluster.apiserver import free_port
from e2e.cluster.paths import CHECKOUT
from e2e.setup import ENVIRONMENT, mlflow

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PYTHON = ENVIRONMENT / "mlflow" / "bin" / "python"
CONTENTS = Path(__file__).with_name("server_contents.py")
COMMAND = "import sys; from flywheel.cli import main; sys.exit(main())"
ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
    "PYTHONPATH": str(CHECKOUT / "operator"),
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a database with two runs and three registered models, one of them a pickle. Files are served by a server, or beside it."""
    if not PYTHON.exists():  # `make integration` has made it
        mlflow()
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    subprocess.run([PYTHON, "-W", "ignore", CONTENTS, uri], cwd=folder, env=ENV, check=True, capture_output=True)
    return uri


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[str]:
    """A server that serves files itself, with the same contents."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    address = f"http://127.0.0.1:{port}"
    words = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [str(PYTHON), "-m", "mlflow", "server", *words, "--port", str(port), "--workers", "1"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=ENV, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(f"{address}/health", folder / "log")
            subprocess.run(
                [PYTHON, "-W", "ignore", CONTENTS, address], cwd=folder, env=ENV, check=True, capture_output=True
            )
            yield address
        finally:
            process.terminate()


def wait_for(url: str, log: Path) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def run_import(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(PYTHON), "-W", "ignore", "-c", COMMAND, "import", "mlflow", *map(str, words)]
    return subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)


def test_runs_and_onnx_models_of_a_database_are_written(database: str, tmp_path: Path) -> None:
    done = run_import("--tracking-uri", database, "--to", tmp_path, "--source", "s3://acme/imported/")

    assert done.returncode == 0, done.stderr
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = {row["experiment"]: row for row in csv.DictReader(file)}
    assert rows["flowers"]["metrics.roc_auc"] == "0.97"
    assert rows["flowers"]["metrics.diverged"] == ""
    assert rows["flowers"]["tags.team"] == "garden"
    assert sorted(each.name for each in (tmp_path / "models").iterdir()) == ["iris-flowers-1.onnx", "product-1.onnx"]
    onnxruntime.InferenceSession(tmp_path / "models" / "product-1.onnx")  # with its weights
    version = yaml.safe_load((tmp_path / "manifests" / "modelversion-product-1.yaml").read_text())
    assert version["spec"]["source"]["s3"] == {"uri": "s3://acme/imported/product-1.onnx"}
    assert "pickled" not in done.stdout


@pytest.mark.long_run  # a server of MLflow takes a minute to make its tables
def test_files_that_a_server_serves_need_no_bucket(server: str, tmp_path: Path) -> None:
    done = run_import("--tracking-uri", server, "--experiment", "flowers", "--to", tmp_path)

    assert done.returncode == 0, done.stderr
    [version] = (tmp_path / "manifests").glob("modelversion-*")
    source = yaml.safe_load(version.read_text())["spec"]["source"]
    with urllib.request.urlopen(source["http"]["url"], timeout=30) as response:
        assert response.read() == (tmp_path / "models" / "iris-flowers-1.onnx").read_bytes()


def test_a_model_whose_file_pods_cannot_read_is_named(database: str, tmp_path: Path) -> None:
    done = run_import("--tracking-uri", database, "--to", tmp_path)

    assert done.returncode == 1
    assert "version 1 of 'product' has no manifest: pods cannot read its file" in done.stdout
    assert not (tmp_path / "manifests").exists() or not list((tmp_path / "manifests").iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tracking-uri", "http://user:secret@127.0.0.1:9"], "MLflow at 'http://127.0.0.1:9' was not read"),
        (["--tracking-uri", "{database}", "--experiment", "unknown"], "has no experiment 'unknown'; it has"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(
    database: str, tmp_path: Path, words: list[str], sentence: str
) -> None:
    done = run_import(*(word.format(database=database) for word in words), "--to", tmp_path)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
