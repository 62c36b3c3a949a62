"""Whether a search still finds anything better."""

from collections.abc import Sequence

from flywheel.kinds.experiment.schema.spec import Plateau


def has_plateaued(values: Sequence[float | None], plateau: Plateau, *, maximize: bool) -> bool:
    """Whether none of the last `plateau.trials` trials is better than the best before them by more than minDelta.

    `values` has the objective of each trial that succeeded or was pruned, in the order of their numbers; None where the trial cannot be
    the best. Failed trials are left out, since the search learns nothing from them.
    """
    best_before = _best(values[: -plateau.trials], maximize=maximize)
    best_lately = _best(values[-plateau.trials :], maximize=maximize)
    if best_before is None:
        return False
    min_delta = plateau.min_delta.value if plateau.min_delta else 0.0
    return best_lately is None or best_lately - best_before <= min_delta


def _best(values: Sequence[float | None], *, maximize: bool) -> float | None:
    """The best value, as a number of which more is better."""
    return max((value if maximize else -value for value in values if value is not None), default=None)
