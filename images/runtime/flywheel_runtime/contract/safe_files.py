"""Files that others wrote, and may change at any time, opened with distrust.

A check of a path says nothing about the same path a moment later: whoever owns a folder can replace it by a link between the two. So each
part of a path is opened relative to the descriptor of the one before, and none that is a link is followed, in listings and in reads alike.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from flywheel_runtime.contract.errors import UnsafeFile

NO_FOLLOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """What a folder has under a name: `kind` is one of stat's S_IF constants."""

    name: str
    kind: int


@dataclass(frozen=True)
class ConfinedPath:
    """`path` below `root`. Only `root` is trusted, such as the mount point of a volume; no part of `path` may be a link."""

    root: Path
    path: str

    def __post_init__(self) -> None:
        if any(part in ("", ".", "..") for part in self._parts):
            raise UnsafeFile(f"a path that leaves its folder, {self.path!r}")

    @classmethod
    def from_file(cls, file: Path) -> "ConfinedPath":
        """The path of a file in a folder that is trusted."""
        return cls(file.parent, file.name)

    @classmethod
    def resolve(cls, root: Path, path: str) -> "ConfinedPath":
        """The path to which links lead from `path`, if it is below `root`; UnsafeFile if it is not.

        A link that changes afterwards is not followed.
        """
        top = root.resolve()
        found = (top / path).resolve()
        if Path(path).is_absolute() or not found.is_relative_to(top):
            raise UnsafeFile("a path that leaves its folder")
        return cls(top, "" if found == top else found.relative_to(top).as_posix())

    @property
    def name(self) -> str:
        """The last part of the path; the root's name if there is none."""
        return self._parts[-1] if self._parts else self.root.name

    @property
    def _parts(self) -> list[str]:
        return self.path.split("/") if self.path else []

    def __truediv__(self, below: str) -> "ConfinedPath":
        return ConfinedPath(self.root, f"{self.path}/{below}" if self.path else below)

    def relative_to(self, folder: "ConfinedPath") -> str:
        """The path from a folder of the same root to this one; its name if it is that itself."""
        return self.name if self == folder else PurePosixPath(self.path).relative_to(folder.path).as_posix()

    def __str__(self) -> str:
        return str(self.root / self.path)

    def open(self) -> BufferedReader:
        """Open a regular file for reading; UnsafeFile for links, pipes and devices, which could lead or hold us elsewhere.

        Raises FileNotFoundError, PermissionError.
        """
        if not self.path:
            raise UnsafeFile("not a regular file")
        with self._folder(self._parts[:-1]) as folder:
            descriptor = _open(self.name, NO_FOLLOW, folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UnsafeFile("not a regular file")
        return os.fdopen(descriptor, "rb")

    def entries(self) -> list[Entry]:
        """What the folder has, sorted by name. Raises UnsafeFile, FileNotFoundError, NotADirectoryError, PermissionError."""
        with self._folder(self._parts) as folder, os.scandir(folder) as entries:
            found = [Entry(entry.name, _kind(entry)) for entry in entries]
        return sorted(found, key=lambda entry: entry.name)

    def regular_files(self, *, skip: Callable[[str], bool]) -> Iterator["ConfinedPath"]:
        """The regular files below, in order, without those of which `skip` is true for the name or for that of a folder. Links are left out."""
        for entry in self.entries():
            if skip(entry.name):
                continue
            if entry.kind == stat.S_IFDIR:
                yield from (self / entry.name).regular_files(skip=skip)
            elif entry.kind == stat.S_IFREG:
                yield self / entry.name

    def status(self) -> os.stat_result:
        """The facts about what is there, which is not followed if it is a link. Raises UnsafeFile, FileNotFoundError, PermissionError."""
        with self._folder(self._parts[:-1]) as folder:
            return os.stat(self.name, dir_fd=folder, follow_symlinks=False) if self._parts else os.fstat(folder)

    @contextmanager
    def _folder(self, parts: list[str]) -> Iterator[int]:
        """The descriptor of a folder below the root."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                parent, descriptor = descriptor, _open(part, NO_FOLLOW | os.O_DIRECTORY, descriptor)
                os.close(parent)
            yield descriptor
        finally:
            os.close(descriptor)


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        if _is_link(name, folder):
            raise UnsafeFile("a link") from error
        if isinstance(error, NotADirectoryError):
            raise
        raise UnsafeFile(f"an unreadable file ({error.strerror})") from error


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _kind(entry: "os.DirEntry[str]") -> int:
    try:
        return stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
    except FileNotFoundError:  # removed meanwhile
        return 0


def open_regular_file(file: Path | ConfinedPath) -> BufferedReader:
    """Open a regular file; of a Path, the folder is trusted and the last part is not. Raises UnsafeFile, FileNotFoundError."""
    confined = file if isinstance(file, ConfinedPath) else ConfinedPath.from_file(file)
    try:
        return confined.open()
    except (NotADirectoryError, PermissionError) as error:
        raise UnsafeFile(f"an unreadable file ({error.strerror})") from error
