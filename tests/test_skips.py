"""Nothing is skipped silently."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import CHECKOUT

pytestmark = pytest.mark.integration  # starts pytest

SKIPPED = "import pytest\n\ndef test_a() -> None:\n    pytest.skip('no gateway')\n"


@pytest.mark.parametrize(
    ("ci", "code", "count"),
    [pytest.param("true", 1, "1 failed", id="a skip fails in CI"), pytest.param("", 0, "1 skipped", id="and is told elsewhere")],
)  # fmt: skip
def test_a_skip(tmp_path: Path, ci: str, code: int, count: str) -> None:
    (tmp_path / "conftest.py").write_text((CHECKOUT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_a.py").write_text(SKIPPED)
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", str(tmp_path)]

    done = subprocess.run(
        command, env=os.environ | {"CI": ci, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == code, done.stdout
    assert count in done.stdout
    assert "no gateway" in done.stdout
