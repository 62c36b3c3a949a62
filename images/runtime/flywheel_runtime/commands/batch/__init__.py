"""Batch scoring: a table in object storage or on a volume becomes a table of predictions, answered by the server that also answers online.

batch-plan    lists the input, compares its columns with the model, cuts it into shards, and freezes that as an artifact; does all of a small one
    │ plan.json
    ▼
batch-score   one pod for each shard: rows ─► the server on loopback ─► part file, errors file, then the shard's result
    │ results/<uid>/…
    ▼
batch-finish  all results there: the output's _manifest.json, which alone makes the parts count
"""
