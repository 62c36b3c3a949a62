"""What holds on the onnxruntime of the images holds on the newest one, too: 1.31.1 and 1.32.0 differ in Mod of whole numbers beyond 2^53."""

import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from e2e import setup
from tests.documents import CHECKOUT

ENVIRONMENT = setup.ENVIRONMENT / "onnxruntime"
TESTED = ("test_feature_functions.py", "test_composed_features.py", "test_request_matrix.py", "test_compiler.py")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment of a Python that finds the newest onnxruntime before ours."""
    if not (ENVIRONMENT / "made-from").exists():  # `make integration` has made it
        setup.onnxruntime()
    packages = next((ENVIRONMENT / "lib").glob("python3*/site-packages"))
    path = os.pathsep.join([str(packages), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path}


def run_python(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )


def test_it_is_another_one_than_ours(environment: dict[str, str]) -> None:
    done = run_python(environment, "-c", "import onnxruntime; print(onnxruntime.__version__)")

    pinned = (setup.REQUIREMENTS / "onnxruntime.txt").read_text()
    assert pinned.startswith(f"onnxruntime=={done.stdout.strip()} ")
    assert done.stdout.strip() != onnxruntime.__version__


def test_compiled_features_equal_duckdb_on_it(environment: dict[str, str]) -> None:
    modules = [Path(__file__).with_name(name) for name in TESTED]

    done = run_python(
        environment,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:schemathesis",
        "-p",
        "no:cacheprovider",
        *modules,
        "-m",
        "not long_run",
    )

    assert done.returncode == 0, done.stdout[-8000:]
