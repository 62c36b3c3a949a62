"""The step `evaluate`: a model on rows that it was not fitted to: the whole test split, each slice of it, and the worst slice.

test.parquet ──batches──▶ model.onnx ──▶ ScoredRows ──▶ whole, slices by column, intervals, curves ──▶ report.json, report.md
"""
