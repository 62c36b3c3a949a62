"""The functions of `import flywheel as fw`: those of a workspace that is connected when the first one is called."""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Unpack

from flywheel.client.session import Options, open_user_session
from flywheel.client.trial_list import Trial, Trials
from flywheel.client.workspace import Workspace
from flywheel.core.resource.api import Manifest

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

# A notebook that changes one of these gets another connection.
VARIABLES = (
    "KUBECONFIG",
    "FLYWHEEL_READER_URL",
    "FLYWHEEL_RELEASE_NAMESPACE",
    "FLYWHEEL_NAMESPACE_OF_RELEASE",
    "FLYWHEEL_SERVICE_ACCOUNT",
    "FLYWHEEL_TOKEN_FILE",
)


def connect(
    namespace: str | None = None,
    *,
    context: str | None = None,
    reader_url: str | None = None,
    release_namespace: str | None = None,
    service_account: str | None = None,
    token_file: str | None = None,
    audience: str | None = None,
) -> Workspace:
    """Returns one namespace of the cluster of KUBECONFIG; by default the namespace and cluster of its current context.

    The other arguments are those of `flywheel.client.session.Options`.
    """
    options = Options(reader_url, release_namespace, service_account, token_file, audience)
    return Workspace(open_user_session(namespace, context=context, options=options))


def experiments(namespace: str | None = None, *, name: str | None = None, limit: int | None = None) -> Trials:
    """Returns the trials of all Experiments of a namespace, or of the one with that name, newest first."""
    return _workspace(namespace).experiments(name=name, limit=limit)


def trials(
    filter: str | None = None,
    order_by: str | Sequence[str] | None = None,
    *,
    namespace: str | None = None,
    experiment: str | None = None,
    pipeline: str | None = None,
    limit: int | None = None,
) -> Trials:
    """Returns the trials that a filter matches, in an order; see `Workspace.trials`."""
    return _workspace(namespace).trials(filter, order_by, experiment=experiment, pipeline=pipeline, limit=limit)


def trial(reference: str, *, namespace: str | None = None) -> Trial:
    """Returns a trial by its id, or by EXPERIMENT/NUMBER."""
    return _workspace(namespace).trial(reference)


def model(name: str, *, namespace: str | None = None) -> "LiveModel":
    """Returns a Model: `.champion()`, `.version(name)`, `.versions()`, `.predict(rows)`."""
    return _workspace(namespace).model(name)


def dataset(name: str, *, namespace: str | None = None) -> "LiveDataset":
    """Returns a Dataset: `.to_pandas(split="train")`, `.versions()`, `.profile()`."""
    return _workspace(namespace).dataset(name)


def service(name: str, *, namespace: str | None = None) -> "LiveService":
    """Returns an InferenceService: `.predict(rows)`, `.predictions(start, end)`."""
    return _workspace(namespace).service(name)


def why(
    id: str,
    *,
    namespace: str | None = None,
    service: str | None = None,
    row: int = 0,
    around: "datetime | None" = None,
    replay: bool = True,
) -> "Receipt":
    """Returns the receipt of a logged prediction by its id: `.prediction`, `.version`, `.audit`, `.replay`, `.contributions`, `.to_json()`."""
    return _workspace(namespace).why(id, service=service, row=row, around=around, replay=replay)


def run(pipeline: str, /, **parameters: Any) -> "Run":
    """Starts a TrainingPipeline of the current namespace, and returns the run: `.wait()`, `.steps()`, `.cancel()`."""
    return _workspace(None).run(pipeline, **parameters)


def train(
    function: Callable[..., Any],
    *,
    namespace: str | None = None,
    wait: bool = True,
    timeout: float | None = None,
    **options: "Unpack[TrainingOptions]",
) -> "Training":
    """Trains a function on the cluster: each trial calls it with other parameters. Returns the Training: `.best`, `.trials`, `.table`.

        fw.train(score, data="flights", objective="roc_auc", search={"learning_rate": (1e-3, 0.3, "log"), "depth": [2, 4, 8]})

    The function gets `data` (paths of Parquet files, `target`, `features`) and `run` (`log`, `output`) if it has parameters of these names,
    and returns the objective, or a dictionary of metrics. It may use only its parameters, its own imports and Python's builtins, which is
    checked before anything starts. `wait` prints its progress and the logs of its trials, for at most `timeout` seconds.

    Options, of which data and objective are required:
        data: the Dataset. objective: the metric, or ("my_loss", "Minimize") where Flywheel does not know the direction.
        search: parameters to search: (low, high) or (low, high, "log") is a range, of whole numbers if both are; a list is a choice.
        parameters: fixed parameters.
        image: an image with python3; by default Flywheel's runtime image, with scikit-learn, NumPy, DuckDB and ONNX.
        packages: the modules that `image` has, where the function imports any beside Python's own.
        trials: their number (12). parallelism: how many run at a time (2). resources: of each, as in a pod.
        register: the Model of which the best trial becomes a version; the function writes run.output("model") / "model.onnx".
        name: of the Experiment. By default it follows from function, data, objective and search.

    Raises:
        FlywheelError: the function cannot run on the cluster, and nothing was started; or no trial succeeded.
    """
    return _workspace(namespace).train(function, wait=wait, timeout=timeout, **options)


def apply(given: "TypedObject[Any] | Manifest", *, namespace: str | None = None, force: bool = False) -> "LiveObject":
    """Applies a typed object or a manifest of one of Flywheel's kinds, and returns the live object: `.wait()`, `.conditions()`."""
    return _workspace(namespace).apply(given, force=force)


def _workspace(namespace: str | None) -> Workspace:
    return _connected(namespace, tuple((name, os.environ.get(name)) for name in VARIABLES))


@lru_cache(maxsize=16)
def _connected(namespace: str | None, _environment: tuple[tuple[str, str | None], ...]) -> Workspace:
    return connect(namespace)
