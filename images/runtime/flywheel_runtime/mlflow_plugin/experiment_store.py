"""MLflow's experiments in a step: names, which become a tag of their runs."""

from collections.abc import Sequence
from typing import Any, NoReturn

from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from mlflow.utils.validation import _validate_experiment_name

from flywheel_runtime.mlflow_plugin.entities import experiment_entity
from flywheel_runtime.mlflow_plugin.step_store import StepStore, find_experiment, not_supported, now


class ExperimentStore(StepStore):
    """The methods of MLflow's AbstractStore for experiments."""

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Sequence[Any] | None = None
    ) -> str:
        _validate_experiment_name(name)
        with self._journal.update() as update:
            if any(each.name == name for each in update.state.experiments.values()):
                raise MlflowException(f"Experiment '{name}' exists.", RESOURCE_ALREADY_EXISTS)
            number = str(len(update.state.experiments))
            fields = {"name": name, "created": now(), "tags": {tag.key: tag.value for tag in tags or ()}}
            update.append({"kind": "experiment", "id": number, "set": fields})
        return number

    def get_experiment(self, experiment_id: str) -> Any:
        return experiment_entity(find_experiment(self._journal.read(), experiment_id))

    def search_experiments(
        self,
        view_type: Any = ViewType.ACTIVE_ONLY,
        max_results: int = SEARCH_MAX_RESULTS_DEFAULT,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        found = [experiment_entity(each) for each in self._journal.read().experiments.values()]
        if view_type == ViewType.DELETED_ONLY:
            found = []
        found = SearchExperimentsUtils.filter(found, filter_string)
        found = SearchExperimentsUtils.sort(found, order_by or ["creation_time DESC", "experiment_id ASC"])
        return PagedList(*SearchUtils.paginate(found, page_token, max_results))

    def set_experiment_tag(self, experiment_id: str, tag: Any) -> None:
        self._set_experiment_tag(experiment_id, tag.key, tag.value)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        self._set_experiment_tag(experiment_id, key, None)

    def _set_experiment_tag(self, experiment_id: str, key: str, value: str | None) -> None:
        with self._journal.update() as update:
            experiment = find_experiment(update.state, experiment_id)
            if value is not None or key in experiment.tags:
                update.append({"kind": "experiment", "id": experiment.id, "set": {"tags": {key: value}}})

    def delete_experiment(self, experiment_id: str) -> NoReturn:
        raise not_supported("Experiments are not deleted: what was tracked stays.")

    restore_experiment = delete_experiment

    def rename_experiment(self, experiment_id: str, new_name: str) -> NoReturn:
        raise not_supported("An experiment is not renamed; call set_experiment with the name before the run begins.")
