"""The one reader of tables: CSV, JSON lines and Parquet become the same cells in the check of a Dataset and in a batch.

dialect        how a CSV file is written
text_records   text cut where its rows end
column_names   the names in a file, and what its folders give
signatures     what a file is that is not the text it should be
csv, json, parquet   each turns a file, or a piece of one, into SQL for its rows: cells of text, or of the types that the file states
"""

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats.dialect import CsvOptions


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


@dataclass(frozen=True)
class TableForm:
    """What the spec says of its files: their format, how CSV is written, and the columns that are left out.

    The readers add to `found_ignored` which of these the files have, so that a name that matches nothing is reported.
    """

    format: str | None = None
    csv: CsvOptions = field(default_factory=CsvOptions)
    ignored: frozenset[str] = frozenset()
    found_ignored: set[str] = field(default_factory=set, compare=False)

    def note_columns(self, names: Iterable[str]) -> None:
        """Adds those of `names` that are ignored to `found_ignored`."""
        self.found_ignored.update(self.ignored.intersection(names))

    def unmatched_ignores(self) -> list[str]:
        """The ignored columns that no file had, sorted."""
        return sorted(self.ignored - self.found_ignored)


def check_same_columns(file: SourceFile, columns: Iterable[str], first: SourceFile, expected: Iterable[str]) -> None:
    """Failure ColumnsDiffer where two files of a source do not have the same columns."""
    different = sorted(set(columns) ^ set(expected))
    if different:
        message = (
            f"File '{file.name}' and file '{first.name}' have different columns ({', '.join(different[:5])}); "
            "all files of a folder need the same."
        )
        raise Failure("ColumnsDiffer", message)
