"""CSV, JSON and Parquet files of a source, read into DuckDB."""
