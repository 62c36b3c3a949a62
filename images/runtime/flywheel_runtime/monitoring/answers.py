"""What is wrong with a model's answers, beyond that they are distributed otherwise: they are not finite, or always the same."""

from flywheel_runtime.monitoring.findings import Finding, Problem
from flywheel_runtime.monitoring.layout import Column, Counts
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.signals import Look
from flywheel_runtime.monitoring.windows import Window

NOT_FINITE_MEASURES = ("missing", "invalid")  # NaN and infinite answers
MIN_SHARE_OF_VARYING_FEATURES = 0.5


def find_problem(
    look: Look, window: Window, reference: Reference | None, min_rows: int, earlier: Finding | None
) -> Problem | None:
    """The problem that a finding of this look stands for; None where it stands for none. Few rows say nothing new.

    Answers are constant where all rows of the window are in one bin of the reference's several, and most features vary that vary in the
    reference: one row that is sent again and again has one answer rightly.
    """
    if reference is None or window.rollup.rows < min_rows:
        return earlier.problem if earlier is not None else None
    if not look.column.is_prediction:
        return None
    if look.signal == "dataQuality":
        return "NotFinite" if look.measure in NOT_FINITE_MEASURES else None
    counts = window.rollup.counts
    if _varies(look.column, counts) or not _varies(look.column, reference.counts):
        return None
    expected = [
        each for each in window.rollup.layout.columns if not each.is_prediction and _varies(each, reference.counts)
    ]
    varying = sum(_varies(each, counts) for each in expected)
    is_varied = bool(expected) and varying >= MIN_SHARE_OF_VARYING_FEATURES * len(expected)
    return "ConstantOutput" if is_varied else None


def _varies(column: Column, counts: Counts) -> bool:
    """Whether there are values in several bins."""
    return int((column.distribution(counts) > 0).sum()) > 1
