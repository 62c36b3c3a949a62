"""Batch scoring: a table in object storage or on a volume becomes a table of predictions, answered by the server that also answers online.

    batch-plan    lists the input, compares its columns with the model, cuts it into shards, and freezes that as an artifact
        │ plan.json
        ▼
    batch-score   one pod for each shard: rows ─► the server on loopback ─► part file, errors file, then the shard's result
        │ results/<uid>/…
        ▼
    batch-finish  all results there: the output's _manifest.json, which alone makes the parts count

`order` is what the three are told, `source` where rows come from, `formats` how files become rows, `features` how rows become tensors,
`answers` how the server's tensors become columns, `parts` how columns become files.
"""
