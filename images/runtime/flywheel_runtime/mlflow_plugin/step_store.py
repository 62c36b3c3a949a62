"""The folder of a step, and what is found in its journal."""

import time
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST

from flywheel_runtime import run as helper
from flywheel_runtime.mlflow_plugin.journal import Journal
from flywheel_runtime.mlflow_plugin.recorded_files import Curves
from flywheel_runtime.mlflow_plugin.run_state import Experiment, Model, Run, State


class StepStore:
    """One step's runs, in the folder of the contract: /flywheel/outputs in a pod."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._folder = helper.root().absolute() / "outputs"
        self._journal = Journal(self._folder)
        self._curves = Curves(self._folder)


def find_run(state: State, run_id: str) -> Run:
    """The run of that id. Raises MlflowException."""
    if run_id not in state.runs:
        raise missing(
            f"Run '{run_id}' is not one of this step, whose attempts begin without runs; call start_run() without run_id to begin one."
        )
    return state.runs[run_id]


def find_experiment(state: State, experiment_id: str) -> Experiment:
    """The experiment of that id. Raises MlflowException."""
    if experiment_id not in state.experiments:
        raise missing(
            f"Experiment '{experiment_id}' does not exist in this step; call mlflow.set_experiment with a name."
        )
    return state.experiments[experiment_id]


def find_model(state: State, model_id: str) -> Model:
    """The logged model of that id. Raises MlflowException."""
    if model_id not in state.models:
        raise missing(f"Model '{model_id}' was not logged in this step; log it before you use it.")
    return state.models[model_id]


def missing(message: str) -> MlflowException:
    """The error for an object that is not there."""
    return MlflowException(message, RESOURCE_DOES_NOT_EXIST)


def not_supported(message: str) -> MlflowException:
    """The error for a call that has no meaning in a step."""
    return MlflowException(
        f"{message} (docs/mlflow.md has what Flywheel does with MLflow's calls.)", INVALID_PARAMETER_VALUE
    )


def now() -> int:
    """The time in milliseconds since 1970."""
    return int(time.time() * 1000)
