"""The model registry of `flywheel:`. Versions are registered by an Experiment or a TrainingRun after their gates, never by the code that trains.

`log_model(registered_model_name=…)` and `mlflow.register_model` keep working: the name becomes a tag of the run, and a warning says so.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from mlflow.entities import RunTag
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore

from flywheel_runtime.mlflow_plugin.tracking_store import FlywheelTrackingStore

REGISTERED_NAME_TAG = "mlflow.registeredModelName"
VERSION = "1"  # of every answer: MLflow's client wants a number
_logger = logging.getLogger(__name__)


class FlywheelModelRegistry(AbstractStore):  # type: ignore[misc]  # mlflow is not installed where types are checked
    """Notes the wanted name, and refuses what would change or read a registry."""

    def __init__(self, store_uri: str | None = None, tracking_uri: str | None = None) -> None:
        super().__init__(store_uri, tracking_uri)
        self._tracking = FlywheelTrackingStore()

    def create_registered_model(
        self,
        name: str,
        tags: Sequence[Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> Any:
        """The name as an object; nothing is created."""
        return RegisteredModel(name, _now(), _now(), description)

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Sequence[Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> Any:
        """Write the name as a tag of the run that logged the model."""
        if run_id is None and model_id is not None:
            run_id = self._tracking.get_logged_model(model_id).source_run_id
        if run_id is not None:
            self._tracking.set_tag(run_id, RunTag(REGISTERED_NAME_TAG, name))
        _logger.warning(
            "'%s' is the tag %s of this step. Flywheel registers the output 'model' itself: set spec.register of the Experiment, or use a step 'register' of the pipeline.",
            name,
            REGISTERED_NAME_TAG,
        )
        return ModelVersion(name, VERSION, _now(), source=source, run_id=run_id, model_id=model_id)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """None: a step sees no registry."""
        return PagedList([], None)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """None: a step sees no registry."""
        return PagedList([], None)

    def _refuse(self, *arguments: Any, **named: Any) -> NoReturn:
        raise MlflowException(
            "A step of Flywheel has no model registry to read or change. Declare models as inputs of the step, and promotion in the Model (docs/promotion.md).",
            INVALID_PARAMETER_VALUE,
        )

    update_registered_model = _refuse
    rename_registered_model = _refuse
    delete_registered_model = _refuse
    get_registered_model = _refuse
    get_latest_versions = _refuse
    set_registered_model_tag = _refuse
    delete_registered_model_tag = _refuse
    update_model_version = _refuse
    transition_model_version_stage = _refuse
    delete_model_version = _refuse
    get_model_version = _refuse
    get_model_version_download_uri = _refuse
    set_model_version_tag = _refuse
    delete_model_version_tag = _refuse
    set_registered_model_alias = _refuse
    delete_registered_model_alias = _refuse
    get_model_version_by_alias = _refuse


def _now() -> int:
    return int(time.time() * 1000)
