"""Fixtures of the end-to-end tests: the cluster with the chart installed, a namespace for each module, and a description of it on failure."""

from collections.abc import Iterator

import pytest

from e2e import kube, pipelines
from e2e.namespace import Namespace


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
