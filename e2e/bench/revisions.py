"""Another revision beside this checkout, to measure both in turn."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.paths import CHECKOUT


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """Another revision's files, in a worktree that is removed afterwards."""
    path = folder / "before"
    git = ("git", "-C", str(CHECKOUT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", path, revision], check=True)
    try:
        yield path
    finally:
        subprocess.run([*git, "remove", "--force", path], check=True)
