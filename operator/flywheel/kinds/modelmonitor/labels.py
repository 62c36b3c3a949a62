"""What keeps logged rows or labels away that a ModelMonitor asks for. It keeps no other signal away."""

from dataclasses import dataclass

from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.observe import Seen


@dataclass(frozen=True)
class LabelProblem:
    """Why there can be no rows with labels or groups, as reason and message of a condition."""

    reason: str
    message: str


def find_label_problem(monitor: ModelMonitor, seen: Seen) -> LabelProblem | None:
    """Returns why no row can have a label; None where rows can, or where no labels are asked for."""
    truth, service = monitor.spec.ground_truth, seen.service
    if truth is None or service is None:
        return None
    name = monitor.spec.target
    if not service.rows:
        finding = f"InferenceService '{name}' logs no rows (spec.logging.sample is 0%), so labels belong to none"
        return LabelProblem("RowsNotLogged", f"{finding}; set a share above 0%.")
    if truth.dataset is None and service.stored_rows:
        finding = f"The server of InferenceService '{name}' is that of spec.runtime, to which no labels can be posted"
        return LabelProblem("FeedbackNotServed", f"{finding}; set spec.groundTruth.dataset, key and column.")
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


def find_fairness_problem(monitor: ModelMonitor, seen: Seen) -> LabelProblem | None:
    """Returns why groups cannot be compared; None where they can, or where fairness is not asked for."""
    fairness, service = monitor.spec.fairness, seen.service
    if fairness is None or service is None:
        return None
    name = monitor.spec.target
    if not service.rows:
        finding = f"InferenceService '{name}' logs no rows (spec.logging.sample is 0%), so that there are no groups"
        return LabelProblem("RowsNotLogged", f"{finding}; set a share above 0%.")
    protected = [column for column in fairness.by if column in service.protected_columns]
    if protected:
        finding = f"The log of InferenceService '{name}' drops or hashes column '{protected[0]}' (spec.logging.columns)"
        advice = "log it as it is, or remove it from spec.fairness.by"
        return LabelProblem("ColumnNotLogged", f"{finding}, so that its groups are not known; {advice}.")
    return find_label_problem(monitor, seen) if fairness.needs_labels else None
