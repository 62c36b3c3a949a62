"""`pip install .` is the command and the client, small, and works without a checkout beside it."""

import json
from pathlib import Path

import pytest

from flywheel.cli import BY_NAME
from tests.installed_command import install_distribution, run_alone

pytestmark = pytest.mark.integration

HEAVY = ("kopf", "optuna", "numpy", "pandas", "onnxruntime", "boto3", "duckdb", "scikit-learn", "prometheus-client")
MAX_PACKAGES = 36


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_distribution(tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("program", ["flywheel", "kubectl-flywheel"])
def test_the_command_says_what_it_does(programs: Path, program: str, tmp_path: Path) -> None:
    done = run_alone(programs / program, "--help", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {program.replace('-', ' ')} COMMAND")
    assert "doctor" in done.stdout


def test_the_command_has_a_version(programs: Path, tmp_path: Path) -> None:
    assert run_alone(programs / "flywheel", "version", cwd=tmp_path).stdout == "0.1.0\n"


EVERY_HELP = """
from contextlib import suppress
from flywheel.cli import BY_NAME, main
for name in BY_NAME:
    with suppress(SystemExit):
        main([name, "--help"])
"""


def test_every_command_can_be_asked_for_its_help(programs: Path, tmp_path: Path) -> None:
    done = run_alone(programs / "python", "-c", EVERY_HELP, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: flywheel ") == len(BY_NAME)


def test_it_brings_nothing_that_only_the_operator_and_pods_need(programs: Path, tmp_path: Path) -> None:
    script = "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"
    names = json.loads(run_alone(programs / "python", "-c", script, cwd=tmp_path).stdout)

    assert set(names) & set(HEAVY) == set()
    assert len(names) <= MAX_PACKAGES, sorted(names)


def test_the_operator_says_which_extra_it_needs(programs: Path, tmp_path: Path) -> None:
    done = run_alone(programs / "flywheel", "operator", cwd=tmp_path)

    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "pip install '.[operator]'" in done.stderr


def test_kubectl_is_given_completions(programs: Path, tmp_path: Path) -> None:
    done = run_alone(programs / "kubectl_complete-flywheel", "doc", cwd=tmp_path)

    assert done.stdout.splitlines() == ["doctor", ":4"], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_code(programs: Path, shell: str, tmp_path: Path) -> None:
    done = run_alone(programs / "flywheel", "completion", shell, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "flywheel" in done.stdout


def test_bash_completes_a_command(programs: Path, tmp_path: Path) -> None:
    line = "flywheel roll"
    script = f"""
        source <(flywheel completion bash)
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=(flywheel roll) COMP_CWORD=1 COMP_TYPE=9
        _python_argcomplete flywheel 2>/dev/null || _python_argcomplete_flywheel flywheel
        echo "${{COMPREPLY[@]}}"
    """
    done = run_alone("bash", "-c", script, cwd=tmp_path, PATH=f"{programs}:/usr/bin:/bin")

    assert done.stdout.split() == ["rollback"], done.stderr


STORE = "from importlib.metadata import entry_points; [each] = entry_points(group='mlflow.tracking_store'); print(each.load())"


def test_a_trainers_image_with_it_has_the_plugin_for_mlflow(programs: Path, tmp_path: Path) -> None:
    done = run_alone(programs / "python", "-c", STORE, cwd=tmp_path)

    assert done.stdout.startswith("<function tracking_store"), done.stderr


def test_an_import_from_mlflow_says_which_extra_it_needs(programs: Path, tmp_path: Path) -> None:
    done = run_alone(programs / "flywheel", "import", "mlflow", "--tracking-uri", "x", "--to", "y", cwd=tmp_path)

    assert done.returncode == 1
    assert "pip install '.[mlflow]'" in done.stderr
