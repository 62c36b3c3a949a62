"""The real MLflow logs into the files of the contract: what users' code does, in the environment of requirements/mlflow.txt."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from flywheel_runtime.commands.collect.outputs import read_metrics
from tests.runtime.mlflow_plugin.mlflow_process import MLflow

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_autolog_of_scikit_learn_is_recorded_with_what_is_logged_after_its_run(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("autolog_of_scikit_learn")

    metrics = read_metrics(done.outputs / "metrics.json")
    assert metrics["training_accuracy_score"] > 0.9
    assert metrics["accuracy"] > 0.9
    assert done.read("parameters.json")["C"] == "0.5"
    assert done.read("tags.json")["estimator_name"] == "LogisticRegression"
    assert "model/MLmodel" in done.artifacts
    assert not (done.outputs / "model").exists()  # a pickle is no model that Flywheel serves


@pytest.mark.long_run  # a search of scikit-learn that logs each candidate
def test_candidates_of_a_search_are_nested_runs(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("a_search_of_scikit_learn")

    metrics, parameters = read_metrics(done.outputs / "metrics.json"), done.read("parameters.json")
    assert metrics["best_cv_score"] > 0.9
    assert parameters["best_C"] in ("1", "10")
    assert sorted(value for name, value in parameters.items() if name.endswith("/C")) == ["0.1", "1", "10"]
    assert len([name for name in metrics if name.endswith("/mean_test_score")]) == 3


def test_everything_that_a_run_logs_has_its_place(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("everything_in_one_run")

    assert read_metrics(done.outputs / "metrics.json") == {"loss": 1 / 3, "roc_auc": 0.9, "rows": 120}
    assert done.points[:3] == [("loss", 0, 1), ("loss", 1, 0.5), ("loss", 2, 1 / 3)]
    assert done.read("parameters.json") == {"rate": "0.1", "depth": "3", "loss": "squared error", "shuffle": "True"}
    tags = done.read("tags.json")
    assert {name: tags.pop(name) for name in ("team", "stage", "data")} == {
        "team": "delays",
        "stage": "try",
        "data": "iris",
    }
    assert tags["mlflow.runName"] == "first"
    assert tags["mlflow.note.content"] == "What it is"
    assert "gone" not in tags
    assert done.artifacts == ["link.txt", "notes/notes.txt", "settings.json"]
    assert not (done.outputs / "artifacts" / "link.txt").is_symlink()


def test_names_of_nested_runs_begin_with_the_run(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("nested_runs")

    assert read_metrics(done.outputs / "metrics.json") == {
        "roc_auc": 0.85,
        "fold_/roc_auc": 0.8,
        "fold_-2/roc_auc": 0.9,
    }
    assert done.read("parameters.json") == {"fold_/fold": "0", "fold_-2/fold": "1"}
    assert done.artifacts == ["fold_-2/rows.txt", "fold_/rows.txt"]


def test_several_runs_are_one_step_and_the_later_one_counts(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("several_runs")

    assert read_metrics(done.outputs / "metrics.json") == {"loss": 0.4, "train": 1}
    assert done.read("parameters.json") == {"rate": "0.2"}


def test_another_process_resumes_a_run(real_mlflow: MLflow) -> None:
    started = real_mlflow.run("a_run_begins")
    assert not (started.outputs / "metrics.json").exists()
    assert started.read("parameters.json") == {"rate": "0.1"}

    done = real_mlflow.run("the_run_is_resumed")

    assert read_metrics(done.outputs / "metrics.json") == {"loss": 0.25}


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        ("a_run_of_elsewhere_is_resumed", "is not one of this step"),
        ("a_step_that_is_a_fraction", "step 1.5 of metric 'loss' is no whole number"),
        ("too_many_parameters", "The parameters of this step would have more than 1048576 bytes"),
        ("a_parameter_changes", "is '0.1' and cannot become '0.2'"),
        ("a_run_is_deleted", "Runs are not deleted"),
        ("a_model_is_registered", "A step of Flywheel has no model registry"),
    ],
)
def test_what_is_refused_has_a_sentence(real_mlflow: MLflow, scenario: str, sentence: str) -> None:
    done = real_mlflow.try_to_run(scenario)

    assert done.exit_code == 1
    assert sentence in done.log


def test_metrics_that_are_not_finite_stay_in_the_curves_alone(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("metrics_that_are_not_finite")

    assert read_metrics(done.outputs / "metrics.json") == {"roc_auc": 0.9}
    assert ("loss", 1, None) in done.points
    assert ("norm", 0, None) in done.points
    assert "2 metrics have no last value in metrics.json" in done.log


def test_a_hundred_thousand_points_are_all_recorded(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("a_hundred_thousand_points")

    assert [step for _, step, _ in done.points] == list(range(100_000))
    assert read_metrics(done.outputs / "metrics.json") == {"loss": 1e-5}


def test_steps_are_whole_numbers(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("steps_that_are_whole")

    assert done.points == [("loss", 2, 0.5), ("loss", -1, 0.4), ("loss", 0, 0.3)]
    assert all(isinstance(step, int) for _, step, _ in done.points)
    assert read_metrics(done.outputs / "metrics.json") == {"loss": 0.5}


def test_a_long_parameter_is_cut_as_mlflow_cuts_it(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("a_long_parameter")

    assert done.read("parameters.json") == {"query": "x" * 6000}
    assert "is truncated" in done.log


def test_a_run_that_an_exception_ends_declares_no_outputs(real_mlflow: MLflow) -> None:
    done = real_mlflow.try_to_run("an_exception_ends_the_run")

    assert done.exit_code == 1
    assert not (done.outputs / "metrics.json").exists()
    assert done.read("parameters.json") == {"rate": "0.1"}


def test_a_run_that_nobody_ends_is_ended_with_the_program(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("no_run_is_ended")

    assert read_metrics(done.outputs / "metrics.json") == {"loss": 0.5}


def test_metrics_of_the_helper_count_above_those_of_mlflow(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("the_helper_finishes")

    assert read_metrics(done.outputs / "metrics.json") == {"loss": 0.5, "roc_auc": 0.7}


def test_points_that_are_logged_beside_the_program_are_there_at_its_end(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("metrics_are_logged_beside")

    assert len(done.points) == 100
    assert read_metrics(done.outputs / "metrics.json") == {"loss": 99}


def test_code_searches_its_own_runs(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("runs_are_searched")

    assert done.read("tags.json")["mlflow.experimentName"] == "delays"


def test_a_logged_onnx_model_becomes_the_output_model(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("an_onnx_model_is_logged")

    assert [each.name for each in (done.outputs / "model").iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(done.outputs / "model" / "model.onnx")
    assert session.run(["label"], {"X": np.zeros((2, 4), np.float32)})[0].shape == (2,)
    assert "classifier/MLmodel" in done.artifacts
    assert done.points == [("loss", 0, 0.5), ("roc_auc", 0, 0.9)]  # MLflow logs the first one again with the model


def test_weights_beside_a_model_are_put_into_it_and_the_first_model_of_the_step_counts(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("large_weights_are_logged")

    [model] = (done.outputs / "model").iterdir()
    assert model.stat().st_size > 512 * 512 * 4
    session = onnxruntime.InferenceSession(model)
    assert session.run(None, {"x": np.ones((1, 512), np.float32)})[0][0, 0] == 512
    assert "The output 'model' has files already" in done.log
    assert "model-2/MLmodel" in done.artifacts


def test_the_name_of_a_registered_model_becomes_a_tag(real_mlflow: MLflow) -> None:
    done = real_mlflow.try_to_run("a_model_is_registered")

    assert done.read("tags.json")["mlflow.registeredModelName"] == "again"
    assert "Flywheel registers the output 'model' itself" in done.log


def test_a_traced_function_works_without_its_trace(real_mlflow: MLflow) -> None:
    done = real_mlflow.run("a_traced_function_is_called")

    assert read_metrics(done.outputs / "metrics.json") == {"double": 6}


def test_code_may_log_to_another_address(real_mlflow: MLflow, tmp_path: Path) -> None:
    real_mlflow.run("another_address_is_set")

    assert not (tmp_path / "outputs").exists()
