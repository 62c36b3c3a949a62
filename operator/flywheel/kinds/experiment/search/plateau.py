"""Whether a search still finds anything better."""

from flywheel.kinds.experiment.schema.spec import Plateau
from flywheel.kinds.experiment.trials import Memory


def is_flat(memory: Memory, plateau: Plateau, *, maximize: bool) -> bool:
    """None of the last trials, by number, is better than the best before them by more than minDelta.

    Failed ones teach nothing and do not count; those that were pruned, or are beyond their constraints, count as no better.
    """
    numbers = sorted(memory.numbers("Succeeded", "Pruned"))
    candidates = set(memory.feasible)

    def best(trials: list[int]) -> float | None:
        sign = 1 if maximize else -1
        values = [sign * float(memory.records[each].value or 0) for each in trials if each in candidates]
        return max(values, default=None)

    before, lately = best(numbers[: -plateau.trials]), best(numbers[-plateau.trials :])
    if before is None:
        return False
    least = plateau.min_delta.value if plateau.min_delta else 0.0
    return lately is None or lately - before <= least
