"""A BatchInference: a table of predictions for a table of rows, once or on a schedule.

    spec, a tick, or somebody asks
       │           model's champion (or the version), frozen for the run
       ▼
    plan Job ──► score Job, Indexed: one pod for each shard ──► finish Job ──► _manifest.json: Ready
       │            each pod: fetch, the model server on loopback, main              │
       └── pause ◄── infrastructure broke, or the input is not there yet ◄───────────┘

The plan freezes which rows each shard scores; a shard whose result is in the store is not done again; only the manifest, written last,
makes the parts one output. So a run may be killed, suspended or deleted anywhere, and what follows goes on or begins anew, never half.
"""
