"""Models of an MLflow server become manifests that the schema accepts."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from flywheel.cli.errors import CommandError
from flywheel.cli.mlflow_import.model_manifests import (
    Destination,
    FoundModel,
    confine_file,
    model_manifest,
    object_name,
    refuse_equal_names,
    source_of,
    version_manifest,
    without_credentials,
)
from flywheel.cli.mlflow_import.runs_table import write_runs
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec

SHA256 = "9b1c6a3de8b3e47a5f4c19d1a9a6ef0a7f0a2e3a54ad44b5d64c9e2e4d0f1c77"
FOUND = FoundModel(
    name="Flight Delay",
    version="3",
    file="flight-delay-3.onnx",
    sha256=SHA256,
    place="s3://mlflow/1/models/m-1/artifacts/model.onnx",
    is_alone=True,
    server="https://user:password@mlflow.example",
    run_id="abc",
)


@pytest.mark.parametrize(
    ("model", "destination", "source"),
    [
        pytest.param(
            FOUND,
            Destination(secret="acme"),
            {"s3": {"uri": FOUND.place, "secretName": "acme"}, "sha256": SHA256},
            id="the server's own bucket",
        ),
        pytest.param(
            replace(FOUND, place="https://u:p@mlflow.example/api/2.0/mlflow-artifacts/artifacts/1/model.onnx"),
            Destination(),
            {
                "http": {"url": "https://mlflow.example/api/2.0/mlflow-artifacts/artifacts/1/model.onnx"},
                "sha256": SHA256,
            },
            id="a server that serves its files",
        ),
        pytest.param(
            replace(FOUND, is_alone=False),
            Destination("s3://acme/imported/", "acme", "https://s3.example"),
            {
                "s3": {
                    "uri": "s3://acme/imported/flight-delay-3.onnx",
                    "endpoint": "https://s3.example",
                    "secretName": "acme",
                },
                "sha256": SHA256,
            },
            id="a bucket that the user names",
        ),
        pytest.param(replace(FOUND, is_alone=False), Destination(), None, id="weights in a second file on the server"),
        pytest.param(replace(FOUND, place="/mlruns/1/model.onnx"), Destination(), None, id="a file of the server"),
        pytest.param(replace(FOUND, place="gs://bucket/model.onnx"), Destination(), None, id="another kind of store"),
    ],
)
def test_the_source_is_where_pods_can_read_the_file(
    model: FoundModel, destination: Destination, source: dict[str, object] | None
) -> None:
    assert source_of(model, destination) == source


def test_a_version_has_the_metrics_and_parameters_of_its_run() -> None:
    found = replace(
        FOUND,
        metrics={"roc_auc": 0.97, "loss of a fold": 0.1, "diverged": math.nan, "tiny": 1e-30},
        params={"max_iter": "300", "query": "x" * 300},
        tags={"mlflow.source.git.commit": "9f8e7d6c", "mlflow.source.git.repoURL": "https://me:token@git.example/x"},
    )

    manifest = version_manifest(found, source_of(found, Destination()) or {}, "shop")

    spec = ModelVersionSpec.model_validate(manifest["spec"])
    assert manifest["metadata"] == {
        "name": "flight-delay-3",
        "namespace": "shop",
        "annotations": {"flywheel.ml/imported-from": "https://mlflow.example models:/Flight Delay/3 run abc"},
    }
    assert spec.metrics == {"roc_auc": "0.97", "tiny": "1e-30"}
    assert spec.lineage is not None
    assert spec.lineage.parameters == {"max_iter": "300", "query": "x" * 256}
    assert (spec.lineage.git_revision, spec.lineage.git_repository) == ("9f8e7d6c", "https://git.example/x")


def test_a_model_waits_for_an_approval() -> None:
    manifest = model_manifest(FOUND, None)

    assert ModelSpec.model_validate(manifest["spec"]).promotion == "Approval"
    assert manifest["metadata"] == {"name": "flight-delay"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Flight Delay", "flight-delay"),
        ("é", "model"),
        ("--", "model"),
        ("x" * 60, "x" * 40),
        ("team/a_b.c", "team-a-b-c"),
    ],
)
def test_names_become_names_of_kubernetes(name: str, expected: str) -> None:
    assert object_name(name) == expected


def test_two_models_that_would_have_one_name_are_refused() -> None:
    with pytest.raises(CommandError, match="'Flight Delay' and 'flight_delay' would both be Model 'flight-delay'"):
        refuse_equal_names([FOUND, replace(FOUND, version="4"), replace(FOUND, name="flight_delay")])


def test_no_credentials_of_a_uri_are_shown() -> None:
    assert without_credentials("http://u:p@host/x and sqlite:////m.db") == "http://host/x and sqlite:////m.db"


def test_the_table_has_a_row_for_each_run_and_a_column_for_each_name(tmp_path: Path) -> None:
    runs = [
        {"experiment": "a", "run_id": "1", "params.rate": "0.1", "metrics.loss": math.nan, "tags.team": 'x "y",\n'},
        {"experiment": "b", "run_id": "2", "metrics.auc": 0.5},
    ]

    assert write_runs(tmp_path / "runs.csv", runs) == 2

    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[6:] == ["metrics.auc", "metrics.loss", "params.rate", "tags.team"]
    assert [row["metrics.loss"] for row in rows] == ["", ""]
    assert rows[0]["tags.team"] == 'x "y",\n'


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../secret.onnx", "a/../../secret.onnx", "link.onnx", "missing.onnx"]
)
def test_a_file_that_is_not_the_models_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.onnx").write_bytes(b"")
    (folder / "link.onnx").symlink_to(tmp_path / "secret.onnx")
    (folder / "data").mkdir()
    (folder / "data/model.onnx").write_bytes(b"")

    with pytest.raises(CommandError, match="which is none of the model's"):
        confine_file(folder, name, "iris")
    assert confine_file(folder, "data/model.onnx", "iris") == (folder / "data/model.onnx").resolve()
