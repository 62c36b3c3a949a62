"""What is written for elsewhere, and what is refused before anything is."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from flywheel.cli import manifest_files, promote
from flywheel.cli.errors import CommandError
from flywheel.core.resource.values import Number
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from tests.cli import sample_namespace

S3 = {"s3": {"uri": "s3://production/delay.onnx", "secretName": "store"}, "sha256": "7" * 64}


def test_a_trained_version_travels_by_the_digest_of_what_is_served() -> None:
    written = promote.promoted_version(sample_namespace.VERSION, {}, "production")

    assert written["metadata"] == {
        "name": sample_namespace.CHAMPION,
        "namespace": "production",
        "annotations": {"flywheel.ml/promoted-from": f"default/{sample_namespace.CHAMPION}@{sample_namespace.SERVED}"},
    }
    assert written["spec"] | {"metrics": {}, "lineage": {}} == {
        "model": "delay",
        "format": "ONNX",
        "source": {"artifact": {"digest": sample_namespace.SERVED}},
        "path": "model.onnx",
        "metrics": {},
        "lineage": {},
    }
    assert written["spec"]["lineage"] == sample_namespace.LINEAGE


def test_a_brought_version_stays_where_it_was_brought_from() -> None:
    written = promote.promoted_version(sample_namespace.BROUGHT_VERSION, {})

    assert written["spec"]["source"] == sample_namespace.BROUGHT_VERSION["spec"]["source"]
    assert "namespace" not in written["metadata"]


def test_a_place_of_the_targets_own_wins() -> None:
    assert promote.promoted_version(sample_namespace.VERSION, S3)["spec"]["source"] == S3


def test_metrics_are_declared_as_a_spec_takes_them_and_what_was_measured_here_is_not() -> None:
    metrics = promote.promoted_version(sample_namespace.VERSION, {})["spec"]["metrics"]

    assert sorted(metrics) == ["log_loss", "roc_auc"]
    assert all(Number.parse(value) for value in metrics.values())
    assert float(metrics["log_loss"]) == pytest.approx(0.00012345678901234567, rel=1e-14)


def test_an_approval_never_travels() -> None:
    assert "approval" not in promote.promoted_version(sample_namespace.LATER, {})["spec"]


def test_a_pinned_champion_is_a_decision_of_here() -> None:
    spec = promote.promoted_model(sample_namespace.DELAY)["spec"]

    assert spec == {key: value for key, value in sample_namespace.DELAY["spec"].items() if key != "champion"}


@pytest.mark.parametrize(
    "version", [sample_namespace.VERSION, sample_namespace.BROUGHT_VERSION], ids=["trained", "brought"]
)
@pytest.mark.parametrize("place", [{}, S3], ids=["by digest", "by file"])
def test_what_is_written_fits_the_kind(version: dict[str, Any], place: dict[str, Any]) -> None:
    ModelVersionSpec.model_validate(promote.promoted_version(version, place)["spec"], extra="forbid")
    ModelSpec.model_validate(promote.promoted_model(sample_namespace.DELAY)["spec"], extra="forbid")


def test_files_are_written_once(tmp_path: Path) -> None:
    manifests = [promote.promoted_model(sample_namespace.DELAY), promote.promoted_version(sample_namespace.VERSION, {})]

    written = manifest_files.write_manifests(manifests, tmp_path / "new", force=False)

    assert [path.name for path in written] == ["model-delay.yaml", f"modelversion-{sample_namespace.CHAMPION}.yaml"]
    assert yaml.safe_load(written[1].read_text()) == manifests[1]
    assert manifest_files.write_manifests(manifests, tmp_path / "new", force=False) == []


def test_a_file_of_other_content_is_overwritten_only_with_force(tmp_path: Path) -> None:
    manifests = [promote.promoted_model(sample_namespace.DELAY), promote.promoted_version(sample_namespace.VERSION, {})]
    mine = tmp_path / f"modelversion-{sample_namespace.CHAMPION}.yaml"
    mine.write_text("mine")

    with pytest.raises(CommandError, match="exists with other content"):
        manifest_files.write_manifests(manifests, tmp_path, force=False)

    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert len(manifest_files.write_manifests(manifests, tmp_path, force=True)) == 2
    assert mine.read_text() != "mine"


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CommandError, match="cannot be written"):
        manifest_files.write_manifests(
            [promote.promoted_model(sample_namespace.DELAY)], tmp_path / "file" / "below", force=False
        )


@pytest.mark.parametrize(
    ("content", "there"),
    [
        pytest.param({"apiVersion": "flywheel.ml/v1alpha1", "kind": "Model", "metadata": {"name": "delay"}}, True, id="it is there"),
        pytest.param({"apiVersion": "flywheel.ml/v1alpha1", "kind": "Model", "metadata": {"name": "fraud"}}, False, id="another one"),
        pytest.param({"apiVersion": "cluster.x-k8s.io/v1", "kind": "Model", "metadata": {"name": "delay"}}, False, id="somebody else's"),
        pytest.param("{{ .Values.all }}: [", False, id="a template of another tool"),
        pytest.param(["kind", "Model"], False, id="a list"),
    ],
)  # fmt: skip
def test_a_model_that_the_target_has_is_its_own(tmp_path: Path, content: Any, there: bool) -> None:
    (tmp_path / "deep").mkdir()
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (tmp_path / "deep" / "a.yaml").write_text(text)

    assert manifest_files.declares_model(tmp_path, "delay") is there


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(["--source", "s3://b/m.onnx"], "--source needs --sha256", id="a file of unknown content"),
        pytest.param(["--source", "s3://b/folder/", "--sha256", "7" * 64], "give one file in a bucket", id="a folder"),
        pytest.param(["--source", "https://b/m", "--sha256", "7" * 64], "give one file in a bucket", id="no bucket"),
        pytest.param(["--source", "s3://b/m", "--sha256", "xyz"], "--sha256: 'xyz' must be 64", id="no digest"),
        pytest.param(["--sha256", "7" * 64], "--sha256 needs --source", id="a digest of nothing"),
        pytest.param(
            ["--source", "s3://b/m", "--sha256", "7" * 64, "--endpoint", "https://x"], "give --secret too", id="a foreign store"
        ),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_one(words: list[str], sentence: str) -> None:
    parser = ArgumentParser()
    promote.add_arguments(parser)
    chosen = parser.parse_args(["delay", "--to", "x", *words])

    with pytest.raises(CommandError, match=sentence) as caught:
        promote.run(chosen)

    assert caught.value.code == 2
