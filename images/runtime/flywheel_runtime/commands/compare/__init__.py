"""Two artifacts and two metrics documents, side by side.

files by path and SHA-256 (run.json without its times) ─┐
golden rows of the left through both models ────────────┤──▶ Equal | WithinTolerance | Different, and what differs
metrics by name ────────────────────────────────────────┘
"""
