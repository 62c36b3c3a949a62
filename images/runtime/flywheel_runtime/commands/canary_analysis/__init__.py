"""The judge of one rollout step: it measures both sides for the length of the step and says Pass, Breach or CannotMeasure.

    headless Services ──DNS──▶ pods ──GET /metrics each second──▶ counts since the step began ──▶ verdict and numbers ──▶ facts

`main` keeps the time, `pods` finds and asks, `exposition` reads, `counts` adds up what grew, `verdict` compares with the limits.
"""
