"""Where a FeatureSet stands, from what status remembers and what its Jobs say: pure, and the same however often it is computed.

Status is written after the Job is made, so it may be one step behind: a Job with a higher number than status knows is taken in from
its annotation.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis.failed_attempt import after_failure
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource.restrictions import Violation, find_violation
from flywheel.core.resource.values import Digest
from flywheel.kinds.featureset.children import REQUEST_ANNOTATION, FeatureSet
from flywheel.kinds.featureset.observe import CheckJob, Seen
from flywheel.kinds.featureset.schema.pins import MAX_DATASETS, DatasetPin
from flywheel.kinds.featureset.schema.status import FeatureSetStatus, LastCheck


@dataclass(frozen=True)
class Progress:
    """Where the FeatureSet stands.

    `check` starts now, runs, or ran last; `job` is its Job, None if that is not made yet or is gone. `definition` has the fields of the
    status that a check finds. `refusal` says why none starts.
    """

    check: LastCheck | None
    job: CheckJob | None
    definition: FeatureSetStatus
    just_ended: bool  # status does not say yet how the check ended
    refusal: Violation | None = None


def advance(featureset: FeatureSet, seen: Seen) -> Progress:
    """Take in how Jobs ended, and start the next check if one is due."""
    check = _with_newest_job(featureset.status.check, seen)
    job = next((each for each in seen.checks if check is not None and each.check.number == check.number), None)
    definition, just_ended = featureset.status, False
    if check is not None and check.result == "Running":
        vanished = f"The Job of check {check.number} was deleted before it ended."
        outcome = job.outcome if job is not None else Outcome("Infrastructure", "JobVanished", vanished)
        if outcome is not None:
            just_ended = True
            if outcome.result == "Succeeded":
                definition = definition.model_copy(update=_found(featureset, check, outcome))
            check = check_after(check, outcome, seen.now)
    refusal = _too_many_datasets(featureset)
    due = next_check(featureset, check, seen) if refusal is None else None
    if due is not None:
        refusal = find_violation(featureset.spec, seen.settings)
    if due is not None and refusal is None:
        check, job = due, None
    return Progress(check, job, definition, just_ended, refusal)


def _too_many_datasets(featureset: FeatureSet) -> Violation | None:
    """Whether it names more Datasets than a status and a pin hold."""
    count = len(featureset.spec.datasets)
    if count <= MAX_DATASETS:
        return None
    message = f"FeatureSet '{featureset.name}' looks features up in {count} Datasets, and {MAX_DATASETS} is the most; divide it."
    return Violation("TooManyDatasets", message)


def current_datasets(featureset: FeatureSet, seen: Seen) -> tuple[DatasetPin, ...] | None:
    """The current versions of all its Datasets; None where one has none."""
    states = [seen.datasets.get(name) for name in featureset.spec.datasets]
    versions = [state.version for state in states if state is not None and state.version is not None]
    return tuple(versions) if len(versions) == len(states) else None


def _with_newest_job(known: LastCheck | None, seen: Seen) -> LastCheck | None:
    newest = seen.checks[-1].check if seen.checks else None
    if newest is None or (known is not None and newest.number <= known.number):
        return known
    return _as_retry_of(known, newest)


def _found(featureset: FeatureSet, check: LastCheck, outcome: Outcome) -> dict[str, Any]:
    digest = Digest.parse(outcome.outputs["definition"])
    return {
        "version": f"{featureset.name[:244]}-{digest.short}",
        "digest": digest,
        "generation": check.generation,
        "looked_up": outcome.facts.get("lookedUp"),
        "rowwise": outcome.facts.get("rowwise"),
        "datasets": check.datasets,
    }


def check_after(check: LastCheck, outcome: Outcome, now: datetime) -> LastCheck:
    """The check after its Job has ended."""
    changes: dict[str, Any] = {"finished_at": now}
    if outcome.result == "Succeeded":
        changes |= {"result": "Passed", "retries": 0, "internal_errors": None, "reason": None, "message": None}
        return check.model_copy(update=changes)
    changes |= after_failure(outcome, check.retries, check.internal_errors, now)
    return check.model_copy(update=changes)


def next_check(featureset: FeatureSet, last: LastCheck | None, seen: Seen) -> LastCheck | None:
    """The check that should start now, or None. A running one is overtaken by another spec, and by another version of a Dataset."""
    datasets = current_datasets(featureset, seen)
    if featureset.spec.suspend or datasets is None:
        return None
    check = LastCheck(
        number=last.number + 1 if last else 1,
        generation=featureset.generation,
        request=featureset.read_request(REQUEST_ANNOTATION),
        datasets=datasets,
        result="Running",
        retries=0,
    )
    if last is None:
        return check
    retry_is_due = last.result == "Retrying" and (last.not_before is None or last.not_before <= seen.now)
    is_other = (check.generation, check.datasets) != (last.generation, last.datasets)
    is_requested = check.request is not None and check.request != last.request and last.result != "Running"
    return _as_retry_of(last, check) if retry_is_due or is_other or is_requested else None


def _as_retry_of(last: LastCheck | None, check: LastCheck) -> LastCheck:
    """The check with the finding and the number of retries of the last one, if it retries that."""
    if last is None or last.result != "Retrying":
        return check
    # Another spec may avoid a fault of ours, so it has all of its tries.
    internal_errors = last.internal_errors if check.generation == last.generation else None
    retried = {"reason": last.reason, "message": last.message, "retries": last.retries}
    return check.model_copy(update=retried | {"internal_errors": internal_errors})
