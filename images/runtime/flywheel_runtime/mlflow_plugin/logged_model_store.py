"""MLflow's logged models in a step: folders of artifacts, of which one becomes the output `model`."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from mlflow.entities import LoggedModelStatus
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchLoggedModelsUtils
from mlflow.utils.validation import _validate_logged_model_name

from flywheel_runtime.mlflow_plugin.entities import model_entity
from flywheel_runtime.mlflow_plugin.onnx_output import publish_onnx_model
from flywheel_runtime.mlflow_plugin.run_state import DEFAULT_EXPERIMENT, State
from flywheel_runtime.mlflow_plugin.step_store import (
    StepStore,
    find_experiment,
    find_model,
    missing,
    not_supported,
    now,
)

MAX_PAGE = 100  # models, where the caller names no number


class LoggedModelStore(StepStore):
    """The methods of MLflow's AbstractStore for logged models."""

    def create_logged_model(
        self,
        experiment_id: str = DEFAULT_EXPERIMENT,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Sequence[Any] | None = None,
        params: Sequence[Any] | None = None,
        model_type: str | None = None,
    ) -> Any:
        _validate_logged_model_name(name)
        name = name or _generate_random_name()
        model_id, created = f"m-{uuid.uuid4().hex}", now()
        with self._journal.update() as update:
            find_experiment(update.state, experiment_id)
            fields = {
                "name": name,
                "experiment": experiment_id,
                "folder": update.state.model_folder(name, source_run_id),
                "created": created,
                "updated": created,
                "run": source_run_id,
                "type": model_type,
                "tags": {tag.key: tag.value for tag in tags or ()},
                "params": {param.key: param.value for param in params or ()},
            }
            update.append({"kind": "model", "id": model_id, "set": fields})
        return self.get_logged_model(model_id)

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:
        return model_entity(find_model(self._journal.read(), model_id))

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        state = self._set_on_model(model_id, {"status": str(status.value)})
        model = state.models[model_id]
        nested = model.run in state.runs and state.runs[model.run].prefix
        if status == LoggedModelStatus.READY and not nested:
            publish_onnx_model(self._folder / "artifacts" / model.folder, self._folder / "model")
        return model_entity(model)

    def set_logged_model_tags(self, model_id: str, tags: Sequence[Any]) -> None:
        self._set_on_model(model_id, {"tags": {tag.key: tag.value for tag in tags}})

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        if key not in find_model(self._journal.read(), model_id).tags:
            raise missing(f"Model '{model_id}' has no tag '{key}'.")
        self._set_on_model(model_id, {"tags": {key: None}})

    def log_logged_model_params(self, model_id: str, params: Sequence[Any]) -> None:
        self._set_on_model(model_id, {"params": {param.key: param.value for param in params}})

    def _set_on_model(self, model_id: str, fields: dict[str, Any]) -> State:
        with self._journal.update() as update:
            find_model(update.state, model_id)
            update.append({"kind": "model", "id": model_id, "set": {**fields, "updated": now()}})
            return update.state

    def delete_logged_model(self, model_id: str) -> NoReturn:
        raise not_supported("Logged models are not deleted: what was tracked stays.")

    def search_logged_models(
        self,
        experiment_ids: Iterable[str],
        filter_string: str | None = None,
        datasets: list[Any] | None = None,
        max_results: int | None = None,
        order_by: list[Any] | None = None,
        page_token: str | None = None,
    ) -> Any:
        wanted = set(experiment_ids)
        found = [model_entity(each) for each in self._journal.read().models.values() if each.experiment in wanted]
        found = SearchLoggedModelsUtils.filter_logged_models(found, filter_string, datasets)
        found = SearchLoggedModelsUtils.sort(found, order_by)
        return PagedList(*SearchLoggedModelsUtils.paginate(found, page_token, max_results or MAX_PAGE))
