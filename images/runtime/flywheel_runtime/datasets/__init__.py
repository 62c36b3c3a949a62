"""The check of a Dataset, in reading order: source, types, schema, anomalies, target, split, profile."""
