"""Data sets, in reading order: source, types, schema, anomalies, target, split, profile, version; features for a model."""
