"""Rows of Parquet files as JSON or Arrow, bounded."""
