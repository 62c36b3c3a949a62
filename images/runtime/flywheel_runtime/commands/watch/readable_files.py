"""Giving collect, which is another user of the same group, the right to read what main left."""

import os
import stat
from contextlib import suppress
from pathlib import Path

READ_FILE, READ_FOLDER = 0o440, 0o550
DEEPEST = 64  # folders inside each other, as in collect's own limit


def make_readable(folder: Path) -> int:
    """Let owner and group read the files and folders of this user below a folder; how many were changed. Links are not followed."""
    if not folder.is_dir():
        return 0
    changed = 0
    for below, folders, files, descriptor in os.fwalk(folder):
        for names, kind, wanted in ((folders, stat.S_IFDIR, READ_FOLDER), (files, stat.S_IFREG, READ_FILE)):
            changed += sum(_allow(name, descriptor, kind, wanted) for name in names)
        if len(Path(below).relative_to(folder).parts) >= DEEPEST:
            folders.clear()
    return changed


def _allow(name: str, folder: int, kind: int, wanted: int) -> bool:
    with suppress(OSError):  # main's neighbours may remove it meanwhile
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_IFMT(found.st_mode) == kind and found.st_uid == os.getuid() and mode & wanted != wanted:
            os.chmod(name, mode | wanted, dir_fd=folder)
            return True
    return False
