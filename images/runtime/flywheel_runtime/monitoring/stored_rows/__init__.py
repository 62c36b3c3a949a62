"""Rows that stand in the store in place of count documents: outputs of a BatchInference, and the log that another server wrote.

baseline_bins.py   the bins of a version's baseline, in which such rows are counted
batch_outputs.py   the rows of a BatchInference's outputs
"""
