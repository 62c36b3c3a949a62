"""What a model does on rows that nobody fitted it to: the whole test split, each part of it, and the worst part.

test.parquet ──batches──▶ model.onnx ──▶ answers ──▶ whole, slices by column, intervals, curves ──▶ report.json, report.md
"""
