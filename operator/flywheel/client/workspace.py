"""One namespace of one cluster, as its user sees it: trials, models, datasets, runs, and what is applied."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from flywheel.client.errors import FlywheelError
from flywheel.client.session import Session
from flywheel.client.trial_list import Trial, Trials, find_trial, list_trials
from flywheel.core.resource.api import GROUP, Api, Manifest

if TYPE_CHECKING:
    from datetime import datetime

    from flywheel.client.objects.live_dataset import LiveDataset
    from flywheel.client.objects.live_model import LiveModel
    from flywheel.client.objects.live_objects import LiveObject, Run
    from flywheel.client.objects.live_service import LiveService
    from flywheel.client.objects.resources import TypedObject
    from flywheel.client.receipts.document import Receipt
    from flywheel.client.training.experiment_manifest import TrainingOptions
    from flywheel.client.training.function_training import Training


@dataclass(frozen=True)
class Workspace:
    """One namespace. Its methods raise FlywheelError where a server refuses."""

    session: Session

    @property
    def namespace(self) -> str:
        """The namespace's name."""
        return self.session.namespace

    def experiments(self, *, name: str | None = None, limit: int | None = None) -> Trials:
        """Returns the trials of all Experiments of the namespace, or of one, newest first."""
        trials_alone = None if name else "attributes.kind = 'Experiment'"
        return self.trials(trials_alone, "attributes.start_time DESC", experiment=name, limit=limit)

    def trials(
        self,
        filter: str | None = None,
        order_by: str | Sequence[str] | None = None,
        *,
        experiment: str | None = None,
        pipeline: str | None = None,
        limit: int | None = None,
    ) -> Trials:
        """Returns the trials, and steps of TrainingRuns, that a filter matches, such as `metrics.roc_auc > 0.7 and params.estimator = 'Ridge'`, in an order.

        The filter is MLflow's filter string. Trials without the metric or parameter of the order, or with NaN, come last in both directions.
        """
        records = list_trials(
            self.session.reader,
            self.namespace,
            filter=filter,
            order_by=order_by,
            experiment=experiment,
            pipeline=pipeline,
            limit=limit,
        )
        return Trials(list(records), self.session.reader, self.namespace, f"trials of namespace '{self.namespace}'")

    def trial(self, reference: str) -> Trial:
        """Returns a trial by its id or by EXPERIMENT/NUMBER, or a step of a TrainingRun by RUN/STEP."""
        return find_trial(self.session.reader, self.namespace, reference)

    def model(self, name: str) -> "LiveModel":
        """Returns a Model; its methods read it."""
        from flywheel.client.objects.live_model import LiveModel

        return LiveModel(self.session, name)

    def dataset(self, name: str) -> "LiveDataset":
        """Returns a Dataset; its methods read it."""
        from flywheel.client.objects.live_dataset import LiveDataset

        return LiveDataset(self.session, name)

    def service(self, name: str) -> "LiveService":
        """Returns an InferenceService; its methods read it."""
        from flywheel.client.objects.live_service import LiveService

        return LiveService(self.session, name)

    def why(
        self,
        id: str,
        *,
        service: str | None = None,
        row: int = 0,
        around: "datetime | None" = None,
        replay: bool = True,
    ) -> "Receipt":
        """Returns the receipt of a logged prediction: row, version, audit records and contributions, answered again by the stored model.

        `service` is by default any that logs predictions, and `around` when the request was, to the hour, where its client chose the id.
        """
        from flywheel.client.receipts.assembly import make_receipt

        return make_receipt(self.session, id, service=service, row=row, around=around, replay=replay)

    def run(self, pipeline: str, /, **parameters: Any) -> "Run":
        """Starts a TrainingPipeline now, and returns the run."""
        from flywheel.client.objects.live_objects import start_run

        return start_run(self.session, pipeline, parameters)

    def train(
        self,
        function: Callable[..., Any],
        *,
        wait: bool = True,
        timeout: float | None = None,
        **options: "Unpack[TrainingOptions]",
    ) -> "Training":
        """Trains a function on the cluster; `flywheel.train` has the same arguments and documents them."""
        from flywheel.client.training.function_training import train_function

        return train_function(self.session, function, options, wait=wait, timeout=timeout)

    def apply(self, given: "TypedObject[Any] | Manifest", *, force: bool = False) -> "LiveObject":
        """Applies a typed object or a manifest of one of Flywheel's kinds, server-side, and returns the live object.

        Fields that another manager owns cause an error, unless `force` takes them.
        """
        from flywheel.client.objects.live_objects import LiveObject

        manifest = given if isinstance(given, Mapping) else given.to_manifest()
        api = _flywheel_kind(manifest)
        namespace = manifest["metadata"].get("namespace") or self.namespace
        complete = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
        made = self.session.apply(api, complete, force=force)
        return LiveObject(self.session.in_namespace(namespace), api, str(made["metadata"]["name"]))

    def __repr__(self) -> str:
        return f"<Workspace of namespace '{self.namespace}'>"


def _flywheel_kind(manifest: Manifest) -> Api:
    from flywheel.client.objects.resources import TypedObject

    for each in TypedObject.__subclasses__():
        if (manifest.get("apiVersion"), manifest.get("kind")) == (each.api.api_version, each.api.kind):
            return each.api
    raise FlywheelError(
        f"{manifest.get('apiVersion')}/{manifest.get('kind')} is none of the kinds of {GROUP}; apply it with kubectl",
        reason="OtherKind",
    )
