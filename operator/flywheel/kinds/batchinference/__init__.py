"""A BatchInference: a table of predictions for a table of rows, once or on a schedule.

    spec, a tick, or a request
       │           model's champion (or the version), the same for the whole run
       ▼
    plan Job ──► score Job, Indexed: one pod for each shard ──► finish Job ──► _manifest.json: Ready
       │            each pod: fetch, the model server on loopback, main              │
       └── pause ◄── infrastructure broke, or the input is not there yet ◄───────────┘

The plan fixes which rows each shard scores; a shard whose result is in the store is not scored again; only the manifest, written last,
makes the parts one output. So a run may be killed, suspended or deleted anywhere: what follows resumes or starts again, and no output is partial.
"""
