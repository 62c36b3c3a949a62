"""Where a Dataset stands, from what status remembers and what its Jobs say: pure, and the same however often it is computed.

Status is written after the Job is made, so it may be one step behind: a Job with a higher number than status knows is taken in from
its annotation. A Job is deleted only after status knows how it ended, so it cannot be one step ahead.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis.failed_attempt import after_failure
from flywheel.core.diagnosis.outcome import STORE_REASONS, Outcome
from flywheel.core.pods import store_access
from flywheel.core.resource import names
from flywheel.core.resource.restrictions import Violation, find_violation
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.dataset.children import REQUEST_ANNOTATION, Dataset
from flywheel.kinds.dataset.observe import CheckJob, Seen
from flywheel.kinds.dataset.schema.status import MAX_VERSIONS, MAX_WARNINGS, LastCheck, Version

# These heal without a change of the Dataset: a bucket is made, a file arrives, a password is corrected.
RETRIED_REASONS = STORE_REASONS | {"SourceMissing", "EmptySource"}


@dataclass(frozen=True)
class Progress:
    """Where the Dataset stands.

    `check` starts now, runs, or ran last; `job` is its Job, None if that is not made yet or is gone. `generation` is the one of the spec
    that `versions[0]` was checked against, and `ready_version` that version if it is the present generation.
    """

    check: LastCheck | None
    job: CheckJob | None
    versions: tuple[Version, ...]
    generation: int | None
    ready_version: Version | None
    just_ended: bool  # status does not say yet how the check ended
    snapshot: Digest | None = None  # of the last check that passed
    refusal: Violation | None = None  # why the check that is due does not start


def advance(dataset: Dataset, seen: Seen) -> Progress:
    """Take in how Jobs ended, and start the next check if one is due."""
    check = _with_newest_job(dataset.status.check, seen)
    job = next((each for each in seen.checks if check is not None and each.check.number == check.number), None)
    versions, generation, just_ended = dataset.status.versions, dataset.status.generation, False
    snapshot = dataset.status.snapshot
    if check is not None and check.result == "Running":
        vanished = f"The Job of check {check.number} was deleted before it ended."
        outcome = job.outcome if job is not None else Outcome("Infrastructure", "JobVanished", vanished)
        if outcome is not None:
            just_ended = True
            if outcome.result == "Succeeded":
                versions = _with_version(dataset, found_version(dataset, outcome, seen.now), check, seen.cited)
                generation = check.generation
                snapshot = Digest.parse(outcome.outputs["snapshot"]) if "snapshot" in outcome.outputs else None
            check = check_after(check, outcome, seen.now)
    due = next_check(dataset, check, seen)
    refusal = check_refusal(dataset, seen.settings) if due is not None else None
    if due is not None and refusal is None:
        check, job = due, None
    ready_version = versions[0] if versions and generation == dataset.generation else None
    return Progress(check, job, versions, generation, ready_version, just_ended, snapshot, refusal)


def check_refusal(dataset: Dataset, settings: Settings) -> Violation | None:
    """Why a check may not start: the spec is forbidden, or the source may not be read with the installation's credentials."""
    violation, source = find_violation(dataset.spec, settings), dataset.spec.source.s3
    if violation is not None or source is None:
        return violation
    return store_access.source_refusal(source.uri, source.secret_name, dataset.namespace, settings, "spec.source.s3")


def _with_newest_job(known: LastCheck | None, seen: Seen) -> LastCheck | None:
    newest = seen.checks[-1].check if seen.checks else None
    if newest is None or (known is not None and newest.number <= known.number):
        return known
    return _as_retry_of(known, newest)


def check_after(check: LastCheck, outcome: Outcome, now: datetime) -> LastCheck:
    """The check after its Job has ended."""
    changes: dict[str, Any] = {"finished_at": now}
    if outcome.result == "Succeeded":
        changes |= {"result": "Passed", "retries": 0, "internal_errors": None, "reason": None, "message": None}
        return check.model_copy(update=changes)
    changes |= after_failure(outcome, check.retries, check.internal_errors, now, RETRIED_REASONS)
    return check.model_copy(update=changes)


def found_version(dataset: Dataset, outcome: Outcome, now: datetime) -> Version:
    """The version that a check found. Facts may be cut off where a message is too long; then the artifact names the version."""
    facts = outcome.facts
    digest = Digest.parse(outcome.outputs["data"])
    content = Digest.parse(str(facts.get("content") or digest))
    return Version.model_validate(
        {
            **{name: facts.get(name) for name in ("rows", "task", "classes", "testDigest")},
            "name": f"{names.truncate(dataset.name, names.MAX_NAME_LENGTH - 9)}-{content.short}",
            "digest": digest,
            "content": content,
            "splits": facts.get("splits") or None,
            "warnings": tuple(str(warning)[:512] for warning in facts.get("warnings") or ())[:MAX_WARNINGS],
            "checked_at": now,
        }
    )


def _with_version(dataset: Dataset, found: Version, check: LastCheck, cited: frozenset[str]) -> tuple[Version, ...]:
    """The history with the found version first. The same content is the same version, and what is known of it stays.

    Two things are replaced: warnings, where the spec has changed since; the artifact with all that describes it, where the store had lost
    it, since another release may have built the lost one.
    """
    status = dataset.status
    known = next((version for version in status.versions if version.content == found.content), None)
    if known is not None:
        rebuilt = ("digest", "rows", "splits", "task", "classes", "test_digest", "warnings")
        fresh = {name: getattr(found, name) for name in rebuilt} if check.reason == "ArtifactMissing" else {}
        if status.generation != check.generation:
            fresh |= {"warnings": found.warnings}
        found = known.model_copy(update=fresh)
    older = [version for version in status.versions if version.content != found.content]
    retained = dataset.spec.retention.versions - 1
    spared = [version for version in older[retained:] if version.name in cited]
    return tuple([found, *older[:retained], *spared][:MAX_VERSIONS])


def next_check(dataset: Dataset, last: LastCheck | None, seen: Seen) -> LastCheck | None:
    """The check that should start now, or None. A running one is overtaken by a new spec, and by a tick under policy Replace."""
    newest_tick = seen.ticks[-1].created if seen.ticks else None
    request = dataset.read_request(REQUEST_ANNOTATION)
    if dataset.spec.suspend:
        return None
    first = LastCheck(
        number=1, generation=dataset.generation, request=request, tick=newest_tick, result="Running", retries=0
    )
    if last is None:
        return first
    ticked = newest_tick is not None and (last.tick is None or newest_tick > last.tick)
    if last.result == "Running":
        replaces = dataset.spec.schedule is not None and dataset.spec.schedule.concurrency_policy == "Replace"
        starts = ticked and replaces
    else:
        retry_is_due = last.result == "Retrying" and (last.not_before is None or last.not_before <= seen.now)
        starts = ticked or retry_is_due or (request is not None and request != last.request)
    if not starts and last.generation == dataset.generation:
        return None
    return _as_retry_of(last, first.model_copy(update={"number": last.number + 1, "tick": newest_tick or last.tick}))


def _as_retry_of(last: LastCheck | None, check: LastCheck) -> LastCheck:
    """The check with the finding and the number of retries of the last one, if it retries that."""
    if last is None or last.result != "Retrying":
        return check
    # Another spec may avoid a fault of ours, so it has all of its tries.
    internal_errors = last.internal_errors if check.generation == last.generation else None
    retried = {"reason": last.reason, "message": last.message, "retries": last.retries}
    return check.model_copy(update=retried | {"internal_errors": internal_errors})
