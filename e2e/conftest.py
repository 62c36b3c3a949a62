"""What a story stands on: the cluster with the chart installed, a namespace of its own, and on failure everything that can be said."""

from collections.abc import Iterator

import pytest

from e2e import kube
from e2e.namespace import Story


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """The chart is there and the operator answers; else one sentence."""
    try:
        kube.kubectl(
            "--namespace", "flywheel-system", "rollout", "status", "deployment/flywheel-operator", "--timeout=120s"
        )
    except (kube.Refused, OSError) as error:
        pytest.exit(f"the operator does not run ({error}); run 'make up images deploy' first", returncode=3)


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest) -> Iterator[Story]:
    """A namespace named after the story, with the store's Secret and the runner ServiceAccount; removed afterwards, described on failure."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    story = Story(name)
    story.begin()
    failed = request.session.testsfailed
    yield story
    if request.session.testsfailed > failed:
        story.describe()
    else:
        story.end(wait=False)
