"""Which format a file has: as the spec says, else by its name."""

from pathlib import PurePosixPath

from flywheel_runtime.commands.batch.formats import Format, csv_rows, jsonl_rows, parquet_rows
from flywheel_runtime.commands.batch.storage.locations import File
from flywheel_runtime.contract.errors import Failure

FORMATS: dict[str, Format] = {"CSV": csv_rows.FORMAT, "JSONL": jsonl_rows.FORMAT, "Parquet": parquet_rows.FORMAT}
OF_SUFFIX = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".jsonl": "JSONL",
    ".ndjson": "JSONL",
}


def name_of(files: list[File], declared: str | None) -> str:
    """`CSV`, `JSONL` or `Parquet`. Failure FormatUnknown or FormatMixed."""
    if declared is not None:
        return declared
    found = {file.path: OF_SUFFIX.get(PurePosixPath(file.path.lower().removesuffix(".gz")).suffix) for file in files}
    unknown = next((path for path, name in found.items() if name is None), None)
    if unknown is not None:
        words = f"the format of file '{unknown}' cannot be told from its name"
        raise Failure("FormatUnknown", f"{words}; set spec.input.format to CSV, JSONL or Parquet")
    names = sorted({name for name in found.values() if name is not None})
    if len(names) > 1:
        words = f"the input mixes {' and '.join(names)} files"
        raise Failure("FormatMixed", f"{words}; keep one format in its folder")
    return names[0]
