"""Find the source's files and load them, unchanged, into the table `raw`."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import SourceFile, TableForm, csv, json, parquet
from flywheel_runtime.datasets.formats.signatures import advise_on_suffix
from flywheel_runtime.datasets.sql import count_rows

FORMAT_OF_SUFFIX = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".jsonl": "JSONL",
    ".ndjson": "JSONL",
}
LOADERS = {"CSV": csv.load_csv, "Parquet": parquet.load_parquet, "JSONL": json.load_json}
BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)


def list_files(folder: Path) -> list[SourceFile]:
    """All files of the source in the order of their paths, hidden ones and markers such as _SUCCESS left out."""
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    )
    if not paths:
        raise Failure("EmptySource", "The source has no file; put data there or correct spec.source.")
    files = [_describe(path, path.relative_to(folder).as_posix()) for path in paths]
    empty = next((file.name for file in files if _is_empty(file)), None)
    if empty is not None:
        raise Failure("EmptyFile", f"File '{empty}' is empty; write it again or remove it from the source.")
    return files


def _describe(path: Path, name: str) -> SourceFile:
    with path.open("rb") as stream:
        gzipped = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(path, name, path.stat().st_size, digest, gzipped)


def _is_empty(file: SourceFile) -> bool:
    if file.size == 0 or not file.gzipped:
        return file.size == 0
    try:
        # To the end, because DuckDB does not check the checksum there: a flipped byte became wrong rows (measured).
        with file.open() as stream:
            return sum(len(chunk) for chunk in iter(lambda: stream.read(2**20), b"")) == 0
    except BROKEN_GZIP as error:
        message = f"File '{file.name}' is broken gzip ({error}); write it again."
        raise Failure("BrokenGzip", message) from error


def detect_format(names: Iterable[str], declared: str | None, field: str) -> str:
    """The format that `field` of the spec declares, or the one that the files' names agree on. Failure FormatUnknown or FormatMixed."""
    if declared is not None:
        return declared
    suffixes = {name: Path(name.lower().removesuffix(".gz")).suffix for name in names}
    formats = {name: FORMAT_OF_SUFFIX.get(suffix) for name, suffix in suffixes.items()}
    unknown = next((name for name, format_ in formats.items() if format_ is None), None)
    if unknown is not None:
        cure = advise_on_suffix(suffixes[unknown]) or f"set {field} to CSV, Parquet or JSONL"
        raise Failure("FormatUnknown", f"The format of file '{unknown}' cannot be derived from its name; {cure}.")
    found = sorted({name for name in formats.values() if name is not None})
    if len(found) > 1:
        raise Failure("FormatMixed", f"The source mixes {' and '.join(found)} files; keep one format in its folder.")
    return found[0]


def check_form(format_: str, form: TableForm, field: str) -> None:
    """Failure FormatMixed where the spec describes CSV and the files are none."""
    if format_ != "CSV" and form.csv.model_fields_set:
        message = f"{field}.csv describes CSV files, and the files are {format_}; remove it or correct {field}.format."
        raise Failure("FormatMixed", message)


def load_source(
    connection: duckdb.DuckDBPyConnection, files: list[SourceFile], form: TableForm
) -> dict[str, str | None]:
    """Create the table `raw` and return its columns: the type that the file states, or None where it is text."""
    format_ = detect_format([file.name for file in files], form.format, "spec.format")
    check_form(format_, form, "spec")
    columns = LOADERS[format_](connection, files, form)
    if not count_rows(connection, "raw"):
        names = ", ".join(f"'{file.name}'" for file in files[:3])
        raise Failure("NoRows", f"The source has a header and no rows ({names}); write rows or correct spec.source.")
    return columns
