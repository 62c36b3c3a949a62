"""A function of a notebook becomes trials on the cluster; its progress and logs are shown while it runs, and what cannot run starts nothing.

The three notebooks run as a user would run them, with a kubeconfig that has a token and the rights to edit one namespace and read its data.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import flywheel as fw
from demo.flights import flights_folder
from e2e import kube
from e2e.cluster import cluster
from e2e.cluster.paths import CHECKOUT
from e2e.namespace import Namespace
from flywheel.cli import main

ROWS = 400
EVERY = 40  # of so many flights of the demo's data there is one
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
USER = "analyst"
DEMO = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: flights}
spec:
  source: {s3: {uri: "%s"}}
  target: late
  keys: [flight_id]
  eventTime: time_hour
---
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: flight-delay}
spec:
  dataset: flights
  objective: {metric: roc_auc}
  trainer: {sklearn: {estimators: [{name: HistGradientBoostingClassifier, parameters: {max_iter: 40}}]}}
  register: flight-delay
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: flight-delay}
spec:
  model: flight-delay
  resources: {requests: {cpu: 50m, memory: 128Mi}}
  auth: {none: {}}
"""

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: counted}
spec:
  inputs: [{name: flights, dataset: flights}]
  steps:
  - name: count
    container:
      image: %s
      command: [python3, -c, "import duckdb; from flywheel_runtime import run; run.finish({'rows': duckdb.sql(f\\"SELECT count(*) FROM '{run.input('data')}/*.parquet'\\").fetchall()[0][0]})"]
      inputs: [{name: data, from: flights}]
"""


def rides() -> str:
    """Rides that are late more often in the evening."""
    draw = random.Random(7)
    hours = [draw.randrange(24) for _ in range(ROWS)]
    lines = (f"{number},{hour},{int(draw.random() < (0.8 if hour > 16 else 0.1))}" for number, hour in enumerate(hours))
    return "\n".join(("id,hour,late", *lines)) + "\n"


def late_after(data: Any, run: Any, hour: int, share: float) -> dict[str, float]:
    """The Brier score of one probability before an hour and another one after it."""
    import duckdb

    [(before, after)] = duckdb.execute(
        f"SELECT avg({data.target}) FILTER (hour <= $hour), avg({data.target}) FILTER (hour > $hour) FROM '{data.train}'",
        {"hour": hour},
    ).fetchall()
    print("rates before and after:", round(before, 3), round(after, 3))
    for step in range(3):
        run.log(step=step, progress=(step + 1) / 3)
    [(score,)] = duckdb.execute(
        f"SELECT avg((CASE WHEN hour > $hour THEN $after ELSE $before END * $share - {data.target}) ** 2) FROM '{data.validation}'",
        {"hour": hour, "before": before, "after": after, "share": share},
    ).fetchall()
    return {"brier": score, "features": len(data.features)}


def always_fails(hour: int) -> float:
    raise ValueError(f"hour {hour} is not what this function wants")


def imports_what_is_not_there(hour: int) -> float:
    import torch  # type: ignore[import-not-found]

    return float(torch.tensor(hour))


@pytest.fixture(scope="module")
def shop(namespace: Namespace) -> Namespace:
    uri = namespace.upload("rides.csv", rides())
    dataset = {"source": {"s3": {"uri": uri}}, "target": "late", "keys": ["id"]}
    namespace.apply(
        {
            "apiVersion": "flywheel.ml/v1alpha1",
            "kind": "Dataset",
            "metadata": {"name": "rides"},
            "spec": dataset,
        }
    )
    namespace.wait("fwds", "rides")
    return namespace


@pytest.fixture(autouse=True)
def kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    """The demo's objects, of fewer rows."""
    header, rows = "", []
    for path in sorted(flights_folder().glob("*.gz")):
        with gzip.open(path, "rt") as file:
            header, *more = file
        rows += more
    namespace.apply(DEMO % namespace.upload("flights.csv", "".join((header, *rows[::EVERY]))))
    namespace.wait("fwsvc", "flight-delay", seconds=400)
    return namespace


@pytest.fixture(scope="module")
def user_kubeconfig(served: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of a user who may edit the namespace and read its data."""
    served.kubectl("create", "serviceaccount", USER)
    account = f"--serviceaccount={served.name}:{USER}"
    for role in ("edit", "flywheel-data-reader"):
        served.kubectl("create", "rolebinding", f"{USER}-{role}", f"--clusterrole={role}", account)
    config = yaml.safe_load(cluster.chosen().kubeconfig.read_text())
    token = served.kubectl("create", "token", USER, "--duration=1h").strip()
    config["users"] = [{"name": USER, "user": {"token": token}}]
    used = {"cluster": config["clusters"][0]["name"], "user": USER, "namespace": served.name}
    config |= {"contexts": [{"name": USER, "context": used}], "current-context": USER}
    file = tmp_path_factory.mktemp("user") / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


@pytest.fixture(scope="module")
def notebook_python() -> Path:
    """The Python of .venv/notebooks."""
    subprocess.run([sys.executable, "-m", "e2e.setup", "notebooks"], cwd=CHECKOUT, check=True, timeout=600)
    return CHECKOUT / ".venv" / "notebooks" / "bin" / "python"


@pytest.mark.parametrize("notebook", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_a_notebook_runs_from_its_first_cell_to_its_last(
    user_kubeconfig: Path, notebook_python: Path, notebook: Path
) -> None:
    executed = CHECKOUT / ".cluster" / "notebooks"
    executed.mkdir(parents=True, exist_ok=True)
    environment = {
        "HOME": str(user_kubeconfig.parent),
        "KUBECONFIG": str(user_kubeconfig),
        "PATH": f"{notebook_python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT / "operator"),
    }
    words = [notebook_python, CHECKOUT / "e2e" / "execute_notebook.py", notebook, executed / notebook.name]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=900)

    assert done.returncode == 0, done.stderr[-3000:]


def test_a_step_runs_on_this_machine(
    served: Namespace,
    user_kubeconfig: Path,
    image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    served.apply(PIPELINE % image)
    monkeypatch.setenv("KUBECONFIG", str(user_kubeconfig))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the step's files stay where the command says

    code = main(["run", "counted", "--local", "--step", "count", "--rows", "50", "--yes"])

    output = capfd.readouterr()
    assert code == 0, output.err
    assert "rows = 150" in output.out


def train(shop: Namespace, function: Callable[..., Any], **more: Any) -> Any:
    resources = {"requests": {"cpu": "50m", "memory": "128Mi"}}
    return fw.train(
        function, data="rides", objective="brier", resources=resources, namespace=shop.name, timeout=240, **more
    )


def test_a_function_is_trained_while_its_logs_are_shown(shop: Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    training = train(shop, late_after, search={"hour": (12, 20)}, parameters={"share": 0.9}, trials=3)

    shown = capsys.readouterr().out
    status = training.manifest["status"]
    assert status["trials"]["succeeded"] == 3
    assert float(status["best"]["value"]) < 0.25
    assert status["best"]["metrics"]["features"] == "1"
    assert " | rates before and after: " in shown
    assert " | step 2 progress=1" in shown
    assert "trial 1 Succeeded brier=" in shown


def test_the_same_cell_shows_the_same_experiment(shop: Namespace) -> None:
    before = {each["metadata"]["name"] for each in shop_experiments(shop)}
    train(shop, late_after, search={"hour": (12, 20)}, parameters={"share": 0.9}, trials=3)

    assert {each["metadata"]["name"] for each in shop_experiments(shop)} == before


def test_a_function_that_fails_says_why(shop: Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(fw.FlywheelError) as raised:
        train(shop, always_fails, parameters={"hour": 7})

    assert "hour 7 is not what this function wants" in raised.value.condition["message"]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        pytest.param(lambda hour: hour, "a lambda has no name", id="lambda"),
        pytest.param(imports_what_is_not_there, "imports 'torch', which Flywheel's runtime image", id="import"),
    ],
)
def test_what_cannot_run_starts_nothing(shop: Namespace, function: Callable[..., Any], sentence: str) -> None:
    before = len(shop_experiments(shop))

    with pytest.raises(fw.FlywheelError, match=sentence):
        train(shop, function, parameters={"hour": 7})

    assert len(shop_experiments(shop)) == before


def shop_experiments(shop: Namespace) -> list[dict[str, Any]]:
    return kube.list_objects("fwexp", shop.name, "")
