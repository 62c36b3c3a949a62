"""What keeps the labels away that a ModelMonitor asks for. It keeps no other signal away."""

from dataclasses import dataclass

from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.observe import Seen


@dataclass(frozen=True)
class LabelProblem:
    """Why there can be no labels, as reason and message of a condition."""

    reason: str
    message: str


def find_label_problem(monitor: ModelMonitor, seen: Seen) -> LabelProblem | None:
    """Returns why no row can have a label; None where rows can, or where no labels are asked for."""
    truth, service = monitor.spec.ground_truth, seen.service
    if truth is None or service is None:
        return None
    name = monitor.spec.inference_service
    if not service.rows:
        finding = f"InferenceService '{name}' logs no rows (spec.logging.sample is 0%), so labels belong to none"
        return LabelProblem("RowsNotLogged", f"{finding}; set a share above 0%.")
    if truth.dataset is None:
        return None
    if not service.key:
        finding = (
            f"InferenceService '{name}' has no spec.logging.key, by which labels of Dataset '{truth.dataset}' are found"
        )
        return LabelProblem("KeyNotLogged", f"{finding}; set it to what the column '{truth.key}' has.")
    if service.labels is None:
        finding = f"Dataset '{truth.dataset}' has no version in namespace '{monitor.namespace}'"
        return LabelProblem("DatasetNotReady", f"{finding}; create it, or see its condition Ready.")
    return None
