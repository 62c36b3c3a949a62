"""From what status remembers and what the Jobs say to where the Dataset stands: pure, and the same however often it is asked.

Status is written after the Job is made, so it may be one step behind: a Job with a higher number than status knows is taken in from
its annotation. A Job is deleted only after status knows how it ended, so it cannot be one step ahead.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.backoff import backoff
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource import names
from flywheel.core.resource.values import Digest
from flywheel.kinds.dataset.children import REQUEST_ANNOTATION, Dataset
from flywheel.kinds.dataset.observe import CheckJob, Seen
from flywheel.kinds.dataset.schema import MOST_VERSIONS, MOST_WARNINGS, LastCheck, Splits, Version

# Nobody needs to touch the Dataset for these to heal: a bucket may be made, a file may arrive, a password may be corrected.
HEALS_ELSEWHERE = frozenset(("SourceMissing", "BucketMissing", "CredentialsRefused", "EmptySource", "ArtifactMissing"))


@dataclass(frozen=True)
class Progress:
    """`check` is the one that runs or ran last, `job` its Job if it is there; `generation` is the one that `versions[0]` answers."""

    check: LastCheck | None
    job: CheckJob | None
    versions: tuple[Version, ...]
    generation: int | None
    news: bool  # the check ended just now, so status does not know it yet


def advance(dataset: Dataset, seen: Seen) -> Progress:
    """Take in what the Jobs say."""
    status = dataset.status
    check = _with_what_status_missed(status.check, seen)
    if check is None:
        return Progress(None, None, status.versions, status.generation, news=False)
    job = next((each for each in seen.checks if each.number == check.number), None)
    if check.result != "Running":
        return Progress(check, job, status.versions, status.generation, news=False)
    ended = job.outcome if job is not None else _vanished(check)
    if ended is None:
        return Progress(check, job, status.versions, status.generation, news=False)
    check_after = judged(check, ended, seen.now)
    if check_after.result != "Passed":
        return Progress(check_after, job, status.versions, status.generation, news=True)
    versions = remembered(dataset, version_of(dataset, ended, seen.now), check, seen.cited)
    return Progress(check_after, job, versions, check.generation, news=True)


def _with_what_status_missed(known: LastCheck | None, seen: Seen) -> LastCheck | None:
    newest = seen.checks[-1] if seen.checks else None
    if newest is None or (known is not None and newest.number <= known.number):
        return known
    return LastCheck(
        number=newest.number,
        generation=newest.generation,
        request=newest.request,
        tick=newest.tick,
        result="Running",
        retries=known.retries if known is not None and known.result == "Retrying" else 0,
    )


def _vanished(check: LastCheck) -> Outcome:
    return Outcome("Infrastructure", "JobVanished", f"The Job of check {check.number} was deleted before it ended.")


def judged(check: LastCheck, ended: Outcome, now: datetime) -> LastCheck:
    """The check after its Job has ended."""
    now = now.replace(microsecond=0)
    if ended.result == "Succeeded":
        return check.model_copy(
            update={"result": "Passed", "finished_at": now, "retries": 0, "reason": None, "message": None}
        )
    told = {"reason": ended.reason, "message": ended.message[:1024], "finished_at": now}
    if ended.result == "Infrastructure" or ended.reason in HEALS_ELSEWHERE:
        later = now + backoff(check.retries)
        again = {"result": "Retrying", "retries": check.retries + 1, "not_before": later}
        return check.model_copy(update=told | again)
    return check.model_copy(update=told | {"result": "Failed"})


def version_of(dataset: Dataset, ended: Outcome, now: datetime) -> Version:
    """The version that a check found. Facts may be cut off where a message is too long; then the artifact names the version."""
    facts = ended.facts
    digest = Digest.parse(ended.outputs["data"])
    content = Digest.parse(str(facts.get("content") or digest))
    splits = facts.get("splits")
    return Version(
        name=f"{names.within(dataset.name, names.LONGEST - 9)}-{content.short}",
        digest=digest,
        content=content,
        rows=facts.get("rows"),
        splits=Splits.model_validate(splits) if splits else None,
        task=facts.get("task"),
        classes=facts.get("classes"),
        test_digest=facts.get("testDigest"),
        warnings=tuple(str(warning)[:512] for warning in facts.get("warnings") or ())[:MOST_WARNINGS],
        checked_at=now.replace(microsecond=0),
    )


def remembered(dataset: Dataset, found: Version, check: LastCheck, cited: frozenset[str]) -> tuple[Version, ...]:
    """The history with the found version first. The same content is the same version, and what is known of it stays.

    Two things are taken anew: warnings, where the spec has changed since; the artifact, where the store had lost it.
    """
    status = dataset.status
    known = next((version for version in status.versions if version.content == found.content), None)
    if known is not None:
        fresh: dict[str, Any] = {"digest": found.digest} if check.reason == "ArtifactMissing" else {}
        if status.generation != check.generation:
            fresh |= {"warnings": found.warnings}
        found = known.model_copy(update=fresh)
    older = [version for version in status.versions if version.content != found.content]
    kept = dataset.spec.retention.versions - 1
    spared = [version for version in older[kept:] if version.name in cited]
    return tuple([found, *older[:kept], *spared][:MOST_VERSIONS])


def request_of(dataset: Dataset) -> str | None:
    """What stands in the annotation flywheel.ml/check-requested."""
    text = dataset.annotations.get(REQUEST_ANNOTATION)
    return text[:256] if text else None


def next_check(dataset: Dataset, progress: Progress, seen: Seen) -> LastCheck | None:
    """The check that should start now, or None. A running one is overtaken by a new spec, and by a tick under policy Replace."""
    last = progress.check
    newest_tick = seen.ticks[-1].created if seen.ticks else None
    ticked = newest_tick is not None and (last is None or last.tick is None or newest_tick > last.tick)
    request = request_of(dataset)
    if last is None:
        why = True
    elif last.result == "Running":
        replaces = dataset.spec.schedule is not None and dataset.spec.schedule.concurrency_policy == "Replace"
        why = last.generation != dataset.generation or (ticked and replaces)
    else:
        due = last.result == "Retrying" and (last.not_before is None or last.not_before <= seen.now)
        asked = request is not None and request != last.request
        why = last.generation != dataset.generation or asked or ticked or due
    if not why or dataset.spec.suspend:
        return None
    again = last is not None and last.result == "Retrying"
    return LastCheck(
        number=(last.number if last is not None else 0) + 1,
        generation=dataset.generation,
        request=request,
        tick=newest_tick or (last.tick if last is not None else None),
        result="Running",
        reason=last.reason if last is not None and again else None,
        retries=last.retries if last is not None and again else 0,
    )
