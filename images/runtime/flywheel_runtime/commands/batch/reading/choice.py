"""The formats by their names."""

from flywheel_runtime.commands.batch.reading import Format, csv_rows, jsonl_rows, parquet_rows

FORMATS: dict[str, Format] = {"CSV": csv_rows.FORMAT, "JSONL": jsonl_rows.FORMAT, "Parquet": parquet_rows.FORMAT}
