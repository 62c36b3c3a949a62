"""`pip install .` in a fresh environment gives the command `flywheel`, which works without a checkout beside it."""

from pathlib import Path

import pytest

from tests.apiserver.manifests import Kubectl
from tests.documents import BLOCK, CHECKOUT
from tests.installed_command import install_distribution, run_alone

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`flywheel` of a fresh environment."""
    return install_distribution(tmp_path_factory.mktemp("installed")) / "flywheel"


def test_the_distribution_is_named_flywheel_operator_and_has_its_license(command: Path, tmp_path: Path) -> None:
    script = "from importlib.metadata import metadata as of; print(of('flywheel-operator')['License-Expression'])"
    done = run_alone(command.parent / "python", "-c", script, cwd=tmp_path)

    assert done.stdout == "Apache-2.0\n", done.stderr


def test_the_command_tests_the_example_of_the_readme(
    command: Path, installed: Kubectl, apiserver: Path, tmp_path: Path
) -> None:
    assert installed("create", "namespace", "installation").returncode == 0
    example = next(text for text in BLOCK.findall((CHECKOUT / "README.md").read_text()) if "kind: Experiment" in text)
    (tmp_path / "example.yaml").write_text(example)

    done = run_alone(
        command, "test", "-f", "example.yaml", "-n", "installation", cwd=tmp_path, KUBECONFIG=str(apiserver)
    )  # fmt: skip

    assert {"Dataset", "Job", "Experiment", "InferenceService", "Deployment"} <= {
        line.split()[1] for line in done.stdout.splitlines() if line.startswith("accepted")
    }, done.stdout + done.stderr
