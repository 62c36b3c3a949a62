"""An input from the user's volume: its files stay there, and links to them are made."""

import hashlib
import stat
from pathlib import Path

from flywheel_runtime.commands.fetch.item import Item
from flywheel_runtime.contract.config.fetch import VolumeSource
from flywheel_runtime.contract.errors import Failure, UnsafeFile
from flywheel_runtime.contract.safe_files import ConfinedPath


def items(name: str, source: VolumeSource, sha256: str | None, folder: Path, volume: Path) -> list[Item]:
    """A file, or every file below a folder, linked under the same relative path."""
    try:
        wanted = ConfinedPath.resolve(volume, source.path)
        is_file = stat.S_ISREG(wanted.status().st_mode)
        files = [wanted] if is_file else list(wanted.regular_files(skip=_is_hidden))
        links = [(file.status().st_size, _Link(file, folder / file.relative_to(wanted), sha256)) for file in files]
    except FileNotFoundError as error:
        words = f"input '{name}': '{source.path}' does not exist on the volume; put it there or correct the path"
        raise Failure("SourceMissing", words) from error
    except UnsafeFile as error:
        words = f"input '{name}': path '{source.path}' leaves the volume; use a path inside of it"
        raise Failure("SourceInvalid", words) from error
    except PermissionError as error:
        raise _unreadable(Path(error.filename or source.path)) from error
    if not links or (is_file and links[0][0] == 0):
        words = f"input '{name}': '{source.path}' holds no data; put it there or correct the path"
        raise Failure("EmptySource", words)
    return [Item(size, link, copied=False) for size, link in links]


class _Link:
    """Makes one link when it is called, and checks the file's SHA-256 if one is asked for."""

    def __init__(self, file: ConfinedPath, target: Path, sha256: str | None) -> None:
        self.file, self.target, self.sha256 = file, target, sha256

    def __call__(self) -> None:
        if self.sha256:
            try:
                with self.file.open() as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except PermissionError as error:
                raise _unreadable(Path(self.file.name)) from error
            except UnsafeFile as error:
                words = f"'{self.file.name}' on the volume became {error}; write the file itself there"
                raise Failure("SourceInvalid", words) from error
            if found != self.sha256:
                words = f"{self.target.name} has sha256 {found} and should have {self.sha256}; one of them is wrong"
                raise Failure("DigestMismatch", words)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.unlink(missing_ok=True)
        self.target.symlink_to(str(self.file))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "lost+found"


def _unreadable(path: Path) -> Failure:
    """Fetch is another user than main, so a file that is private to main's user is closed to it."""
    words = (
        f"'{path.name}' on the volume cannot be read by user 65531 or group 65532; let the group read it (chmod g+rX)"
    )
    return Failure("SourceInvalid", words)
