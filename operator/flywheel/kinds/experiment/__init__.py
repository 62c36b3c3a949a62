"""An Experiment: a search for the best model on one version of a Dataset, or one plain training.

    Dataset ──► data is chosen, and kept
                   │
                   ▼
    ┌──► next point = f(seed, number, records) ──► trial Job ──► succeeded ─┐
    │                                              │    ▲       failed ─────┤ (counted)
    │                                              ▼    │                   │
    │                                    lost: pause, next attempt          │
    └──────────── records in status ◄───────────────────────────────────────┘
                   │
                   ▼  budget spent, goal reached, space walked through
    best trial ──► Model and ModelVersion, which belong to nobody

All that the search knows is in `status.history` and in its Jobs, so an operator that dies at any moment goes on where it was
(trials.py says why). The search itself is in search/, which knows no Kubernetes.
"""
