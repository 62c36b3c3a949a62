"""Features of one row by SQL (`rowwise`), which training computes by DuckDB and the model by its own graph.

training_data.py ──▶ rowwise_expressions.py ──▶ the compiler (features/), whose refusals become sentences
       │                computed_rows.py    ──▶ the Dataset's rows with the features of DuckDB
       └────────────▶ equality.py           ──▶ both compared on rows of the data and on edge_rows.py
calendar_features.py writes the expressions of a trial for which nobody wrote any.
"""
