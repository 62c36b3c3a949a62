"""One file of a source."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class SourceFile:
    """One file: where it is, its path below the source, and whether its bytes are gzip."""

    path: Path
    name: str
    size: int
    sha256: str
    gzipped: bool

    def open(self) -> IO[bytes]:
        """The file's content as bytes, unpacked."""
        return gzip.open(self.path, "rb") if self.gzipped else self.path.open("rb")  # type: ignore[return-value]
