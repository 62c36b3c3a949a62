"""The features of FeatureSets, which a Job adds to the data before the first trial: every trial and every later step then reads columns.

The data and the sets are chosen when the join starts, by digest, and stay the same until it has ended, so that versions which come
faster than a join takes do not keep it from ending. A run has chosen them before.
"""

from datetime import timedelta

from flywheel.core.diagnosis.failed_attempt import after_failure
from flywheel.core.diagnosis.internal_error import last_failure, retry_scope
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, ExistingChild, Plan, existing_job
from flywheel.core.resource.restrictions import find_violation
from flywheel.core.resource.values import Digest
from flywheel.kinds.experiment import children
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.observe import JoinJob, Seen
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import Data, Join
from flywheel.kinds.featureset.schema.pins import FeatureSetPin

OF_THE_DATA = frozenset(("FeatureSetInvalid", "NoRows", "SplitEmpty"))  # not mended by another spec or release


def chosen_data(experiment: Experiment) -> Data | None:
    """The data, with its FeatureSets, of a join that has not ended; None where the spec asks for another search."""
    join = experiment.status.join
    if join is None or join.result == "Failed" or join.fingerprint != fingerprint(experiment.spec):
        return None
    return join.data


def join_features(experiment: Experiment, seen: Seen, data: Data) -> Data | Decision | Plan:
    """The data with the features of its FeatureSets; or what it waits for; or the plan to make it."""
    chosen = chosen_data(experiment)
    pins = chosen.feature_sets if chosen is not None else _pins(experiment, seen)
    if isinstance(pins, Decision):
        return pins
    question = names.digest({"data": str(data.digest), "sets": [each.document() for each in pins]})[:16]
    jobs = [each for each in seen.joins if each.question == question]
    job = jobs[-1] if jobs else None
    scope = retry_scope(experiment.generation, seen.settings.runtime_image)
    join = _current_join(experiment.status.join, question, job, scope, seen).model_copy(
        update={
            "data": data.model_copy(update={"feature_sets": pins}),
            "fingerprint": fingerprint(experiment.spec),
            "scope": scope,
        }
    )
    if join.result == "Running" and job is not None and job.attempt == join.number and job.outcome is not None:
        if job.outcome.result == "Succeeded":
            return _joined(data, pins, job.outcome)
        failed = after_failure(job.outcome, join.retries, join.internal_errors, seen.now)
        join = join.model_copy(update=failed)
    return _plan(experiment, seen, data, pins, join, job)


def existing_joins(experiment: Experiment, seen: Seen, data: Data) -> tuple[ExistingChild, ...]:
    """The Jobs that stay until status has the data that they made."""
    if experiment.status.data == data:
        return ()
    return tuple(ExistingChild(JOB, each.name) for each in seen.joins)


def _pins(experiment: Experiment, seen: Seen) -> tuple[FeatureSetPin, ...] | Decision:
    given = experiment.spec.artifact.feature_sets if experiment.spec.artifact else ()
    if given:
        return given
    missing = next((each for each in seen.feature_sets if not isinstance(each, FeatureSetPin)), None)
    if missing is not None:
        return Decision(ready=False, reason=missing[0], message=missing[1])
    return tuple(each for each in seen.feature_sets if isinstance(each, FeatureSetPin))


def _current_join(known: Join | None, question: str, job: JoinJob | None, scope: str, seen: Seen) -> Join:
    """The attempt that starts now, runs or failed last. A Job that status does not know yet is adopted.

    One that failed is tried again by another spec, such as one with more memory, and by another release.
    """
    newest = max((each.attempt for each in seen.joins), default=0)
    number = max(newest, known.number if known else 0)
    if known is None or known.question != question:
        started = job.attempt if job is not None and job.attempt == newest else number + 1
        return Join(number=started, question=question, result="Running", retries=0)
    if job is not None and job.attempt > known.number:
        return known.model_copy(update={"number": job.attempt, "result": "Running", "not_before": None})
    if known.result == "Running" and job is None:
        # The Job was deleted, or its creation was interrupted.
        return known.model_copy(update={"number": number + 1})
    if known.result == "Failed" and known.scope != scope:
        return Join(number=number + 1, question=question, result="Running", retries=0)
    is_due = known.not_before is None or known.not_before <= seen.now
    if known.result == "Retrying" and is_due:
        return known.model_copy(update={"number": number + 1, "result": "Running", "not_before": None})
    return known


def _joined(data: Data, pins: tuple[FeatureSetPin, ...], outcome: Outcome) -> Data:
    facts = {name: outcome.facts[name] for name in ("task", "classes") if outcome.facts.get(name)}
    digest = Digest.parse(outcome.outputs["data"])
    return data.model_copy(update={"digest": digest, "feature_sets": pins, **facts})


def _plan(
    experiment: Experiment,
    seen: Seen,
    data: Data,
    pins: tuple[FeatureSetPin, ...],
    join: Join,
    job: JoinJob | None,
) -> Plan | Decision:
    """The plan of an attempt that runs, waits for another one, or failed."""
    current = job if job is not None and job.attempt == join.number else None
    status = experiment.status.model_copy(update={"join": join})
    if join.result == "Failed":
        decision = _failed(join, current)
    elif join.result == "Retrying":
        decision = _retried(join, current, seen)
    elif current is None and experiment.spec.suspend:
        message = f"Experiment '{experiment.name}' is suspended; set spec.suspend to false to go on."
        return Decision(ready=False, reason="Suspended", message=message, progressing=False)
    elif current is None and (violation := find_violation(experiment.spec, seen.settings)) is not None:
        return Decision(ready=False, stalled=True, reason=violation.reason, message=violation.message)
    else:
        decision = _runs(experiment, seen, data, pins, join, current)
    return decision.plan(status, summary=_summary(join))


def _runs(
    experiment: Experiment,
    seen: Seen,
    data: Data,
    pins: tuple[FeatureSetPin, ...],
    join: Join,
    job: JoinJob | None,
) -> Decision:
    child = (
        ExistingChild(JOB, job.name)
        if job is not None
        else children.join_job(experiment, data, pins, join, seen.settings)
    )
    diagnosis = job.diagnosis if job is not None else None
    listed = ", ".join(f"'{each.name}'" for each in pins)
    failure = last_failure(join.retries, join.reason, join.message)
    message = f"Job '{child.name}' adds the features of FeatureSet {listed} to {data.version}.{failure}"
    return Decision(
        ready=False,
        reason=diagnosis.reason if diagnosis else "JoiningFeatures",
        message=diagnosis.message if diagnosis else message,
        children=(child,),
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def _retried(join: Join, job: JoinJob | None, seen: Seen) -> Decision:
    again = join.not_before or seen.now
    message = f"The features could not be added: {join.message} Trying again at {again:%H:%M:%S} UTC (attempt {join.number + 1})."
    pause: timedelta = max(again - seen.now, REQUEUE_NOW)
    reason = join.reason or "Retrying"
    return Decision(ready=False, reason=reason, message=message, children=existing_job(job), requeue_after=pause)


def _failed(join: Join, job: JoinJob | None) -> Decision:
    """Nothing changes until the spec, the data or a FeatureSet does. The Job stays, so that its logs can be read."""
    cure = "Correct the FeatureSet or the data" if join.reason in OF_THE_DATA else "Change the spec"
    message = f"The features could not be added: {join.message} {cure}; then they are added again."
    return Decision(
        ready=False,
        succeeded=False,
        stalled=True,
        reason=join.reason or "JoinFailed",
        message=message,
        children=existing_job(job),
    )


def _summary(join: Join) -> str:
    return f"adding features: {join.reason}" if join.result != "Running" else "adding features"
