"""One look at an A/B test: the outcomes of its units, by the arm to which they were assigned, and whether they decide it.

    rows/*.parquet with test, unit, arm ─┐
    labels/*.parquet ────────────────────┴─ admitted labels ─▶ outcome of each unit ─▶ gains ─▶ e-values ─▶ verdict ─▶ facts

`main` reads the files, `units` makes one outcome of the rows of a unit, `look_verdict` decides and says why. Each look reads everything anew and in the
same order, so that a look that is repeated finds the same.
"""
