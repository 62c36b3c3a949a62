"""Features of other rows (FeatureSet): aggregates over whole buckets of the past, and the last row before a time.

definition.py    feature_set.json, which training and serving share
binding.py       the definition with the types that the columns of its Datasets have, or what is wrong with it
source_rows.py   ──▶ aggregates.py, lookups.py ──▶ point_in_time.py: the rows of a training with their features

As of what: a row of a source counts for a time t if its own time is before t - availableAfter. Nothing else decides what a feature
may see, so rows that come later change none. A window is `[floor(a, every) - window, floor(a, every))` of a = t - availableAfter.
"""
