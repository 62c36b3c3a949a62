"""The hook `commit-msg` accepts the form of CONTRIBUTING and names what is missing in any other message."""

import subprocess
from pathlib import Path

import pytest

from tests.documents import CHECKOUT

BODY = "\n\nA reader of the history needs the reason.\n"


def check(folder: Path, message: str) -> tuple[int, str]:
    """The hook's exit code and its error output."""
    file = folder / "COMMIT_EDITMSG"
    file.write_text(message)
    done = subprocess.run([CHECKOUT / ".githooks/commit-msg", file], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("engine: release the Lease on SIGTERM" + BODY, id="area, subject and body"),
        pytest.param("kinds/model: refuse a second champion" + BODY, id="an area inside an area"),
        pytest.param("Merge branch 'x'\n", id="a merge"),
        pytest.param("docs: name the port\n# a comment\n" + BODY, id="comments are not read"),
    ],
)
def test_a_message_of_the_form_is_accepted(tmp_path: Path, message: str) -> None:
    assert check(tmp_path, message) == (0, "")


@pytest.mark.parametrize(
    ("message", "finding"),
    [
        pytest.param("Release the Lease" + BODY, "names no area", id="no area"),
        pytest.param(f"engine: {'x' * 65}{BODY}", "over 72 characters", id="73 characters"),
        pytest.param("engine: release the Lease\n", "no body", id="no body"),
        pytest.param("engine: release the Lease\nwhy\n", "second line is not empty", id="no empty line"),
    ],
)
def test_any_other_message_is_refused_with_the_reason(tmp_path: Path, message: str, finding: str) -> None:
    code, error = check(tmp_path, message)

    assert code == 1
    assert finding in error
    assert '"area: what"' in error
