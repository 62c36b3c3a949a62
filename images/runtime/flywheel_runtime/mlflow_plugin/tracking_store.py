"""The tracking store of `flywheel:`: runs as files of the contract, for MLflow's client in a step.

Each method has the name and the arguments that MLflow's AbstractStore gives it.
"""

import logging
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from mlflow.entities import RunStatus, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchUtils
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_param_keys_unique,
)

from flywheel_runtime.mlflow_plugin.entities import (
    dataset_fields,
    metric_entity,
    point_of,
    run_entity,
)
from flywheel_runtime.mlflow_plugin.experiment_store import ExperimentStore
from flywheel_runtime.mlflow_plugin.journal import Update
from flywheel_runtime.mlflow_plugin.logged_model_store import LoggedModelStore
from flywheel_runtime.mlflow_plugin.recorded_files import (
    MAX_FILE_BYTES,
    parameters_text,
    tags_text,
    write_if_other,
    write_metrics,
)
from flywheel_runtime.mlflow_plugin.run_state import (
    PARENT_TAG,
    RUN_NAME_TAG,
    Run,
    State,
)
from flywheel_runtime.mlflow_plugin.step_store import find_experiment, find_run, missing, not_supported

_logger = logging.getLogger(__name__)


class FlywheelTrackingStore(ExperimentStore, LoggedModelStore, AbstractStore):  # type: ignore[misc]  # see pyproject.toml: no MLflow
    """The runs of one step; experiments and logged models are those of the base classes."""

    # Runs

    def create_run(
        self, experiment_id: str, user_id: str, start_time: int, tags: Sequence[Any], run_name: str | None
    ) -> Any:
        given = {tag.key: tag.value for tag in tags}
        name = run_name or given.get(RUN_NAME_TAG) or _generate_random_name()
        run_id = uuid.uuid4().hex
        with self._journal.update() as update:
            find_experiment(update.state, experiment_id)
            fields = {
                "name": name,
                "experiment": experiment_id,
                "user": user_id or "",
                "started": start_time,
                "prefix": update.state.prefix(name, given.get(PARENT_TAG)),
                "tags": {**given, RUN_NAME_TAG: name},
            }
            update.append({"kind": "run", "id": run_id, "set": fields})
            self._write_texts(update.state)
        return self.get_run(run_id)

    def get_run(self, run_id: str) -> Any:
        return run_entity(find_run(self._journal.read(), run_id), self._curves.last().values())

    def update_run_info(self, run_id: str, run_status: Any, end_time: int | None, run_name: str | None) -> Any:
        with self._journal.update() as update:
            run = find_run(update.state, run_id)
            status = RunStatus.to_string(run_status) if run_status is not None else run.status
            fields: dict[str, Any] = {"status": status, "ended": end_time}
            if run_name:
                fields |= {"name": run_name, "tags": {RUN_NAME_TAG: run_name}}
            update.append({"kind": "run", "id": run_id, "set": fields})
            self._write_texts(update.state)
            if status == "FINISHED" and not run.prefix:
                self._finish(update)
        return self.get_run(run_id).info

    def delete_run(self, run_id: str) -> NoReturn:
        raise not_supported("Runs are not deleted: what was tracked stays.")

    restore_run = delete_run

    def _search_runs(
        self,
        experiment_ids: Iterable[str],
        filter_string: str | None,
        run_view_type: Any,
        max_results: int,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[Any], str | None]:
        wanted = set(experiment_ids)
        last = self._curves.last().values()
        runs = [run_entity(run, last) for run in self._journal.read().runs.values() if run.experiment in wanted]
        if run_view_type == ViewType.DELETED_ONLY:
            runs = []
        found = SearchUtils.sort(SearchUtils.filter(runs, filter_string), order_by)
        page: tuple[list[Any], str | None] = SearchUtils.paginate(found, page_token, max_results)
        return page

    # Metrics, parameters and tags

    def log_batch(self, run_id: str, metrics: Sequence[Any], params: Sequence[Any], tags: Sequence[Any]) -> None:
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        try:
            points = [point_of(run_id, metric) for metric in metrics]
        except ValueError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        if params or tags:
            self._log_texts(run_id, {each.key: each.value for each in params}, {each.key: each.value for each in tags})
        if points:
            run = find_run(self._journal.read(), run_id)
            if any(metric.model_id for metric in metrics):
                points = self._curves.new_points(run, points)
            self._curves.append(run, points)

    def _log_texts(self, run_id: str, params: dict[str, str], tags: dict[str, str]) -> None:
        with self._journal.update() as update:
            run = find_run(update.state, run_id)
            for name, value in params.items():
                if run.params.get(name, value) != value:
                    raise MlflowException(
                        f"Parameter '{name}' of run '{run.name}' is '{run.params[name]}' and cannot become '{value}'; give it another name, or log it in a nested run.",
                        INVALID_PARAMETER_VALUE,
                    )
            _check_room(run, params, tags, update.state)
            named = {"name": tags[RUN_NAME_TAG]} if RUN_NAME_TAG in tags else {}
            update.append({"kind": "run", "id": run_id, "set": {"params": params, "tags": tags, **named}})
            self._write_texts(update.state)

    def delete_tag(self, run_id: str, key: str) -> None:
        with self._journal.update() as update:
            if key not in find_run(update.state, run_id).tags:
                raise missing(f"Run '{run_id}' has no tag '{key}'.")
            update.append({"kind": "run", "id": run_id, "set": {"tags": {key: None}}})
            self._write_texts(update.state)

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> Any:
        run = find_run(self._journal.read(), run_id)
        found = [metric_entity(run, point) for point in self._curves.points(run, metric_key)]
        return PagedList(*SearchUtils.paginate(found, page_token, max_results or max(1, len(found))))

    def log_inputs(
        self, run_id: str, datasets: Sequence[Any] | None = None, models: Sequence[Any] | None = None
    ) -> None:
        fields = {
            "datasets": [dataset_fields(each) for each in datasets or ()],
            "input_models": [each.model_id for each in models or ()],
        }
        self._add_to_run(run_id, fields)

    def log_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        self._add_to_run(run_id, {"output_models": [each.to_dictionary() for each in models]})

    def _add_to_run(self, run_id: str, fields: dict[str, Any]) -> None:
        with self._journal.update() as update:
            find_run(update.state, run_id)
            update.append({"kind": "run", "id": run_id, "set": fields})
            self._write_texts(update.state)

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """What MLflow 2 told its servers about a model: its files say the same."""

    # Traces

    def start_trace(self, trace_info: Any) -> NoReturn:
        raise not_supported("Traces are not recorded; call mlflow.tracing.disable() to stop making them.")

    def link_traces_to_run(self, trace_ids: list[str], run_id: str) -> NoReturn:
        raise not_supported("Traces are not recorded.")

    # Files of the contract

    def _write_texts(self, state: State) -> None:
        write_if_other(self._folder / "tags.json", tags_text(state))
        write_if_other(self._folder / "parameters.json", parameters_text(state))

    def _finish(self, update: Update) -> None:
        digest, left_out = write_metrics(update.state, self._curves, self._folder)
        update.append({"kind": "state", "set": {"metrics_digest": digest}})
        if left_out:
            shown = ", ".join(f"'{name}'" for name in left_out[:10])
            _logger.warning(
                "%d metrics have no last value in metrics.json, which is not finite, or of a nested run after the first 100: %s. Their curves are complete.",
                len(left_out),
                shown,
            )


def _check_room(run: Run, params: dict[str, str], tags: dict[str, str], state: State) -> None:
    """Raises MlflowException if the file that collect reads would become too large."""
    for what, new, text in (("parameters", params, parameters_text), ("tags", tags, tags_text)):
        added = sum(len(run.prefix) + len(name) + len(value.encode()) + 8 for name, value in new.items())
        if added and len(text(state)) + added > MAX_FILE_BYTES:
            raise MlflowException(
                f"The {what} of this step would have more than {MAX_FILE_BYTES} bytes; log large values with log_dict or log_text, as files.",
                INVALID_PARAMETER_VALUE,
            )
