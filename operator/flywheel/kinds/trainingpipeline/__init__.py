"""A TrainingPipeline: steps from data to a registered model, and what starts them.

    spec ──► revision (ControllerRevision, named by its content) ──test run on a sample──► live
                                                                                           │
    schedule, newData, modelVersion, condition ──► cause ──► guard ──────────────────────► TrainingRun, named by its cause
                                                               └──► skipped, and why (status.triggers)

The pipeline itself runs nothing. `triggers` find what has happened since they last fired, and whether a run may start now.
"""
