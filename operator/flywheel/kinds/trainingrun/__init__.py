"""A TrainingRun: one run of a revision of a TrainingPipeline.

    pipeline ──► revision (ControllerRevision) ─┐
    Datasets ──► versions ──────────────────────┤  chosen once, kept in status (beginning)
    parameters, typed (frozen) ─────────────────┘
                        │
                        ▼
    the table of steps, written from above to below at each look (table, progress)
        takes what steps above left (taking) ─► order ─► key ─► an earlier run did the same? its outputs are taken
                                                   └──────────► a Job, an Experiment, a ModelVersion (work)
                        │
                        ▼
    finally, then the end: recorded once, never changed

All that a run knows is in its status and in the objects of its steps, whose names follow from both, so an operator that dies at any
moment goes on where it was.
"""
