"""The command from a file to a service and back: init, test, status, explain, predict, and the decisions of people about versions."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import flywheel as fw
from e2e import kube, pipelines
from e2e.cluster import cluster
from e2e.flywheel_command import Flywheel
from e2e.namespace import Namespace
from e2e.reader_access import bind, give_reader_a_key, wait_for_reader
from e2e.waiting import wait_until

pytestmark = pytest.mark.long

NAME = "islands"
SECOND = "islands-second"

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: slow}
spec:
  steps:
  - name: sleep
    container: {image: %(image)s, command: [python3, -c, "import time; time.sleep(600)"]}
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 birds of two species, which differ in weight and island."""
    file, pick = tmp_path_factory.mktemp("table") / f"{NAME}.csv", random.Random(7)
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("bird_id", "island", "mass", "wing", "species"))
        for number in range(600):
            heavy = pick.random() < 0.5
            mass, island = pick.gauss(5.0 if heavy else 3.8, 0.5), pick.choice("ab" if heavy else "bc")
            rows.writerow((number, island, f"{mass:.2f}", f"{pick.gauss(20, 2):.1f}", "Gentoo" if heavy else "Adelie"))
    return file


@pytest.fixture(scope="module")
def place(namespace: Namespace) -> str:
    """Where the cluster finds the table."""
    return f"s3://{kube.bucket()}/{namespace.name}/uploads/{NAME}/"


def test_init_writes_what_the_cluster_accepts(
    flywheel: Flywheel, namespace: Namespace, table: Path, place: str
) -> None:
    manifests = table.with_suffix(".yaml")
    assert f"kubectl apply -f {manifests} -n {namespace.name}" in flywheel(
        "init", table, "--uri", place, "--to", manifests
    )
    assert ", 0 refused; nothing was created" in flywheel("test", "-f", manifests)

    namespace.apply(manifests)


def test_explain_follows_a_service_to_the_data_that_is_missing(flywheel: Flywheel, namespace: Namespace) -> None:
    wait_until(
        lambda: kube.condition(namespace.get("fwds", NAME)).get("reason") in ("EmptySource", "SourceMissing"),
        120,
        lambda: f"the data is missing, and the Dataset has {kube.condition(namespace.get('fwds', NAME))}",
    )
    found = json.loads(flywheel("explain", f"inferenceservice/{NAME}", "--output", "json"))

    kinds = [each["kind"] for each in found["chain"]]
    assert kinds[0] == "InferenceService"
    assert kinds[-2:] == ["Experiment", "Dataset"]
    assert found["causes"] == [f"dataset/{NAME}"]
    text = flywheel("explain", f"inferenceservice/{NAME}")
    assert f"Next step for dataset/{NAME}" in text
    assert f"waits for dataset/{NAME}" in flywheel("status")


def test_status_is_a_tree_from_data_to_service(flywheel: Flywheel, namespace: Namespace, table: Path) -> None:
    namespace.upload(f"{NAME}/{NAME}.csv", table.read_bytes())
    namespace.kubectl("annotate", "fwds", NAME, "flywheel.ml/check-requested=now", "--overwrite")
    namespace.wait("fwds", NAME)
    namespace.wait("fwsvc", NAME, seconds=400)
    lines = flywheel("status").splitlines()

    assert [line.split("●")[0].rstrip() for line in lines[1:]] == [
        f"Dataset {NAME}",
        f"└─ Experiment {NAME}",
        f"   └─ Model {NAME}",
        f"      ├─ ModelVersion {champion(namespace)}",
        f"      └─ InferenceService {NAME}",
    ]
    assert {each["state"] for each in json.loads(flywheel("status", "-o", "json"))["items"]} == {"good"}
    assert f"model/{NAME}" in flywheel("status", "-o", "name").splitlines()
    assert "Nothing is wrong with it" in flywheel("explain", f"inferenceservice/{NAME}")


def champion(namespace: Namespace) -> str:
    return str(((namespace.get("fwmodel", NAME) or {}).get("status") or {}).get("champion"))


def test_a_file_of_rows_is_predicted(flywheel: Flywheel, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("island,mass,wing\na,5.4,20.1\nc,3.5,19.8\n")
    predictions = json.loads(flywheel("predict", NAME, "-f", tmp_path / "rows.csv", "-o", "json"))["predictions"]

    labels = [next(value for value in each.values() if value in ("Gentoo", "Adelie")) for each in predictions]
    assert labels == ["Gentoo", "Adelie"]


def test_what_was_tracked_is_read_with_the_rights_of_an_account(
    flywheel: Flywheel, namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_reader_a_key()
    bind(namespace, "visitor", "view", "flywheel-data-reader")
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))
    monkeypatch.setenv("FLYWHEEL_SERVICE_ACCOUNT", "visitor")
    wait_for_reader(fw.connect(namespace.name, service_account="visitor"))

    assert (
        len(flywheel("trials", "--experiment", NAME, "--order-by", "metrics.roc_auc DESC", "-o", "name").split()) == 8
    )
    assert len(json.loads(flywheel("trials", "--experiment", NAME, "-o", "json"))["items"]) == 8
    assert "roc_auc" in flywheel("compare", f"{NAME}/1", f"{NAME}/2")
    flywheel("download", "model", NAME, "--file", "model.onnx", "--to", tmp_path)
    assert (tmp_path / "model.onnx").stat().st_size > 0


def test_names_of_the_cluster_are_completed(namespace: Namespace) -> None:
    script = "import sys; from flywheel.cli.completion import complete_for_kubectl; sys.exit(complete_for_kubectl())"
    words = ["explain", "--namespace", namespace.name, "inferenceservice/"]
    done = run_alone(script, *words)

    assert done.stdout.splitlines() == [f"inferenceservice/{NAME}", ":4"], done.stderr


def run_alone(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.chosen().kubeconfig),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [sys.executable, "-c", script, *words], env=environment, capture_output=True, text=True, check=False
    )


def test_a_pin_is_served_and_a_rollback_undoes_it(flywheel: Flywheel, namespace: Namespace) -> None:
    first = champion(namespace)
    spec = (namespace.get("fwver", first) or {})["spec"]
    copied = {key: spec[key] for key in ("model", "source", "path", "format") if key in spec}
    namespace.apply(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "ModelVersion", "metadata": {"name": SECOND}, "spec": copied}
    )
    namespace.wait("fwver", SECOND, seconds=180)

    assert f"is pinned to '{SECOND}', before it was '{first}'" in flywheel("pin", NAME, SECOND)
    serves(namespace, SECOND)
    assert f"is pinned to '{first}', before it was '{SECOND}'" in flywheel("rollback", NAME)
    serves(namespace, first)
    assert "the operator chooses its champion" in flywheel("pin", NAME, "--unset")


def serves(namespace: Namespace, version: str) -> None:
    wait_until(
        lambda: ((namespace.get("fwsvc", NAME) or {}).get("status") or {}).get("version") == version,
        120,
        f"'{version}' is not served",
    )


def test_a_version_waits_for_an_approval_that_the_command_gives(flywheel: Flywheel, namespace: Namespace) -> None:
    flywheel("reject", champion(namespace))
    namespace.kubectl("patch", "fwmodel", NAME, "--type=merge", "--patch", '{"spec":{"promotion":"Approval"}}')
    printed = flywheel("approve", SECOND, "--reason", "the tour")

    assert f"ModelVersion '{SECOND}'" in printed
    approval = (namespace.get("fwver", SECOND) or {})["spec"]["approval"]
    assert f"is approved by '{approval['by']}'" in printed
    assert "is offered again" in flywheel("reject", next(iter(rejected(namespace))), "--undo")


def rejected(namespace: Namespace) -> list[str]:
    versions = kube.list_objects("fwver", namespace.name)
    return [each["metadata"]["name"] for each in versions if each["spec"].get("archived")]


def test_a_run_is_cancelled(flywheel: Flywheel, namespace: Namespace) -> None:
    namespace.apply(PIPELINE % {"image": pipelines.runtime_image()})
    namespace.wait("fwpipe", "slow")
    run = flywheel("run", "slow").split("'")[1]

    assert "is cancelled: its running steps are stopped" in flywheel("cancel", run)
    wait_until(
        lambda: kube.condition(namespace.get("fwrun", run), "Succeeded").get("reason") == "Cancelled",
        120,
        lambda: f"the run has {kube.condition(namespace.get('fwrun', run), 'Succeeded')}",
    )


def test_the_reader_of_a_pipe_may_go_away(namespace: Namespace) -> None:
    script = (
        f"import sys; from flywheel.cli import main; sys.exit(main(['status', '-o', 'json', '-n', '{namespace.name}']))"
    )
    line = f'{sys.executable} -c "{script}" | head -c 1; echo ${{PIPESTATUS[0]}}'
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.chosen().kubeconfig),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)

    assert done.stdout[0] == "{"
    assert "Traceback" not in done.stderr


def test_wrong_usage_is_an_exit_code_of_its_own(flywheel: Flywheel) -> None:
    assert "did you mean 'model'?" in flywheel("explain", "modl/islands", code=2)
