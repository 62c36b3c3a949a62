"""Whether a trial goes on, decided beside it: from its own curve, and those of its siblings that have ended, in the store.

    main ── metrics.jsonl ──► curve ─┐
                                     ├─► rules ──► SIGTERM to main, outcome Pruned
    store ── curves/<group>/… ───────┘

The operator is not asked: it touches no store, and a trial that reports ten times a second must not wake it.
"""
