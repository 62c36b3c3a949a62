"""A TrainingRun: one run of a revision of a TrainingPipeline.

    pipeline ──► revision (ControllerRevision) ─┐
    Datasets ──► versions ──────────────────────┤  resolved once, stored in the status (start)
    typed parameters ───────────────────────────┘
                        │
                        ▼
    the states of the steps, settled from top to bottom in each pass (progress, steps.step_states)
        inputs from steps above (step_inputs) ─► attempt ─► cache key ─► an earlier run did the same? its outputs are taken
                                                     └────────────────► a Job, an Experiment, a ModelVersion (execution)
                        │
                        ▼
    finally, then the result: recorded once, never changed

All that a run knows is in its status and in the objects of its steps, whose names follow from both, so an operator that stops at any
moment goes on from there.
"""
