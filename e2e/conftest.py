"""Fixtures of the end-to-end tests: the cluster with the chart installed, a namespace for each module, and a description of it on failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import kube, pipelines
from e2e.cluster import cluster
from e2e.flywheel_command import Flywheel
from e2e.namespace import Namespace
from flywheel.cli import main


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Check that the chart is installed and the operator answers; exit with one sentence if not."""
    try:
        kube.kubectl(
            "--namespace", "flywheel-system", "rollout", "status", "deployment/flywheel-operator", "--timeout=120s"
        )
    except (kube.KubectlFailed, OSError) as error:
        pytest.exit(f"the operator does not run ({error}); run 'make up images deploy' first", returncode=3)


@pytest.fixture(scope="session")
def image() -> str:
    """The runtime image of this installation: any image with Python would do."""
    return pipelines.runtime_image()


@pytest.fixture(scope="module")
def namespace(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace named after the module, with the store's Secret and the runner ServiceAccount; removed afterwards, described on failure."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    namespace = Namespace(name)
    namespace.create()
    failed = request.session.testsfailed
    yield namespace
    if request.session.testsfailed > failed:
        namespace.describe()
    else:
        namespace.delete(wait=False)


@pytest.fixture
def flywheel(namespace: Namespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flywheel:
    """Runs a command in the test's namespace, and returns what it printed; its exit code has to be `code`."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))

    def call(*words: str | Path, code: int = 0) -> str:
        ended = main([*(str(word) for word in words), "--namespace", namespace.name])
        printed = capsys.readouterr()
        assert ended == code, printed.out + printed.err
        return printed.out + printed.err

    return call
