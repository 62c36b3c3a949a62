"""The files of a source, and CSV, JSON and Parquet among them read into DuckDB."""

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flywheel_runtime.contract.errors import Failure


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


def check_same_columns(file: SourceFile, columns: Iterable[str], first: SourceFile, expected: Iterable[str]) -> None:
    """Failure ColumnsDiffer where two files of a source do not have the same columns."""
    different = sorted(set(columns) ^ set(expected))
    if different:
        message = (
            f"File '{file.name}' and file '{first.name}' have different columns ({', '.join(different[:5])}); "
            "all files of a folder need the same."
        )
        raise Failure("ColumnsDiffer", message)
