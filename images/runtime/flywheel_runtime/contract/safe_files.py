"""Files that others wrote, opened with distrust."""

import os
import stat
from io import BufferedReader
from pathlib import Path

from flywheel_runtime.contract.errors import UnsafeFile


def open_regular_file(path: Path) -> BufferedReader:
    """Open a regular file for reading; UnsafeFile for links, pipes and devices, which could lead or hold us elsewhere."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnsafeFile("a link" if path.is_symlink() else f"an unreadable file ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafeFile("not a regular file")
    return os.fdopen(descriptor, "rb")
