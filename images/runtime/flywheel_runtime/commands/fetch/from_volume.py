"""An input from the user's volume: its files stay there, and links to them are made."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from flywheel_runtime.commands.fetch.item import Item
from flywheel_runtime.contract.config.fetch import VolumeSource
from flywheel_runtime.contract.errors import Failure


def items(name: str, source: VolumeSource, sha256: str | None, folder: Path, volume: Path) -> list[Item]:
    """A file, or every file below a folder, linked under the same relative path."""
    wanted = volume / source.path
    try:
        resolved = wanted.resolve()
        if Path(source.path).is_absolute() or not resolved.is_relative_to(volume.resolve()):
            words = f"input '{name}': path '{source.path}' leaves the volume; use a path inside of it"
            raise Failure("SourceInvalid", words)
        if not resolved.exists():
            words = f"input '{name}': '{source.path}' does not exist on the volume; put it there or correct the path"
            raise Failure("SourceMissing", words)
        root = resolved.parent if resolved.is_file() else resolved
        found = [(file, folder / file.relative_to(root)) for file in _files(resolved)]
        if not found or (resolved.is_file() and resolved.stat().st_size == 0):
            words = f"input '{name}': '{source.path}' holds no data; put it there or correct the path"
            raise Failure("EmptySource", words)
        return [Item(file.stat().st_size, _Link(file, target, sha256), copied=False) for file, target in found]
    except PermissionError as error:
        raise _unreadable(wanted) from error


class _Link:
    """Makes one link when it is called, and checks the file's SHA-256 if one is asked for."""

    def __init__(self, file: Path, target: Path, sha256: str | None) -> None:
        self.file, self.target, self.sha256 = file, target, sha256

    def __call__(self) -> None:
        if self.sha256:
            try:
                with self.file.open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except PermissionError as error:
                raise _unreadable(self.file) from error
            if found != self.sha256:
                words = f"{self.target.name} has sha256 {found} and should have {self.sha256}; one of them is wrong"
                raise Failure("DigestMismatch", words)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.unlink(missing_ok=True)
        self.target.symlink_to(self.file)


def _files(resolved: Path) -> Iterator[Path]:
    """Regular files; no links are followed, and lost+found and names with a leading dot are left out."""
    if resolved.is_file():
        yield resolved
        return
    try:
        entries = sorted(os.scandir(resolved), key=lambda entry: entry.name)
    except PermissionError as error:
        raise _unreadable(resolved) from error
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "lost+found":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _unreadable(path: Path) -> Failure:
    """Fetch is another user than main, so a file that is private to main's user is closed to it."""
    words = (
        f"'{path.name}' on the volume cannot be read by user 65531 or group 65532; let the group read it (chmod g+rX)"
    )
    return Failure("SourceInvalid", words)
