"""What users' code does with MLflow, each function in a process of its own: `python scenarios.py` reads lines `NAME FOLDER`.

It runs in the environment of requirements/mlflow.txt, without a network.
"""

import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import mlflow
import mlflow.onnx
import mlflow.sklearn
import numpy as np
import onnx
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from flywheel_runtime import run


def refuse_to_connect(*_address: Any) -> NoReturn:
    """Ends the scenario: a step has no network."""
    sys.stderr.write("the network was used\n")
    os._exit(9)


def autolog_of_scikit_learn() -> None:
    features, target = load_iris(return_X_y=True)
    mlflow.sklearn.autolog()
    model = LogisticRegression(max_iter=300, C=0.5).fit(features, target)
    # No run is active any more, so MLflow begins another one for this metric.
    mlflow.log_metric("accuracy", model.score(features, target))


def a_search_of_scikit_learn() -> None:
    features, target = load_iris(return_X_y=True)
    mlflow.autolog()
    GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1, 10]}, cv=2).fit(features, target)


def everything_in_one_run() -> None:
    with mlflow.start_run(run_name="first", tags={"team": "delays"}, description="What it is"):
        mlflow.log_param("rate", 0.1)
        mlflow.log_params({"depth": 3, "loss": "squared error", "shuffle": True})
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"roc_auc": 0.9, "rows": np.int64(120)})
        mlflow.set_tag("stage", "try")
        mlflow.set_tags({"gone": 1, "data": "iris"})
        mlflow.delete_tag("gone")
        Path("notes.txt").write_text("hello")
        mlflow.log_artifact("notes.txt", "notes")
        mlflow.log_dict({"a": 1}, "settings.json")
        Path("link.txt").symlink_to("notes.txt")
        mlflow.log_artifact("link.txt")


def nested_runs() -> None:
    with mlflow.start_run():
        for fold in range(2):
            with mlflow.start_run(nested=True, run_name="fold/é"):
                mlflow.log_param("fold", fold)
                mlflow.log_metric("roc_auc", 0.8 + fold / 10)
                mlflow.log_text("text", "rows.txt")
        mlflow.log_metric("roc_auc", 0.85)


def several_runs() -> None:
    with mlflow.start_run():
        mlflow.log_param("rate", 0.1)
        mlflow.log_metric("loss", 0.5, step=9)
        mlflow.log_metric("train", 1)
    with mlflow.start_run():
        mlflow.log_param("rate", 0.2)
        mlflow.log_metric("loss", 0.4, step=0)


def a_run_begins() -> None:
    started = mlflow.start_run()
    mlflow.log_metric("loss", 0.5, step=0)
    mlflow.log_param("rate", 0.1)
    (run.root() / "run-id").write_text(started.info.run_id)
    os._exit(0)  # as a process that is killed


def the_run_is_resumed() -> None:
    run_id = (run.root() / "run-id").read_text()
    with mlflow.start_run(run_id=run_id) as resumed:
        assert resumed.data.params == {"rate": "0.1"}
        assert resumed.data.metrics == {"loss": 0.5}
        mlflow.log_metric("loss", 0.25, step=1)
    history = MlflowClient().get_metric_history(run_id, "loss")
    assert [(each.step, each.value) for each in history] == [(0, 0.5), (1, 0.25)]


def a_run_of_elsewhere_is_resumed() -> None:
    mlflow.start_run(run_id="0123456789abcdef0123456789abcdef")


def metrics_that_are_not_finite() -> None:
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.log_metric("loss", float("nan"), step=1)
        mlflow.log_metric("norm", float("inf"))
        mlflow.log_metric("roc_auc", 0.9)


def a_hundred_thousand_points() -> None:
    with mlflow.start_run() as active:
        for first in range(0, 99_000, 1000):
            points = [Metric("loss", 1 / (step + 1), step, step) for step in range(first, first + 1000)]
            MlflowClient().log_batch(active.info.run_id, metrics=points)
        for step in range(99_000, 100_000):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)


def a_step_that_is_a_fraction() -> None:
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5, step=1.5)  # type: ignore[arg-type, unused-ignore]


def steps_that_are_whole() -> None:
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5, step=2.0)  # type: ignore[arg-type, unused-ignore]
        mlflow.log_metric("loss", 0.4, step=-1)
        mlflow.log_metric("loss", 0.3)


def a_long_parameter() -> None:
    with mlflow.start_run():
        mlflow.log_param("query", "x" * 7000)


def too_many_parameters() -> None:
    with mlflow.start_run():
        for number in range(300):
            mlflow.log_params({f"query{number}": "x" * 6000})


def a_parameter_changes() -> None:
    with mlflow.start_run():
        mlflow.log_param("rate", 0.1)
        mlflow.log_param("rate", 0.1)
        mlflow.log_param("rate", 0.2)


def an_exception_ends_the_run() -> None:
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5)
        mlflow.log_param("rate", 0.1)
        raise RuntimeError("the data is empty")


def no_run_is_ended() -> None:
    mlflow.log_metric("loss", 0.5)


def the_helper_finishes() -> None:
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5)
        mlflow.log_metric("roc_auc", 0.9)
        run.log(step=0, helper=1)
        run.finish({"roc_auc": 0.7})


def metrics_are_logged_beside() -> None:
    with mlflow.start_run():
        for step in range(100):
            mlflow.log_metric("loss", step, step=step, synchronous=False)


def runs_are_searched() -> None:
    mlflow.set_experiment("delays")
    for rate in (0.1, 0.2, 0.3):
        with mlflow.start_run():
            mlflow.log_param("rate", rate)
            mlflow.log_metric("loss", rate)
    found = mlflow.search_runs(
        filter_string="metrics.loss > 0.15", order_by=["metrics.loss DESC"], output_format="list"
    )
    assert [each.data.params["rate"] for each in found] == ["0.3", "0.2"], found
    assert {each.name for each in MlflowClient().search_experiments()} == {"flight-delay", "delays"}
    assert mlflow.last_active_run().data.metrics == {"loss": 0.3}


def iris_as_onnx() -> Any:
    features, target = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=300).fit(features, target)
    return to_onnx(model, features[:1].astype(np.float32), options={"zipmap": False})


def weights_of_a_megabyte() -> Any:
    """A model whose weights MLflow writes into a file beside it."""
    node = onnx.helper.make_node("MatMul", ["x", "weights"], ["y"])
    weights = onnx.numpy_helper.from_array(np.ones((512, 512), np.float32), "weights")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", 512]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "product", ends[:1], ends[1:], [weights])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def an_onnx_model_is_logged() -> None:
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.onnx.log_model(iris_as_onnx(), name="classifier", pip_requirements=[])
        mlflow.log_metric("roc_auc", 0.9)


def large_weights_are_logged() -> None:
    with mlflow.start_run():
        with mlflow.start_run(nested=True):
            mlflow.onnx.log_model(iris_as_onnx(), name="of-a-fold", pip_requirements=[])
        mlflow.onnx.log_model(weights_of_a_megabyte(), name="model", pip_requirements=[])
        mlflow.onnx.log_model(iris_as_onnx(), name="model", pip_requirements=[])


def a_model_is_registered() -> None:
    with mlflow.start_run() as active:
        logged = mlflow.onnx.log_model(
            iris_as_onnx(), name="model", registered_model_name="flight-delay", pip_requirements=[]
        )
        mlflow.set_tag("model", logged.model_id)
    assert mlflow.onnx.load_model(f"runs:/{active.info.run_id}/model").graph.input
    mlflow.register_model(f"models:/{logged.model_id}", "again")
    assert MlflowClient().search_registered_models() == []
    MlflowClient().set_registered_model_alias("flight-delay", "champion", "1")


def a_traced_function_is_called() -> None:
    @mlflow.trace  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        return 2 * number

    with mlflow.start_run():
        assert double(2) == 4
        mlflow.log_metric("double", double(3))


def a_run_is_deleted() -> None:
    with mlflow.start_run() as active:
        pass
    mlflow.delete_run(active.info.run_id)


def another_address_is_set() -> None:
    assert mlflow.get_tracking_uri() == "flywheel:"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    mlflow.set_tracking_uri(f"sqlite:///{run.root()}/mlflow.db")
    assert mlflow.get_tracking_uri().startswith("sqlite:")


def run_scenario(name: str, folder: Path) -> NoReturn:
    """Run one function as main of a step, whose folder is `folder`, and end the process."""
    log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["FLYWHEEL_ROOT"] = str(folder)
    (folder / "work").mkdir(exist_ok=True)
    os.chdir(folder / "work")
    socket.socket.connect = refuse_to_connect  # type: ignore[method-assign]
    try:
        globals()[name]()
    except MlflowException as error:
        sys.exit(f"MlflowException: {error}")
    except Exception:  # noqa: BLE001  as any program that ends with a traceback
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def main() -> None:
    for line in sys.stdin:
        name, folder = line.split()
        child = os.fork()
        if child == 0:
            run_scenario(name, Path(folder))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


main()
