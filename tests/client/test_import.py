"""What `import flywheel` costs: it imports none of the heavy packages, and each name brings what it needs alone."""

import subprocess
import sys

import pytest

import flywheel as fw
from flywheel.client import aio
from flywheel.client.objects.live_dataset import LiveDataset
from flywheel.client.objects.live_model import LiveModel, LiveModelVersion
from flywheel.client.objects.live_service import LiveService
from flywheel.client.workspace import Workspace
from tests.documents import CHECKOUT

HEAVY = ("kubernetes", "pandas", "numpy", "onnxruntime", "arro3", "pydantic", "urllib3", "yaml", "rich", "asyncio")


def imported(code: str) -> set[str]:
    """Which of the heavy packages a new interpreter has after this code."""
    program = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CHECKOUT / "operator",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_the_import_alone_brings_nothing_heavy() -> None:
    assert imported("import flywheel as fw") == set()


@pytest.mark.parametrize(
    ("code", "brings"),
    [
        pytest.param("import flywheel as fw; fw.trials, fw.connect, fw.FlywheelError", set(), id="functions"),
        pytest.param("import flywheel as fw; fw.Model('a', {})", {"pydantic"}, id="typed objects"),
        pytest.param(
            "import flywheel.client.objects.live_model, flywheel.client.objects.live_dataset",
            {"pydantic"},
            id="models and datasets",
        ),
    ],
)
def test_a_name_brings_what_it_needs(code: str, brings: set[str]) -> None:
    assert imported(code) <= brings


def test_every_name_is_listed_and_exists() -> None:
    names = {
        "aio",
        "apply",
        "connect",
        "dataset",
        "experiments",
        "model",
        "run",
        "service",
        "trial",
        "trials",
        "FlywheelError",
        "Experiment",
    }

    assert names <= set(dir(fw))
    assert all(getattr(fw, name) is not None for name in names)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'flywheel' has no attribute 'modle'"):
        fw.modle  # noqa: B018


@pytest.mark.parametrize(
    ("asynchronous", "sync"),
    [
        (aio.AsyncWorkspace, Workspace),
        (aio.AsyncModel, LiveModel),
        (aio.AsyncModelVersion, LiveModelVersion),
        (aio.AsyncDataset, LiveDataset),
        (aio.AsyncService, LiveService),
    ],
)
def test_asyncio_has_every_call_that_sends_requests(asynchronous: type, sync: type) -> None:
    without_waiting = {"predictor", "status_field", "logged_rows", "version_name"}  # parts of other calls
    calls = {name for name in dir(sync) if not name.startswith("_") and callable(getattr(sync, name))}

    assert calls - without_waiting <= set(dir(asynchronous))
