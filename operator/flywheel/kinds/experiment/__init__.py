"""An Experiment: a search for the best model on one version of a Dataset, or one plain training.

    Dataset ──► data is chosen, and stays
                   │
                   ▼
    ┌──► next point = f(seed, number, records) ──► trial Job ──► succeeded ─┐
    │                                              │    ▲       failed ─────┤ (counted)
    │                                              ▼    │                   │
    │                                    lost: pause, next attempt          │
    └──────────── records in status ◄───────────────────────────────────────┘
                   │
                   ▼  budget spent, goal reached, space walked through
    best trial ──► Model and ModelVersion, which have no owner

The whole state of the search is in `status.history` and in its Jobs, so an operator that restarts at any moment goes on where it was
(trials.py says why). The search itself is in search/, which knows no Kubernetes.
"""
