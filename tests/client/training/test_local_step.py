"""`flywheel run --local`: a step runs on this machine with the first rows of its Dataset, or one sentence says why it cannot."""

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import arro3.core
import arro3.io
import pytest
import yaml

from flywheel.cli import main
from flywheel.client.errors import FlywheelError
from flywheel.client.training.local_run import LocalRun, run_local_step
from flywheel.client.training.local_step import LocalFiles, LocalStep, _variables, plan_local_step
from flywheel.core.resource.schema import Variable
from flywheel.kinds.trainingpipeline.schema.spec import TrainingPipelineSpec
from tests.client.local_cluster import Call, LocalCluster, Reply

pytestmark = pytest.mark.integration  # each runs a step

PROGRAM = """
import json, os, pathlib, sys

root = pathlib.Path(os.environ["FLYWHEEL_ROOT"])
params = json.loads((root / "params.json").read_text())
files = sorted(each.name for each in (root / "inputs" / "data").iterdir())
(root / "outputs" / "features").mkdir()
(root / "outputs" / "features" / "names.txt").write_text("hour")
(root / "outputs" / "metrics.json").write_text(json.dumps({"files": len(files), **params}))
print("mode", os.environ["MODE"], sys.argv[1:])
"""
MANIFEST = yaml.safe_load(
    """
parameters: [{name: months, type: Integer, default: "3"}]
inputs: [{name: flights, dataset: flights}]
steps:
- name: window
  prepare: {from: [flights]}
- name: features
  container:
    image: python:3.12
    command: [/usr/bin/python3, -c, "PROGRAM"]
    args: ["--months=$(params.months)"]
    parameters: {months: $(params.months), scale: "0.5"}
    env:
    - {name: MODE, value: "of $(params.months)"}
    - {name: TOKEN, secret: {name: hf, key: token}}
    - {name: PYTHONPATH, value: /planted}
    - {name: LD_PRELOAD, value: /planted.so}
    inputs: [{name: data, from: flights}]
    outputs: [features]
- name: late
  container: {image: "python:3.12", command: [python3, /app/late.py], inputs: [{name: rows, from: window}]}
- name: shell
  container: {image: "alpine:3", command: [sh, -c, "true"]}
- name: file
  container: {image: "python:3.12", command: [python3, /app/file.py]}
- name: program
  train:
    from: flights
    objective: {metric: f1}
    trainer:
      container:
        source: "print(1)"
        parameters: {epochs: 3}
        search: {rate: {float: {min: "0.01", max: "1", log: true}}, depth: {int: {min: 2, max: 5}}, loss: {choice: ["null", mae]}}
- name: sklearn
  train: {from: flights, trainer: {sklearn: {}}}
"""
)
MANIFEST["steps"][1]["container"]["command"][2] = PROGRAM
PIPELINE = TrainingPipelineSpec.model_validate(MANIFEST)
ROWS = "/v1/namespaces/shop/datasets/flights/versions/flights-1/rows"


def planned(step: str, *, code: Path | None = None, **folders: Path) -> LocalStep:
    return plan_local_step(PIPELINE, step, {}, LocalFiles(folders, code), date(2026, 11, 29))


def arrow(call: Call) -> Reply:
    """As many rows as were asked for."""
    count = int(dict(call.query)["limit"])
    table = arro3.core.Table.from_pydict({"hour": arro3.core.Array(list(range(count)), arro3.core.DataType.int64())})
    stream = BytesIO()
    arro3.io.write_ipc_stream(table, stream)
    return Reply(stream.getvalue())


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def shop(cluster: LocalCluster) -> LocalCluster:
    cluster.add("datasets", {"metadata": {"name": "flights"}, "status": {"version": "flights-1"}})
    cluster.add("trainingpipelines", {"metadata": {"name": "monthly"}, "spec": MANIFEST})
    cluster.reader[ROWS] = arrow
    cluster.reader[ROWS.replace("rows", "files/schema.json")] = Reply(b'{"target": "late"}')
    return cluster


def ran(shop: LocalCluster, step: LocalStep) -> tuple[LocalRun, list[str]]:
    lines: list[str] = []
    return run_local_step(shop.workspace().session, step, 5, lines.append), lines


def test_a_step_runs_with_the_first_rows_of_its_dataset(shop: LocalCluster, capfd: pytest.CaptureFixture[str]) -> None:
    ended, lines = ran(shop, planned("features"))

    assert ended.succeeded
    assert ended.metrics == {"files": 4, "months": 3, "scale": "0.5"}
    assert capfd.readouterr().out == "mode of 3 ['--months=3']\n"
    assert arro3.io.read_parquet(ended.folder / "inputs" / "data" / "test.parquet").read_all().num_rows == 5
    assert lines[0] == (
        "Input 'data' has the first rows of version 'flights-1' of Dataset 'flights': 5 train, 5 validation, 5 test."
    )
    assert "on the cluster the image is python:3.12." in lines[1]
    assert "TOKEN come from Secrets there, and from your environment here." in lines[1]


def test_a_training_runs_in_the_middle_of_its_search() -> None:
    step = planned("program")

    assert step.source == "print(1)"
    assert step.parameters == {"epochs": 3, "rate": pytest.approx(0.1), "depth": 4, "loss": None}
    assert step.inputs[0].dataset == "flights"


def test_a_step_that_wrote_no_metrics_has_not_succeeded(shop: LocalCluster) -> None:
    ended, _lines = ran(shop, planned("program"))

    assert (ended.exit_code, ended.metrics, ended.succeeded) == (0, None, False)


def test_a_folder_and_a_file_of_this_machine_stand_in(shop: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(PROGRAM.replace('inputs" / "data', 'inputs" / "rows').replace("MODE", "PATH"))
    (tmp_path / "rows").mkdir()

    ended, lines = ran(shop, planned("late", code=tmp_path / "late.py", rows=tmp_path / "rows"))

    assert ended.metrics == {"files": 0}
    assert lines[0] == f"Input 'rows' is the folder {tmp_path / 'rows'}."


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        pytest.param("widnow", "the pipeline has no step 'widnow'; it has window, features", id="no such step"),
        pytest.param("window", "step 'window' runs in Flywheel's runtime image (prepare)", id="a step of ours"),
        pytest.param("sklearn", "step 'sklearn' runs in Flywheel's runtime image (train)", id="trainer sklearn"),
        pytest.param("shell", "step 'shell' runs 'sh', which is not Python here", id="another program"),
        pytest.param("file", "'/app/file.py' of step 'file' is in its image", id="a file of the image"),
        pytest.param("late", "'/app/late.py' of step 'late' is in its image", id="a file and an input of a step"),
    ],
)
def test_what_cannot_run_here_says_why(step: str, sentence: str) -> None:
    with pytest.raises(FlywheelError) as refused:
        planned(step)

    assert sentence in refused.value.message


def test_the_output_of_another_step_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FlywheelError, match="input 'rows' of step 'late' is the output of step 'window'"):
        planned("late", code=tmp_path)


@pytest.fixture
def flywheel(shop: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command in namespace `shop`, and returns its exit code."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {"server": shop.url}}],
        "users": [{"name": "u", "user": {"token": "user-token"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return lambda *words: main(["run", "monthly", *words])


def test_the_command_prints_the_metrics_and_where_the_files_are(
    flywheel: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    code = flywheel("--local", "--step", "features", "--rows", "5", "-p", "months=6", "--yes")

    shown = capfd.readouterr().out
    assert code == 0
    assert "months = 6\n" in shown
    assert "mode of 6 ['--months=6']\n" in shown
    assert "The step's files are in " in shown


def test_the_command_reads_with_the_token_of_a_service_account(
    flywheel: Callable[..., int], shop: LocalCluster
) -> None:
    assert flywheel("--local", "--step", "features", "--rows", "5", "--service-account", "analyst", "--yes") == 0

    rows = [call for call in shop.calls if call.path.endswith("/rows")]
    assert rows
    assert {call.headers["X-Flywheel-Authorization"] for call in rows} == {"Bearer shop/analyst for flywheel-reader"}


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        pytest.param(["--service-account", "x"], 2, "the options of the reader need --local", id="a cluster's run"),
        pytest.param(["--local"], 2, "--local needs --step NAME", id="no step"),
        pytest.param(["--step", "features"], 2, "--step, --input, --code and --yes need --local", id="not local"),
        pytest.param(
            ["--local", "--step", "program", "--yes"], 1, "step 'program' wrote no metrics.json", id="no metrics"
        ),
        pytest.param(["--local", "--step", "shell"], 1, "which is not Python here", id="not Python"),
        pytest.param(
            ["--local", "--step", "features", "--input", "data=/nowhere"], 2, "write NAME=FOLDER", id="no folder"
        ),
        pytest.param(
            ["--local", "--step", "features", "-p", "months=x"], 1, "spec.parameters.months: 'x' is no", id="no number"
        ),
    ],
)
def test_the_command_fails_with_a_sentence(
    flywheel: Callable[..., int], capfd: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    assert flywheel(*words) == code
    assert sentence in capfd.readouterr().err


class Terminal(io.StringIO):
    """Standard input where somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        pytest.param(io.StringIO("y\n"), "this program comes from the cluster; repeat with --yes", id="nobody to ask"),
        pytest.param(Terminal("n\n"), "nothing was run", id="no"),
        pytest.param(Terminal(""), "nothing was run", id="the end of the input"),
    ],
)
def test_a_program_of_the_cluster_runs_only_if_the_user_says_so(
    flywheel: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stdin: io.StringIO,
    sentence: str,
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)

    assert flywheel("--local", "--step", "features") == 1

    shown = capfd.readouterr()
    assert sentence in shown.err
    assert "would run on this machine, as you:\n  python3 -c \n" in shown.out
    assert "  with MODE=of 3\n  with TOKEN of your environment\n" in shown.out
    assert "mode of 3" not in shown.out, "the program did not run"


def test_a_program_of_the_cluster_runs_after_a_yes(
    flywheel: Callable[..., int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))

    assert flywheel("--local", "--step", "features") == 0
    assert "mode of 3" in capfd.readouterr().out


def test_a_file_of_the_user_runs_without_a_question(
    flywheel: Callable[..., int], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(PROGRAM)

    assert flywheel("--local", "--step", "features", "--code", str(tmp_path / "own.py")) == 0
    assert "would run on this machine" not in capfd.readouterr().out


@pytest.mark.parametrize("code", [None, "own.py"], ids=["of the cluster", "of the user"])
def test_no_variable_of_a_pipeline_loads_other_code_here(tmp_path: Path, code: str | None) -> None:
    step = planned("features", code=tmp_path / code if code else None)

    assert step.variables == {"MODE": "of 3"}
    assert any(
        each == "PYTHONPATH, LD_PRELOAD are left out, which could run other code here." for each in step.differences
    )


@pytest.mark.parametrize(("is_unsafe", "names"), [
    (True, ["LD_PRELOAD", "PYTHONSTARTUP", "pythonpath", "https_proxy", "PATH", "KUBECONFIG", "BASH_ENV", "GIT_SSH_COMMAND", "NODE_OPTIONS"]),
    (False, ["PIPELINE", "LDAP_HOST", "GIT_COMMIT", "NODE_COUNT", "PYTHONUNBUFFERED", "ENVIRONMENT", "WANDB_API_KEY", "OMP_NUM_THREADS"]),
])  # fmt: skip
def test_which_variables_could_run_other_code(is_unsafe: bool, names: list[str]) -> None:
    found, _notes = _variables([Variable(name=name, value="x") for name in names], None)

    assert list(found) == ([] if is_unsafe else names)


def test_a_program_of_the_cluster_gets_no_credential_of_the_users_environment(
    shop: LocalCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLOUD_KEY", "TOKEN", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "mine")
    step = replace(
        planned("features"),
        program=("-c", "import os; print(*sorted(name for name in os.environ if os.environ[name] == 'mine'))"),
    )

    ran(shop, step)
    ran(shop, replace(step, is_own_code=True))

    assert capfd.readouterr().out == "OMP_NUM_THREADS TOKEN\nCLOUD_KEY OMP_NUM_THREADS TOKEN\n"
