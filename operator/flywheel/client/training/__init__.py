"""`fw.train`: a Python function becomes the trials of an Experiment.

function ──▶ function_source ──▶ image_imports ──▶ program ──▶ Experiment with trainer.container.source
             (what it may not use)  (what the image has)  (one file)      │
Training ◀── reader: trials, curves, logs of ended trials ◀── log_stream ◀┘
"""
