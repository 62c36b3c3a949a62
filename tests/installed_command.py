"""The distribution in a fresh environment: the wheel and what it depends on, without a checkout on the path."""

import os
import subprocess
import sys
from pathlib import Path

from tests.documents import CHECKOUT


def run_alone(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program without the checkout on its path."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        words, cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def install_distribution(folder: Path) -> Path:
    """Builds the wheel, installs it alone, and returns the folder of its programs.

    The versions are those of the operator's image, so that a new release of a dependency fails no test.
    """
    uv = Path(sys.executable).parent / "uv"
    steps = (
        (uv, "build", "--quiet", "--wheel", "--out-dir", folder / "dist", CHECKOUT),
        (uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"),
    )
    for step in steps:
        done = run_alone(*step, cwd=folder)
        assert done.returncode == 0, done.stderr
    wheel = next((folder / "dist").glob("flywheel_operator-*.whl"))
    pinned = ("--constraint", CHECKOUT / "requirements/operator.txt")
    into = ("--python", folder / "venv/bin/python")
    done = run_alone(uv, "pip", "install", "--quiet", *into, *pinned, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "venv/bin"
