"""`pip install .` in a fresh environment gives the command `flywheel`, which works without a checkout beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apiserver.manifests import Kubectl
from tests.documents import BLOCK, CHECKOUT

pytestmark = pytest.mark.apiserver


def run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program without the checkout on its path."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        words, cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`flywheel` of a fresh environment. The versions are those of the operator's image, so that a new release of a dependency fails no test."""
    folder, uv = tmp_path_factory.mktemp("installed"), Path(sys.executable).parent / "uv"
    made = run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    assert made.returncode == 0, made.stderr
    pinned = ("--constraint", CHECKOUT / "requirements/operator.txt")
    into = ("--python", folder / "venv/bin/python")
    done = run(uv, "pip", "install", "--quiet", *into, *pinned, CHECKOUT, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "venv/bin/flywheel"


def test_the_command_says_what_it_does(command: Path, tmp_path: Path) -> None:
    done = run(command, "--help", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "promote" in done.stdout


def test_the_distribution_is_named_flywheel_operator_and_has_its_license(command: Path, tmp_path: Path) -> None:
    script = "from importlib.metadata import metadata as of; print(of('flywheel-operator')['License-Expression'])"
    done = run(command.parent / "python", "-c", script, cwd=tmp_path)

    assert done.stdout == "Apache-2.0\n", done.stderr


def test_the_command_tests_the_example_of_the_readme(
    command: Path, installed: Kubectl, apiserver: Path, tmp_path: Path
) -> None:
    assert installed("create", "namespace", "installation").returncode == 0
    example = next(text for text in BLOCK.findall((CHECKOUT / "README.md").read_text()) if "kind: Experiment" in text)
    (tmp_path / "example.yaml").write_text(example)

    done = run(
        command, "test", "-f", "example.yaml", "-n", "installation", cwd=tmp_path, KUBECONFIG=str(apiserver)
    )  # fmt: skip

    assert {"Dataset", "Job", "Experiment", "InferenceService", "Deployment"} <= {
        line.split()[1] for line in done.stdout.splitlines() if line.startswith("accepted")
    }, done.stdout + done.stderr
