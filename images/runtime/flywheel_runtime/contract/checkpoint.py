"""A step's checkpoints: which of main's folders are whole, and where the store keeps the newest.

Main writes a folder under a name that begins with a dot and renames it when it is whole. The store knows one pointer for all attempts of
a step, `checkpoints/<uid>/<step>.json`; it names an artifact, which is there before the pointer is.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pointer:
    """The newest checkpoint: main's name for it, its artifact's digest, and the attempt that wrote it."""

    digest: str
    name: str
    attempt: int

    def encode(self) -> bytes:
        document = {"v": 1, "digest": self.digest, "name": self.name, "attempt": self.attempt}
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, text: bytes) -> "Pointer | None":
        """None for what no writer of ours makes: then it is as if there were no checkpoint."""
        try:
            body = json.loads(text)
            return cls(str(body["digest"]), str(body["name"]), int(body["attempt"]))
        except (ValueError, KeyError, TypeError):
            return None


def newest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint that was written last, or None."""
    try:
        whole = (
            each for each in os.scandir(folder) if not each.name.startswith(".") and each.is_dir(follow_symlinks=False)
        )
        found = [Path(each.path) for each in whole]
    except OSError:
        return None
    return max(found, key=lambda each: (_written(each), each.name), default=None)


def _written(folder: Path) -> int:
    try:
        return folder.lstat().st_mtime_ns
    except OSError:  # main removes old ones
        return 0
