"""What a Dataset needs next.

Ready says: there is a version that the present spec was checked to be true of. So
- a new spec is not Ready before its own check has passed, however good older versions are;
- a later look at the same spec (a tick, a request) that fails leaves Ready=True with the last good version and says CheckFailed,
  since whoever trains or serves may go on with it;
- data that fails the first check stalls, unless a schedule looks at it again; what may heal elsewhere (a file, a bucket, a password)
  is tried again with growing pauses, and so is whatever infrastructure broke.
"""

from datetime import timedelta

from flywheel.core.pods import schedule
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, Reference
from flywheel.core.resource.plan import Child, Event, Kept, Plan
from flywheel.kinds.dataset import children
from flywheel.kinds.dataset.children import REQUEST_ANNOTATION, Dataset
from flywheel.kinds.dataset.observe import Seen
from flywheel.kinds.dataset.progress import Progress, advance, next_check
from flywheel.kinds.dataset.schema import DatasetStatus, LastCheck, Version

SOON = timedelta(seconds=15)  # events of a pod that cannot start do not wake us
AT_ONCE = timedelta(seconds=1)


def decide(dataset: Dataset, seen: Seen) -> Plan:
    """The plan for what is seen."""
    progress = advance(dataset, seen)
    return (
        check_starts(dataset, seen, progress)
        or check_runs(dataset, seen, progress)
        or check_is_tried_again(dataset, seen, progress)
        or check_failed(dataset, seen, progress)
        or nothing_may_start(dataset, seen, progress)
        or data_is_ready(dataset, seen, progress)
    )


def check_starts(dataset: Dataset, seen: Seen, progress: Progress) -> Plan | None:
    """First, and whenever the spec changes, the clock ticks, somebody asks, or a pause is over."""
    check = next_check(dataset, progress, seen)
    if check is None:
        return None
    job = children.check_job(dataset, check, seen.settings)
    good = good_version(dataset, progress)
    if good is not None:
        return _plan(
            dataset,
            seen,
            progress,
            job,
            check=check,
            ready=True,
            reason="Checked",
            message=_checked(good),
            look_again=SOON,
        )
    message = f"Job '{job.name}' compares the data of {source(dataset)} with its schema."
    return _plan(
        dataset, seen, progress, job, check=check, ready=False, reason="Checking", message=message, look_again=SOON
    )


def check_runs(dataset: Dataset, seen: Seen, progress: Progress) -> Plan | None:
    """Its Job has not ended; what stands in its way is told."""
    if progress.check is None or progress.check.result != "Running" or progress.job is None:
        return None
    job, good, diagnosis = Kept(JOB, progress.job.name), good_version(dataset, progress), progress.job.diagnosis
    if good is not None and diagnosis is None:
        return _plan(
            dataset, seen, progress, job, ready=True, reason="Checked", message=_checked(good), look_again=SOON
        )
    if good is not None and diagnosis is not None:
        message = f"Version {good.name} stands, but the next check cannot run. {diagnosis.message}"
        return _plan(
            dataset, seen, progress, job, ready=True, reason=diagnosis.reason, message=message, look_again=SOON
        )
    reason = diagnosis.reason if diagnosis else "Checking"
    message = (
        diagnosis.message if diagnosis else f"Job '{job.name}' compares the data of {source(dataset)} with its schema."
    )
    return _plan(dataset, seen, progress, job, ready=False, reason=reason, message=message, look_again=SOON)


def check_is_tried_again(dataset: Dataset, seen: Seen, progress: Progress) -> Plan | None:
    """Nobody's data was to blame, or what is missing may arrive."""
    check = progress.check
    if check is None or check.result != "Retrying" or dataset.spec.suspend:
        return None
    again = check.not_before or seen.now
    good = good_version(dataset, progress)
    message = f"{check.message} Trying again at {again:%H:%M:%S} UTC (check {check.number + 1})."
    return _plan(
        dataset,
        seen,
        progress,
        _kept(progress),
        ready=good is not None,
        reason=check.reason or "Retrying",
        message=f"Version {good.name} stands. {message}" if good else message,
        look_again=max(again - seen.now, AT_ONCE),
    )


def check_failed(dataset: Dataset, seen: Seen, progress: Progress) -> Plan | None:
    """The data is not what the spec says. Its Job stays, so that its logs can be read, until the next check starts."""
    check = progress.check
    if check is None or check.result != "Failed":
        return None
    good, found, step = good_version(dataset, progress), check.message or "", _next_step(dataset)
    if good is not None:
        message = f"Version {good.name} stands, but a later check failed. {check.reason}: {found} {step}"
        news = (Event("CheckFailed", message, "Warning", "Check"),) if progress.news else ()
        return _plan(
            dataset, seen, progress, _kept(progress), ready=True, reason="CheckFailed", message=message, events=news
        )
    looks_again = dataset.spec.schedule is not None
    return _plan(
        dataset,
        seen,
        progress,
        _kept(progress),
        ready=False,
        reason=check.reason or "CheckFailed",
        message=f"{found} {step}",
        stalled=not looks_again,
    )


def nothing_may_start(dataset: Dataset, seen: Seen, progress: Progress) -> Plan | None:
    """Suspended before the present spec was ever checked."""
    if good_version(dataset, progress) is not None:
        return None
    message = f"Dataset '{dataset.name}' is suspended and its spec is not checked yet; set spec.suspend to false."
    return _plan(
        dataset, seen, progress, _kept(progress), ready=False, reason="Suspended", message=message, progressing=False
    )


def data_is_ready(dataset: Dataset, seen: Seen, progress: Progress) -> Plan:
    """There is a version that fits the spec. The Job that found it may go once status knows."""
    good = progress.versions[0]
    is_new = progress.news and good.name != dataset.status.version
    news = (Event("NewVersion", _checked(good), action="Check"),) if is_new else ()
    job = _kept(progress) if progress.news else None
    again = AT_ONCE if progress.news else None
    return _plan(
        dataset,
        seen,
        progress,
        job,
        ready=True,
        reason="Checked",
        message=_checked(good),
        events=news,
        look_again=again,
    )


def good_version(dataset: Dataset, progress: Progress) -> Version | None:
    """The current version, if it answers the present spec."""
    fits = progress.versions and progress.generation == dataset.generation
    return progress.versions[0] if fits else None


def source(dataset: Dataset) -> str:
    """Where the data is, for messages."""
    where = dataset.spec.source
    if where.s3 is not None:
        return f"'{where.s3.uri}'"
    if where.http is not None:
        return f"'{where.http.url}'"
    return f"'{where.pvc.path}' in PersistentVolumeClaim '{where.pvc.claim_name}'" if where.pvc else "its source"


def _next_step(dataset: Dataset) -> str:
    if dataset.spec.schedule is not None:
        return f"The data is looked at again at the next tick of '{dataset.spec.schedule.cron}' ({dataset.spec.schedule.time_zone})."
    return (
        "Change the spec; or mend the data, and then ask for another check with "
        f"'kubectl annotate fwds {dataset.name} -n {dataset.namespace} --overwrite {REQUEST_ANNOTATION}=\"$(date)\"'."
    )


def _checked(version: Version) -> str:
    rows = f"{version.rows:,} rows" if version.rows is not None else "all rows"
    parts = version.splits
    divided = f" ({parts.train:,} to train, {parts.validation:,} to validate, {parts.test:,} to test)" if parts else ""
    warnings = f" Warnings: {'; '.join(version.warnings)}." if version.warnings else ""
    return f"Version {version.name} has {rows}{divided} and passed its check.{warnings}"


def _summary(version: Version | None, reason: str) -> str:
    if version is None:
        return "no version yet" if reason in ("Checking", "Suspended") else f"no version yet: {reason}"
    rows = f"{version.rows:,} rows, " if version.rows is not None else ""
    count = len(version.warnings)
    return f"{rows}version {version.name}" + (f", {count} warning{'s' * (count > 1)}" if count else "")


def _kept(progress: Progress) -> Kept | None:
    return Kept(JOB, progress.job.name) if progress.job is not None else None


def _plan(
    dataset: Dataset,
    seen: Seen,
    progress: Progress,
    job: Child | Kept | None,
    *,
    ready: bool,
    reason: str,
    message: str,
    check: LastCheck | None = None,
    stalled: bool = False,
    progressing: bool | None = None,
    events: tuple[Event, ...] = (),
    look_again: timedelta | None = None,
) -> Plan:
    """What all plans of a Dataset share: its status, its ticker, and the ticks that are answered."""
    check = check or progress.check
    current = progress.versions[0] if progress.versions else None
    clock = schedule.ticker(dataset, dataset.spec.schedule, suspend=dataset.spec.suspend)
    answered = check.tick if check is not None and check.result in ("Passed", "Failed") else None
    ended = [tick.name for tick in seen.ticks if answered is not None and tick.created <= answered]
    return Plan(
        ready=ready,
        reason=reason,
        message=message,
        status=_status(progress, check),
        summary=names.within(_summary(current, reason), 256),
        children=tuple(child for child in (job, clock) if child is not None),
        finish=tuple(Reference(JOB, dataset.namespace, tick) for tick in ended),
        stalled=stalled,
        progressing=progressing,
        events=events,
        look_again=look_again,
    )


def _status(progress: Progress, check: LastCheck | None) -> DatasetStatus:
    current = progress.versions[0] if progress.versions else None
    return DatasetStatus(
        version=current.name if current else None,
        digest=current.digest if current else None,
        rows=current.rows if current else None,
        generation=progress.generation,
        check=check,
        versions=progress.versions,
    )
